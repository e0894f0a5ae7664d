from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.efficiency.early_exit import (
    ExitRule,
    _list_due,
    count_ahead,
    find_exit,
    find_probe_ends,
    key_exits,
    simulate_exits,
    thin_readout,
    write_variant,
)
from raml.efficiency.exit_check import _Probes, verify_exits
from raml.errors import DataError, ModelError
from raml.probes import read_out_trajectory
from raml.records import Question, ReadoutSettings

EVERYTHING = ExitRule(1, 0.0)


@pytest.mark.parametrize(
    ("answers", "confidences", "rule", "expected"),
    [
        (["1", "2", "2", "2"], [1, 1, 1, 1], ExitRule(2, 0.5), 2),
        (["1", "2", "2", "2"], [1, 1, 1, 1], ExitRule(3, 0.5), 3),
        (["1", "2", "2", "2"], [1, 1, 0.4, 0.6], ExitRule(2, 0.5), 3),
        (["2", "2", "1", "2"], [0.1, 0.1, 1, 0.1], ExitRule(2, 0.5), None),
        (["2", None, "2", "2"], [1, 1, 1, 1], ExitRule(2, 0.5), 3),
        ([None, None, None, None], [1, 1, 1, 1], ExitRule(1, 0.0), None),
        (["$2$", " 2", "2.", "3"], [1, 1, 1, 1], ExitRule(3, 0.5), 2),
        (["2", "20", "2", "20"], [1, 1, 1, 1], ExitRule(2, 0.0), None),
        (["7", "7", "7", "7"], [0.9, 0.9, 0.9, 0.9], ExitRule(1, 0.95), None),
        (["7", "7", "7", "7"], [0.2, 0.2, 0.2, 0.2], ExitRule(1, 0.0), 0),
        (["7"], [1], ExitRule(2, 0.0), None),
    ],
)
def test_thinking_stops_at_the_first_prefix_where_the_rule_is_met(make_readout, answers, confidences, rule, expected):
    assert find_exit(make_readout(answers, confidences), rule) == expected


ANSWERS = st.lists(st.tuples(st.sampled_from(["1", "2", "$1$", None]), st.sampled_from([0.3, 0.7])), min_size=1)


@given(probes=ANSWERS, n_stable=st.integers(1, 4), confidence=st.sampled_from([0.0, 0.5, 1.0]))
def test_the_exit_is_what_a_count_of_equal_answers_finds(make_readout, probes, n_stable, confidence):
    run, last, expected = 0, None, None
    for i, (answer, sure) in enumerate(probes):
        plain = answer and answer.strip("$")
        run = 0 if plain is None else run + 1 if plain == last else 1
        last = plain
        if run >= n_stable and sure >= confidence and expected is None:
            expected = i
    readout = make_readout(*zip(*probes, strict=True))
    assert find_exit(readout, ExitRule(n_stable, confidence)) == expected


@given(probes=ANSWERS, n_stable=st.integers(1, 3))
def test_a_stricter_rule_never_stops_earlier(make_readout, probes, n_stable):
    readout = make_readout(*zip(*probes, strict=True))
    exits = [find_exit(readout, ExitRule(n_stable + more, sure)) for more, sure in ((0, 0.2), (0, 0.6), (1, 0.6))]
    places = [len(probes) if place is None else place for place in exits]
    assert places == sorted(places)


@pytest.mark.parametrize("rule", [(0, 0.5), (1, -0.1), (1, 1.1), (1, float("nan"))])
def test_a_rule_out_of_range_is_refused(rule):
    with pytest.raises(DataError, match="makes no sense"):
        ExitRule(*rule)


