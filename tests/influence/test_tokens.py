"""Words, parts and steps: what is found in a text, and how far each step moved L̂."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError, NumericsError
from raml.influence.tokens import clean_words, find_parts, find_words, key_influence, measure_influence
from raml.records import InfluenceSettings, ModelIdentity, Trace, TraceSettings, Trajectory

MODEL = ModelIdentity("made-up", None, "00", "float32", "cpu")


def make(*pieces, ends=None, reasoning_len=None):
    """A trajectory from the text that each token adds."""
    text = "".join(pieces)
    ends = ends or tuple(sum(map(len, pieces[: i + 1])) for i in range(len(pieces)))
    n = len(ends) if reasoning_len is None else reasoning_len
    return Trajectory("t", "q", 0, MODEL, "think", (1,), tuple(range(len(ends))), n, text, ends)


def trace_of(trajectory, losses, prefix_lens=None, **settings):
    lens = range(len(losses)) if prefix_lens is None else prefix_lens
    nll = np.array(losses, dtype=np.float32)[:, None]
    settings = TraceSettings(**settings)
    return Trace("c", trajectory.id, MODEL, settings, "one-pass", (7,), (8,), np.array(lens, dtype=np.int32), nll)


def find(trajectory, *words):
    return [(place.word, place.start, place.stop) for place in find_words(trajectory, clean_words(words))]


def test_a_word_is_found_in_any_case_with_and_without_a_blank_in_front():
    trajectory = make("Wait", ",", " wait", " WAIT", ".", "\n", "wait", ",")
    assert find(trajectory, "wait") == [("wait", 0, 1), ("wait", 2, 3), ("wait", 3, 4), ("wait", 6, 7)]


@pytest.mark.parametrize("text", ["sincere", "insince", "since2", "since_then", "since's", "o'since"])
def test_a_part_of_a_longer_word_is_not_the_word(text):
    assert find(make(text), "since") == []


@pytest.mark.parametrize("text", ["(since)", "'since'", "since-then", "Since:", "ever since’", "**Since**"])
def test_marks_around_a_word_do_not_belong_to_it(text):
    assert len(find(make(text), "since")) == 1


@pytest.mark.parametrize(("text", "word"), [("cafe\u0301", "cafe"), ("कि", "क"), ("काम", "म")])
def test_a_mark_that_combines_with_a_letter_belongs_to_the_word(text, word):
    """An accent written by itself, and the vowel signs of Devanagari, are no letters to Python."""
    assert find(make(text), word) == []
    assert find(make(f"({word}) {text}"), word) == [(word, 0, 1)]


def test_a_word_of_several_tokens_is_one_unit_and_may_hold_any_white_space():
    trajectory = make("So", " hold", " ", "\n", " on", ",", " with", "hold", " on")
    assert find(trajectory, "hold on") == [("hold on", 1, 5)]


def test_a_word_that_the_tokenizer_splits_oddly_reaches_from_its_first_to_its_last_token():
    trajectory = make("a", " Altern", "at", "ively", ",")
    assert find(trajectory, "alternatively") == [("alternatively", 1, 4)]


def test_a_token_with_more_than_the_word_counts_and_is_called_mixed():
    trajectory = make("5", ", wait", " wait\n", "wait,", " so")
    places = find_words(trajectory, ("wait",))
    assert [(place.start, place.stop, place.is_mixed) for place in places] == [
        (1, 2, True),
        (2, 3, False),
        (3, 4, True),
    ]


def test_a_token_that_holds_two_words_is_found_for_both():
    assert find(make("x", " wait, since", "y "), "wait") == [("wait", 1, 2)]
    assert find(make("x", " wait, since", " y"), "since", "wait") == [("wait", 1, 2), ("since", 1, 2)]


def test_of_two_words_that_begin_at_one_place_the_longer_is_found():
    assert find(make("hold", " on", " hold"), "hold", "hold on") == [("hold on", 0, 2), ("hold", 2, 3)]


def test_tokens_that_complete_no_character_belong_to_the_word_that_they_begin():
    """ "ét" of a byte-level tokenizer: a, half of é, the other half, t; the half adds no character."""
    trajectory = make("a ét", ends=(2, 2, 3, 4))
    assert find(trajectory, "ét") == [("ét", 1, 4)]
    assert find(make("ét", ends=(0, 1, 2)), "ét") == [("ét", 0, 3)]


def test_a_letter_that_only_looks_alike_in_small_letters_gives_the_word_of_the_list():
    """ "ſ", the long s, equals s where case does not count."""
    assert find(make("ſince"), "since") == [("since", 0, 1)]


@pytest.mark.parametrize("words", [[], [""], ["wait", " \n"], ["..."], ["42"]])
def test_what_is_no_word_is_refused(words):
    with pytest.raises(DataError, match="word"):
        clean_words(words)


def test_words_are_listed_once_in_small_letters():
    assert clean_words(["Wait", " hold \t on", "wait", "HOLD ON"]) == ("wait", "hold on")


def test_what_regular_expressions_read_otherwise_is_taken_as_it_stands():
    assert find(make("a.b axb", " c+"), "a.b") == [("a.b", 0, 1)]


@given(st.lists(st.sampled_from(["wait", "Wait", " wait", "sincere", ",", " ", "x", "hold", " on", "\n"]), max_size=12))
def test_tokens_of_a_found_word_hold_it_and_no_token_fewer_would(pieces):
    trajectory = make(*pieces)
    for place in find_words(trajectory, ("wait", "hold on")):
        inside = "".join(pieces[place.start : place.stop]).lower().split()
        assert place.word in " ".join(inside)
        for start, stop in ((place.start + 1, place.stop), (place.start, place.stop - 1)):
            assert place.word not in " ".join("".join(pieces[start:stop]).lower().split())


def list_parts(*pieces):
    return ["/".join(sorted(parts)) for parts in find_parts(make(*pieces))]


def test_parts_of_arithmetic():
    assert list_parts("To", " add", " 1", "2", " +", " 3", ".5", "=", "15", ".", "5", ",", "\n") == [
        *("word", "word", "number", "number", "operator", "number", "number", "operator", "number", "number", "number"),
        *("", ""),
    ]


def test_commas_belong_to_thousands_and_not_to_lists():
    assert list_parts("1", ",", "000") == ["number"] * 3
    assert list_parts("5", ",", "100", ",") == ["number", "", "number", ""]
    assert list_parts("[", "0", ",", "3", "]") == ["", "number", "", "number", ""]


def test_a_list_of_numbers_without_end_is_read_in_a_moment():
    begin = time.process_time()
    find_parts(make("100," * 20_000))
    assert time.process_time() - begin < 2


def test_hyphens_bullets_emphasis_and_tags_are_no_operators():
    assert list_parts("step", "-", "by", "-", "step") == ["word", "", "word", "", "word"]
    assert list_parts("<", "think", ">") == ["", "", ""]
    assert list_parts("-", " a", "\n", "*", " b") == ["", "word", "", "", "word"]
    assert list_parts("**", "Add", "**", " 2", " *", " 3", "-", "1") == [
        *("", "word", "", "number", "operator", "number", "operator", "number")
    ]
    assert list_parts("2", "**", "3") == ["number", "operator", "number"]


def test_numbers_of_a_list_s_items_are_no_numbers():
    assert list_parts("1", ".", " Add", "\n", "2", ")", " 5") == ["", "", "word", "", "", "", "number"]


def test_latex_commands_are_operators_or_nothing():
    assert list_parts("2", " \\", "times", " 3", " \\", "left", "(", "\\frac", "{") == [
        *("number", "operator", "operator", "number", "", "", "", "operator", "")
    ]


def test_steps_are_measured_as_by_hand():
    """L̂ 2 → 1 → 1 → 0 → 0.5, ε = 0.5: |Δ|/L̂ = 1/2, 0, 1, and 0.5/0; Δ log(L̂+ε) = log of 1.5/2.5, 1, 0.5/1.5, 1/0.5."""
    trajectory = make("Wait", " 2", " +", " x2")
    influence = measure_influence(trajectory, trace_of(trajectory, [2, 1, 1, 0, 0.5]), InfluenceSettings(epsilon=0.5))
    np.testing.assert_allclose(influence.change, [-1, 0, -1, 0.5])
    np.testing.assert_allclose(influence.relative, [0.5, 0, 1, np.inf])
    np.testing.assert_allclose(influence.log_change, np.log([1.5 / 2.5, 1, 0.5 / 1.5, 2]), rtol=1e-6)
    assert influence.parts == ("word", "number", "operator", "other")
    assert influence.words == ("wait", None, None, None)
    assert influence.change.dtype == influence.relative.dtype == influence.log_change.dtype == np.float32


def test_zero_over_zero_is_unknown_and_a_tiny_loss_before_is_infinite_not_a_warning():
    trajectory = make("a", " b")
    influence = measure_influence(trajectory, trace_of(trajectory, [0, 0, 0]))
    assert np.isnan(influence.relative).all()
    assert (influence.log_change == 0).all()
    assert measure_influence(trajectory, trace_of(trajectory, [1e-44, 5, 5])).relative[0] == np.inf


def test_all_steps_of_a_word_of_several_tokens_belong_to_it():
    trajectory = make("So", " hold", " on", ".")
    assert measure_influence(trajectory, trace_of(trajectory, range(5))).words == (None, "hold on", "hold on", None)


def test_a_coarser_trace_has_longer_steps_and_a_word_only_where_its_ends_were_scored():
    trajectory = make(" 1", " 2", " wait", " x", " hold", " on")
    influence = measure_influence(trajectory, trace_of(trajectory, [1, 2, 3, 4], [0, 2, 4, 6], every=2))
    assert influence.prefix_lens.tolist() == [0, 2, 4, 6]
    assert influence.parts == ("number", "word", "word")
    assert influence.words == (None, None, "hold on")


def test_what_is_behind_the_followed_stretch_is_no_step():
    trajectory = make("a", " b", " wait", reasoning_len=2)
    assert measure_influence(trajectory, trace_of(trajectory, [1, 2, 3])).words == (None, None)


def test_key_depends_on_words_and_trace_and_not_on_how_words_are_written():
    trajectory = make("a", " b")
    trace = trace_of(trajectory, [1, 2, 3])
    plain = measure_influence(trajectory, trace, InfluenceSettings(words=("wait",)))
    assert plain.id == measure_influence(trajectory, trace, InfluenceSettings(words=(" Wait ",))).id
    assert plain.id == key_influence(trace, InfluenceSettings(words=("wait",)))
    assert plain.id != measure_influence(trajectory, trace, InfluenceSettings(words=("since",))).id


def test_traces_that_cannot_be_measured_say_why():
    trajectory = make("a", " b")
    with pytest.raises(DataError, match="no step"):
        measure_influence(trajectory, trace_of(trajectory, [1]))
    with pytest.raises(DataError, match="not of other"):
        measure_influence(replace(trajectory, id="other"), trace_of(trajectory, [1, 2]))
    with pytest.raises(DataError, match="has 2"):
        measure_influence(trajectory, trace_of(trajectory, [1, 2, 3, 4]))
    with pytest.raises(NumericsError, match="after 1 tokens"):
        measure_influence(trajectory, trace_of(trajectory, [1, np.nan, 2]))


@pytest.mark.parametrize("epsilon", [0, -1, float("nan"), float("inf")])
def test_an_epsilon_that_is_no_positive_number_is_refused(epsilon):
    trajectory = make("a")
    with pytest.raises(DataError, match="epsilon"):
        measure_influence(trajectory, trace_of(trajectory, [1, 2]), InfluenceSettings(epsilon=epsilon))


@given(st.lists(st.floats(0, 20, width=32), min_size=2, max_size=12))
def test_log_changes_add_up_to_that_of_the_whole(losses):
    trajectory = make(*[" a"] * (len(losses) - 1))
    influence = measure_influence(trajectory, trace_of(trajectory, losses))
    whole = np.log((losses[-1] + 0.01) / (losses[0] + 0.01))
    assert influence.log_change.sum(dtype=float) == pytest.approx(whole, abs=1e-4)
