"""Which units belong to a group, which may be its controls, and the strata in which both are compared."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.influence.groups import CALCULATION, list_groups
from raml.influence.tokens import measure_influence
from raml.influence.units import Measured, UnitMaker, find_stretch, number_strata
from raml.records import InfluenceSettings, ModelIdentity, Trace, TraceSettings, Trajectory

MODEL = ModelIdentity("made-up", None, "00", "float32", "cpu")
NUMBERS = {}


def measure(pieces, losses=None, *, question="q", id="t", words=("wait", "hold on"), prefix_lens=None):
    """Measure a trajectory; equal texts of tokens have equal ids, and L̂ is 1, 2, 3, … unless given."""
    ids = tuple(NUMBERS.setdefault(piece, len(NUMBERS)) for piece in pieces)
    ends = tuple(np.cumsum([len(piece) for piece in pieces]).tolist())
    trajectory = Trajectory(id, question, 0, MODEL, "think", (1,), ids, len(ids), "".join(pieces), ends)
    lens = np.arange(len(ids) + 1) if prefix_lens is None else np.array(prefix_lens)
    losses = np.arange(1, len(lens) + 1) if losses is None else losses
    nll = np.array(losses, dtype=np.float32)[:, None]
    trace = Trace(f"c-{id}", id, MODEL, TraceSettings(), "one-pass", (7,), (8,), lens.astype(np.int32), nll)
    return Measured(trajectory, trace, measure_influence(trajectory, trace, InfluenceSettings(words)))


def find_group(measured, name):
    return next(group for group in list_groups(measured) if group.name == name)


def list_spans(units, rows):
    return list(zip(units.start[rows].tolist(), units.stop[rows].tolist(), strict=True))


def test_a_word_is_one_unit_and_its_controls_are_stretches_as_long_that_touch_no_listed_word():
    own = measure(["So", " hold", " on", ",", " a", " b", " wait", " c"])
    group = find_group([own], "hold on")
    assert list_spans(group.units, group.is_member) == [(1, 3)]
    assert list_spans(group.units, ~group.is_member) == [(3, 5), (4, 6)]
    assert group.units.before[group.is_member].tolist() == [2]
    assert group.units.after[group.is_member].tolist() == [4]
    wait = find_group([own], "wait")
    assert list_spans(wait.units, wait.is_member) == [(6, 7)]
    assert list_spans(wait.units, ~wait.is_member) == [(0, 1), (3, 4), (4, 5), (5, 6), (7, 8)]


def test_all_listed_words_have_controls_of_each_length():
    own = measure(["hold", " on", " a", " b", " wait"])
    group = find_group([own], "all listed words")
    assert list_spans(group.units, group.is_member) == [(0, 2), (4, 5)]
    assert sorted(list_spans(group.units, ~group.is_member)) == [(2, 3), (2, 4), (3, 4)]
    assert set(group.units.size[~group.is_member].tolist()) == {1, 2}


def test_two_words_side_by_side_are_two_units():
    group = find_group([measure(["hold", " on", " hold", " on", "."])], "hold on")
    assert list_spans(group.units, group.is_member) == [(0, 2), (2, 4)]


def test_a_token_that_holds_two_listed_words_is_one_unit_of_all_of_them():
    own = measure(["a", " wait, hold on", " b"])
    assert find_group([own], "all listed words").is_member.sum() == 1
    assert find_group([own], "wait").is_mixed.sum() == find_group([own], "hold on").is_mixed.sum() == 1


def test_a_word_that_never_occurs_is_a_group_without_members():
    group = find_group([measure(["a", " b"])], "wait")
    assert len(group.units) == 0


def test_parts_and_tenths_share_out_all_steps():
    measured = [measure(["Add", " 2", " +", " 3", "."], id="t"), measure(["So", " 5"] * 7, id="u")]
    groups = list(list_groups(measured))
    for family in ("part", "position"):
        members = np.array([group.is_member for group in groups if group.family == family])
        assert (members.sum(axis=0) == 1).all()
        assert members.shape[1] == 5 + 14
    everything = next(group for group in groups if group.family == "all")
    assert everything.is_member.all()
    (numbers,) = [group for group in groups if group.name == "number"]
    assert numbers.is_member.sum() == 2 + 7


def test_a_tenth_holds_the_steps_that_start_in_it():
    group = find_group([measure([" a"] * 20)], "30–40 %")
    assert group.units.start[group.is_member].tolist() == [6, 7]
    assert find_stretch(np.array([0.3, 0.7, 0.6, 1.0]), 10).tolist() == [3, 7, 6, 9]


TEXT = ["Add", " 2", "+", "3", ".", " So", " wait", ".", " It", " is", " 5", ".", " Fine", "."]


def test_sentences_are_sorted_by_what_they_hold_and_where_they_stand():
    own = measure(TEXT)
    expected = {
        "with a calculation": [(0, 5)],
        "with a listed word": [(5, 8)],
        "with other numbers": [(8, 12)],
        "without numbers": [(5, 8), (12, 14)],
        "first sentence": [(0, 5)],
        "between them": [(5, 8), (8, 12)],
        "last sentence": [(12, 14)],
    }
    for name, spans in expected.items():
        group = find_group([own], name)
        assert list_spans(group.units, group.is_member) == spans, name
    group = find_group([own], "last sentence")
    assert group.units.before[group.is_member].tolist() == [13]
    assert group.units.after[group.is_member].tolist() == [15]


@pytest.mark.parametrize(
    ("sentence", "is_calculation"),
    [
        ("x = 5.", True),
        ("5 + 3 makes eight", True),
        (r"\frac{3}{4} of it", True),
        (r"2 \times 3", True),
        ("(2) * (3)", True),
        ("There are 5 eggs.", False),
        ("a step-by-step way", False),
    ],
)
def test_what_a_calculation_is(sentence, is_calculation):
    group = find_group([measure([sentence, "\n", "End", "."])], "with a calculation")
    assert bool(group.is_member[0]) is is_calculation


@given(st.text("5a=≈ +-*.\\\n", max_size=12))
def test_a_calculation_is_an_equation_with_a_number_or_an_operator_between_two(text):
    def is_joined(i, j):
        return not any(c.isalnum() for c in text[i + 1 : j]) and any(c in "+-*" for c in text[i + 1 : j])

    digits = [i for i, character in enumerate(text) if character == "5"]
    lines = any("5" in line and ("=" in line or "≈" in line) for line in text.split("\n"))
    assert bool(CALCULATION.search(text)) is (lines or any(is_joined(i, j) for i in digits for j in digits if i < j))


@pytest.mark.parametrize(
    "text", ["1" + "-" * 40_000, "=" * 40_000, "5 a " * 10_000, "1" + "*" * 40_000, "100," * 8_000]
)
def test_a_row_of_marks_without_end_is_read_in_a_moment(text):
    """As a model that has run into a loop writes it; read again from each mark on, it took half a minute."""
    begin = time.process_time()
    CALCULATION.search(text)
    assert time.process_time() - begin < 2


def test_a_sentence_that_reaches_beyond_what_was_followed_has_no_end_though_the_next_trajectory_begins_there():
    maker = UnitMaker([measure([" a", " b"], id="t"), measure([" c", " d"], id="u")])
    assert maker.has_ends((0, 0, 2))
    assert maker.has_ends((1, 1, 2))
    assert not maker.has_ends((0, 1, 3))
    assert not maker.has_ends((1, 1, 3))
    assert not UnitMaker([measure([" a"] * 4, prefix_lens=[0, 2, 4])]).has_ends((0, 1, 4))


def test_of_a_coarse_trace_words_and_parts_are_missing_and_sentences_need_both_ends():
    own = measure(TEXT, prefix_lens=[0, 5, 8, 14])
    groups = list(list_groups([own]))
    assert {group.family for group in groups} == {"all", "position", "sentence"}
    group = find_group([own], "without numbers")
    assert list_spans(group.units, group.is_member) == [(5, 8)]
    assert len(group.units) == 2
    assert len(groups[0].units) == 3


def make_units(question, share, size, bins, text):
    units = UnitMaker([measure(["a", "b"])]).make_sentences([(0, 0, 1)] * len(question))
    columns = {"question": question, "owner": question, "size": size, "bin": bins, "text": text}
    return replace(units, share=np.array(share), **{name: np.array(v, dtype=int) for name, v in columns.items()})


def test_units_of_a_stratum_are_of_one_trajectory_or_for_sentences_of_one_question():
    units = replace(make_units([0] * 4, [0] * 4, [1] * 4, [3] * 4, [0, 1, 2, 3]), owner=np.array([0, 1, 0, 1]))
    assert number_strata(units, 1).tolist() == [0, 1, 0, 1]
    assert number_strata(units, 1, across=True).tolist() == [0] * 4


def test_units_of_a_stratum_agree_in_trajectory_place_size_and_bin():
    units = make_units(
        question=[0, 0, 1, 1, 0, 0, 0, 0],
        share=[0.1, 0.2, 0.1, 0.2, 0.6, 0.7, 0.1, 0.2],
        size=[1, 1, 1, 1, 1, 1, 2, 2],
        bins=[3] * 8,
        text=[0, 1, 0, 1, 0, 1, 0, 1],
    )
    assert len(set(number_strata(units, 2).tolist())) == 4
    assert len(set(number_strata(units, 1).tolist())) == 3


def test_a_bin_with_one_text_goes_to_the_nearest_and_of_two_equally_near_to_the_upper():
    """Bins 1, 3, 5, 9, 9 with texts a, b, c, d, e: a is lonely and joins b (the only neighbour); that block holds two.
    c is alone and as near to no other: 2 to the block below, 4 to the bin above, so it joins the lower."""
    units = make_units([0] * 5, [0] * 5, [1] * 5, [1, 3, 5, 9, 9], [0, 1, 2, 3, 4])
    assert number_strata(units, 1).tolist() == [0, 0, 0, 1, 1]
    units = make_units([0] * 5, [0] * 5, [1] * 5, [1, 1, 3, 5, 5], [0, 1, 2, 3, 4])
    assert number_strata(units, 1).tolist() == [0, 0, 1, 1, 1]


def test_one_text_in_two_bins_is_still_one_text():
    """Wait and wait are two tokens, one rare and one frequent, and can't be each other's control."""
    units = make_units([0] * 4, [0] * 4, [1] * 4, [1, 2, 7, 7], [0, 0, 1, 2])
    assert number_strata(units, 1).tolist() == [0, 0, 0, 0]


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 2, st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=25))
def test_strata_hold_two_texts_wherever_a_cell_has_two_and_never_mix_cells(rows):
    question, quarter, bins, text = zip(*rows, strict=True)
    units = make_units(question, np.array(quarter) / 4, [1] * len(rows), bins, text)
    strata = number_strata(units, 4)
    for stratum in set(strata.tolist()):
        inside = strata == stratum
        cells = {(question[i], quarter[i]) for i in np.flatnonzero(inside)}
        assert len(cells) == 1
        cell = [text[i] for i in range(len(rows)) if (question[i], quarter[i]) in cells]
        assert len({text[i] for i in np.flatnonzero(inside)}) >= min(2, len(set(cell)))
    for i, row in enumerate(rows):
        assert all(strata[i] == strata[j] for j, other in enumerate(rows) if other[:3] == row[:3])


def test_tokens_are_matched_for_how_often_they_are_written_in_all_trajectories():
    """Over both: x 4 times, y twice, z once; floor(log2) is 2, 1, 0. A stretch counts as its rarest token."""
    measured = [measure([" x", " x", " y", " z"], id="t"), measure([" x", " y", " x"], id="u", question="r")]
    maker = UnitMaker(measured)
    steps = maker.make_steps()
    assert steps.bin.tolist() == [2, 2, 1, 0, 2, 1, 2]
    assert steps.question.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert steps.share.tolist() == [0, 0.25, 0.5, 0.75, 0, 1 / 3, 2 / 3]
    assert maker.make_stretches([(0, 1, 3), (0, 2, 4)]).bin.tolist() == [1, 0]


def test_texts_that_differ_in_case_and_blanks_alone_are_one():
    text = UnitMaker([measure(["Wait", " wait", " x"])]).make_steps().text
    assert text[0] == text[1] != text[2]