class TestSimulation:
    """A trajectory of 6 tokens, 5 of them reasoning, probed after each; answers of 3, 4, 3, 4, 3 and 4 tokens."""

    @pytest.fixture
    def item(self, make_trajectory, make_readout):
        trajectory = make_trajectory("a b c d e f", reasoning_len=5, answer="3", correct=False, verdict="wrong")
        readout = make_readout(["5", "2", "2", "2", "2", "9"], [0.5, 0.6, 0.7, 0.8, 0.9, 1.0], n_tokens=[3, 4] * 3)
        return trajectory, Question("q", "", "2"), readout

    def test_an_exit_counts_reasoning_before_it_and_all_answers_so_far(self, item):
        """Second equal answer in a row at prefix 2: 2 tokens and answers of 3 + 4 + 3."""
        [attempt] = simulate_exits([item], [ExitRule(2, 0.7)], every=1)
        assert (attempt.n_thinking, attempt.n_generated, attempt.kept) == (2, 2 + 10, ((0, 2),))
        assert (attempt.answer, attempt.correct, attempt.verdict) == ("2", True, "right")
        assert (attempt.method, attempt.variant, attempt.level) == ("early-exit", "2 probes, every token", 0.7)

    def test_an_exit_at_once_has_no_reasoning(self, item):
        [attempt] = simulate_exits([item], [EVERYTHING], every=1)
        assert (attempt.n_thinking, attempt.n_generated, attempt.kept) == (0, 3, ())
        assert (attempt.answer, attempt.correct, attempt.verdict) == ("5", False, "wrong")

    def test_without_an_exit_the_trajectory_ends_by_itself_and_the_probes_are_paid(self, item):
        """All 6 tokens, and 3 + 4 + 3 + 4 + 3 + 4 = 21 of answers."""
        [attempt] = simulate_exits([item], [ExitRule(5, 0.0)], every=1)
        assert (attempt.n_thinking, attempt.n_generated) == (5, 6 + 21)
        assert (attempt.answer, attempt.correct, attempt.verdict) == ("3", False, "wrong")

    def test_probing_less_often_costs_fewer_answers_and_waits_longer(self, item):
        """At prefixes 0, 2 and 4: answers of 3 tokens each, "2" for the second time at prefix 4."""
        [attempt] = simulate_exits([item], [ExitRule(2, 0.7)], every=2)
        assert (attempt.n_thinking, attempt.n_generated) == (4, 4 + 9)
        assert attempt.variant == "2 probes, every 2 tokens"

    def test_the_end_of_the_reasoning_is_probed_only_where_it_is_due(self, item):
        """Every 2 tokens: 0, 2, 4 but not 5. Three equal answers in a row are never read."""
        [attempt] = simulate_exits([item], [ExitRule(3, 0.0)], every=2)
        assert (attempt.n_thinking, attempt.n_generated) == (5, 6 + 9)

    def test_an_undecided_answer_stays_undecided_and_says_why(self, item):
        trajectory, question, readout = item
        task = replace(question, kind="reasoning-gym")
        [attempt] = simulate_exits([(trajectory, task, readout)], [EVERYTHING], every=1)
        assert (attempt.correct, attempt.verdict) == (None, "undecided")
        assert "--allow-code-execution" in attempt.error

    def test_answers_are_checked_against_the_question_as_it_is_now(self, item):
        """The readout holds "2" for right; since then the gold answer was corrected to 5."""
        trajectory, question, readout = item
        corrected = replace(question, answer="5")
        [attempt] = simulate_exits([(trajectory, corrected, readout)], [EVERYTHING], every=1)
        assert (attempt.answer, attempt.correct, attempt.verdict, attempt.gold) == ("5", True, "right", "5")
        [before] = simulate_exits([item], [EVERYTHING], every=1)
        assert (before.correct, before.gold) == (False, "2")
        assert before.id != attempt.id

    def test_each_rule_has_an_attempt_with_the_planned_id(self, item):
        rules = [ExitRule(1, 0.9), ExitRule(2, 0.9), ExitRule(2, 0.5)]
        made = simulate_exits([item], rules, every=1)
        assert [a.id for a in made] == key_exits(item[2], item[1], rules, 1)
        assert len({*key_exits(item[2], item[1], rules, 1), *key_exits(item[2], item[1], rules, 2)}) == 6
        assert [a.level for a in made] == [0.9, 0.9, 0.5]


def test_lines_are_named_by_probes_and_their_spacing():
    assert write_variant(ExitRule(1, 0.5), "sentence") == "1 probe, every sentence"
    assert write_variant(ExitRule(3, 0.5), 8) == "3 probes, every 8 tokens"


def test_a_sentence_end_costs_the_token_that_shows_it(make_trajectory, make_readout):
    """Sentences end at prefixes 2 and 3. The second exit costs 3 tokens, the one after them, and 3 answers of 2."""
    trajectory = make_trajectory("one two. three. four", reasoning_len=4, token_ends=(3, 8, 15, 20))
    readout = make_readout(["1", "5", "2", "2", "9"], n_tokens=[2] * 5)
    assert thin_readout(readout, trajectory, "sentence").prefix_lens.tolist() == [0, 2, 3]
    [attempt] = simulate_exits([(trajectory, Question("q", "", "2"), readout)], [ExitRule(2, 0.5)], every="sentence")
    assert (attempt.n_thinking, attempt.n_generated) == (3, 3 + 1 + 6)
    blanks_behind = replace(trajectory, token_ends=(4, 9, 16, 20))
    [attempt] = simulate_exits([(blanks_behind, Question("q", "", "2"), readout)], [ExitRule(2, 0.5)])
    assert attempt.n_generated == 3 + 6, "the token itself shows the blank after its full stop"


class Pieces:
    """A tokenizer whose ids are places in a list of texts."""

    def __init__(self, pieces):
        self.pieces = pieces

    def decode(self, ids, **options):
        return "".join(self.pieces[i] for i in ids)


def watch(pieces, finish):
    """Due prefixes of a text and the tokens beyond each: found while it is written, and computed from all of it."""
    ends = tuple(np.cumsum([len(piece) for piece in pieces], dtype=int).tolist())
    n = len(pieces)
    trajectory = SimpleNamespace(
        prompt_ids=(), token_ids=(*range(n),), token_ends=ends, text="".join(pieces), reasoning_len=n, finish=finish
    )
    loaded = SimpleNamespace(tokenizer=Pieces([*pieces, "<end>"]))
    found = []

    class Watching(_Probes):
        def _probe(self, token_ids, length):
            found.append((length, len(token_ids) - length))
            self.last_len = length

    probes = Watching(loaded, (trajectory, None), ReadoutSettings(), EVERYTHING, "sentence")
    for n_seen in range(n + 1 + (finish != "length")):
        probes.look(range(n_seen))
    return found, [(due, count_ahead(trajectory, due, "sentence")) for due in _list_due(trajectory, "sentence")]


@pytest.mark.parametrize(
    ("pieces", "finish", "expected"),
    [
        (["So", ".", '"', ")", " Then", " more"], "stop", [(0, 0), (4, 1)]),
        (["So", ".", " Then", "\n"], "stop", [(0, 0), (2, 1), (4, 1)]),  # the end mark shows the line's end
        (["So", ".", " Then", "\n"], "length", [(0, 0), (2, 1)]),  # nothing follows that could
        (["So", ". ", "Then"], "length", [(0, 0), (2, 0)]),
        (["So", "\n  ", "then"], "length", [(0, 0), (2, 0)]),
        (["So", ".\n", "\n", "Then"], "stop", [(0, 0), (2, 1)]),
    ],
)
def test_a_sentence_end_is_probed_when_it_shows(pieces, finish, expected):
    assert watch(pieces, finish) == (expected, expected)


@given(
    st.lists(st.sampled_from(["\n", "a", " b", ".", "! ", " ", "1", ".\n", '"', ")", "\n  "]), max_size=12),
    st.sampled_from(["stop", "length"]),
)
def test_probes_while_writing_are_those_computed_afterwards(pieces, finish):
    found, computed = watch(pieces, finish)
    assert found == computed


def test_many_probes_take_no_more_time_than_their_number_asks_for(make_readout):
    """Two answers are looked at for each of 1,000 probes; with all before them it would be half a million."""

    class Counted(tuple):
        n_taken = 0

        def __getitem__(self, place):
            taken = tuple.__getitem__(self, place)
            Counted.n_taken += len(taken)
            return taken

    readout = replace(make_readout(["1", "2"] * 500), answers=Counted(["1", "2"] * 500))
    assert find_exit(readout, ExitRule(2, 0.5)) is None
    assert Counted.n_taken <= 2 * 1000


def test_a_thinned_readout_is_a_coarser_one_without_the_end_that_nobody_knew(tiny, readouts):
    trajectory, question, readout = readouts[0]
    assert trajectory.reasoning_len % 7
    thin = thin_readout(readout, trajectory, 7)
    coarse = read_out_trajectory(tiny, trajectory, question.answer, replace(readout.settings, every=7))
    assert thin.prefix_lens.tolist() == coarse.prefix_lens.tolist()[:-1]
    assert thin.answers == coarse.answers[:-1]
    assert thin.token_ids == coarse.token_ids[:-1]
    np.testing.assert_allclose(thin.mean_logprob, coarse.mean_logprob[:-1], atol=1e-5)


def test_sentences_of_the_embedded_model_end_with_its_lines(readouts):
    """The line of the opening <think> says nothing; the answer follows the last line of the reasoning at once."""
    for trajectory, _, readout in readouts:
        *lines, _ = trajectory.text[: trajectory.token_ends[trajectory.reasoning_len - 1]].split("\n")
        thin = thin_readout(readout, trajectory, "sentence")
        texts = [trajectory.text[: trajectory.token_ends[n - 1]] for n in thin.prefix_lens[1:]]
        assert texts == ["\n".join(lines[: i + 1]) + "\n" for i in range(1, len(lines))]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["<think>", "\n", "One", ".", " Two", "!", "\n", "\n", "Three"], [4, 6]),
        (["1", ".", " ", "First", ".", "\n", "2", ".", " So", "?", " "], [5, 10]),
        (["\n", "\n", "1.5", " is", " it", ".", " "], [6]),
        (["No end"], []),
    ],
)
def test_what_says_nothing_by_itself_is_no_sentence(pieces, expected):
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    assert find_probe_ends("".join(pieces), ends) == expected


@given(st.lists(st.sampled_from(["<think>", "\n", "a", " b", ".", "!", " ", "1", ".\n", '"']), max_size=12), st.data())
def test_what_is_written_later_takes_no_sentence_end_away(pieces, data):
    ends = np.cumsum([len(piece) for piece in pieces], dtype=int).tolist()
    n = data.draw(st.integers(0, len(pieces)))
    so_far = "".join(pieces[:n])
    known = [k for k in find_probe_ends(so_far, ends[:n]) if not so_far.endswith("\n") or ends[k - 1] < len(so_far)]
    later = find_probe_ends("".join(pieces), ends)
    assert later[: len(known)] == known


def test_a_readout_that_lacks_a_prefix_is_refused(make_trajectory, make_readout):
    trajectory = make_trajectory("a b c d e f")
    readout = make_readout(["1"] * 4, prefix_lens=[0, 2, 4, 6])
    assert thin_readout(readout, trajectory, 4).prefix_lens.tolist() == [0, 4]
    with pytest.raises(DataError, match="no answer after 3 tokens"):
        thin_readout(readout, trajectory, 3)
    with pytest.raises(DataError, match="Probing every 0 tokens"):
        thin_readout(readout, trajectory, 0)
    with pytest.raises(DataError, match="of trajectory q-0, not of"):
        thin_readout(readout, replace(trajectory, id="other"), 2)


class TestForReal:
    """What decoding again finds, probe by probe."""

    @pytest.mark.parametrize(("every", "rule"), [("sentence", ExitRule(1, 0.9)), (20, ExitRule(1, 0.8))])
    def test_real_decoding_stops_where_the_simulation_does(self, tiny, readouts, every, rule):
        some = readouts[1:]
        simulated = simulate_exits(some, [rule], every=every)
        made, agreements, failures = verify_exits(tiny, some, rule, every=every)
        assert failures == []
        assert any(a.real is not None for a in agreements)
        assert all(a.drawn and a.n_different == 0 and a.same_exit and a.same_answer for a in agreements)
        assert made == [replace(a, error=None) for a in simulated]

    def test_an_exit_before_the_first_token_needs_no_decoding(self, tiny, readouts):
        made, [agreement], _ = verify_exits(tiny, readouts[:1], EVERYTHING)
        assert (made[0].n_thinking, agreement.real, agreement.simulated) == (0, 0, 0)
        assert made[0].n_generated == len(readouts[0][2].token_ids[0])

    def test_imported_text_is_replayed_and_says_so(self, tiny, readouts):
        trajectory, question, readout = readouts[0]
        imported = replace(trajectory, sampling=None, engine=None, logprobs=None)
        _, [agreement], _ = verify_exits(tiny, [(imported, question, readout)], ExitRule(2, 0.9), every=30)
        assert (agreement.drawn, agreement.n_different) == (False, 0)
        assert agreement.same_exit
        assert agreement.same_answer

    def test_tokens_of_another_engine_are_replayed(self, tiny, readouts):
        trajectory, question, readout = readouts[0]
        _, [agreement], _ = verify_exits(tiny, [(replace(trajectory, engine="vllm"), question, readout)], EVERYTHING)
        assert not agreement.drawn

    def test_tokens_that_come_out_otherwise_are_counted_and_the_exit_is_still_compared(self, tiny, readouts):
        trajectory, question, readout = readouts[0]
        reseeded = replace(trajectory, sampling=replace(trajectory.sampling, seed=99))
        _, [agreement], _ = verify_exits(tiny, [(reseeded, question, readout)], ExitRule(2, 0.9), every=30)
        assert agreement.drawn
        assert agreement.n_different > 3
        assert agreement.same_exit
        assert agreement.same_answer

    def test_a_readout_that_is_wrong_is_found_out(self, tiny, readouts):
        trajectory, question, readout = readouts[0]
        doctored = replace(
            readout,
            answers=tuple("77" for _ in readout.answers),
            mean_logprob=np.zeros_like(readout.mean_logprob),
        )
        _, [agreement], _ = verify_exits(tiny, [(trajectory, question, doctored)], ExitRule(2, 0.9), every=30)
        assert not agreement.same_answer
        assert not agreement.same_exit

    def test_what_cannot_be_decoded_is_named_and_the_others_go_on(self, tiny, readouts):
        trajectory, question, readout = readouts[0]
        foreign = replace(trajectory, token_ids=(9999, *trajectory.token_ids[1:]))
        coarse = replace(readouts[1][2], prefix_lens=readouts[1][2].prefix_lens + 1)
        some = [(foreign, question, readout), (*readouts[1][:2], coarse), readouts[2]]
        made, agreements, failures = verify_exits(tiny, some, EVERYTHING)
        assert [(id, type(error)) for id, error in failures] == [
            (trajectory.id, ModelError),
            (readouts[1][0].id, DataError),
        ]
        assert [a.trajectory_id for a in made] == [a.trajectory_id for a in agreements] == [readouts[2][0].id]
