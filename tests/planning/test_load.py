"""Amounts of work by hand, and costs that are found again."""

from dataclasses import replace

import pytest

from raml.errors import DataError
from raml.planning.generation import Batch, expect_longest, list_pieces
from raml.planning.load import Load, add_up, fit_costs, read_text
from raml.planning.paths import load_alignment, load_path
from raml.planning.record import Duration
from raml.planning.tracing import load_batch
from raml.prompts import decode_tokens
from raml.records import AlignmentSettings, PromptSettings, Question, SamplingSettings
from raml.sampling import SampleUnit
from raml.scoring import Job
from raml.updates.probe import Probe


def test_each_token_of_a_text_attends_to_all_before_it_and_to_itself():
    assert read_text(3, start=2) == Load(calls=1, rows=3, products=3 + 4 + 5)


def test_a_trace_reads_prompt_and_text_once_and_the_branch_after_every_prefix(tiny):
    job = Job((3, 4), (5, 6, 7), (8, 9), ((10, 11),), (0, 3))
    load = load_batch(tiny, [job])
    # The branch is bridge and all but the answer's last token: 3 tokens, twice.
    assert load.rows == 5 + 2 * 3
    # Text 1 … 5; branches after 2 and after 5 positions, each token also sees its own branch up to itself.
    assert load.products == 15 + (3 + 4 + 5) + (6 + 7 + 8)
    assert load.calls == 2


def test_a_prompt_that_trajectories_share_is_read_once(tiny):
    one = Job((3, 4, 5), (6,), (8,), ((10,),), (1,))
    other = Job((3, 4, 5), (7,), (8,), ((10,),), (1,))
    assert load_batch(tiny, [one, other]).rows == load_batch(tiny, [one]).rows * 2 - 3


def test_a_batch_goes_on_until_its_last_row_ends():
    load = Batch(prompt_lens=(4, 2), n_steps=3).load
    # Both rows have 4 positions, the first token comes out of that pass, two more steps follow at 5 and 6 positions.
    assert load == Load(calls=3, rows=2 * 4, products=2 * 10 + 2 * (5 + 6), written=2 * 2)


def test_the_first_pieces_of_writing_have_one_response_a_full_batch_and_a_long_text(tiny):
    question = Question("q", "What is 1 + 1?", "2")
    units = [SampleUnit(f"{i}", question, i, PromptSettings(), (3,) * n) for i, n in enumerate((10, 12, 20))]
    pieces = [piece.expected for piece in list_pieces(tiny, units, SamplingSettings(), most=400)]
    # Two steps of one: its prompt and one token more; four of all three after 8 tokens each; two after 20 + 256 tokens.
    assert pieces[0] == Load(calls=2, rows=10, products=55 + 11, written=1)
    assert pieces[1] == Load(calls=4, rows=24, products=3 * 36 + 3 * (9 + 10 + 11), written=3 * 3)
    assert pieces[2] == Load(calls=2, rows=276, products=276 * 277 / 2 + 277, written=1)
    assert pieces[4].written == 3 * 11
    # The second text is as long as a response of 400 lets it be.
    assert pieces[5].rows == 20 + 400 - 8
    # Where responses are no longer than the first such text, it is not read twice.
    few = [piece.expected.rows for piece in list_pieces(tiny, units, SamplingSettings(), most=264)]
    assert few.count(20 + 256) == 1
    # None writes more than is allowed.
    short = [piece.expected for piece in list_pieces(tiny, units, SamplingSettings(), most=5)]
    assert max(load.calls for load in short) == 5


def test_gradients_at_the_points_of_a_path_are_taken_several_at_a_time(tiny, make_trajectory):
    ids = (3, 4, 5, 6, 7, 8, 9, 10)
    text, ends = decode_tokens(tiny.tokenizer, ids)
    about = {"text": text, "token_ids": ids, "token_ends": ends, "reasoning_len": len(ids), "model": tiny.identity}
    trajectory = replace(make_trajectory(), prompt_ids=(3,) * 100, **about)
    question = Question("q", "What is 1 + 1?", "2")
    few, many = (
        load_alignment(tiny, trajectory, question, AlignmentSettings(n_prefixes=n), is_first=False).calls
        for n in (4, 8)
    )
    # Prompts of 100 tokens and probes of fewer than 28: of 512, four points forward and back at once.
    assert (few, many) == (3 + 2, 3 + 2 * 2)


def test_a_path_reads_the_probe_after_every_prefix_with_and_without_the_text():
    probe = Probe((1, 2), (3, 4, 5, 6), (7,), (8, 9))
    load = load_path(probe, 3)  # prefixes 0, 2 and 4
    assert load.rows == 6 + 2 * 3 * 3
    assert load.solved == 3 * 3 + 2
    with_text = sum(2 + n + place for n in (0, 2, 4) for place in (1, 2, 3))
    assert load.products == 21 + with_text + 3 * (3 + 4 + 5)


def test_the_longest_of_two_is_expected_by_its_distribution():
    # Of lengths 1 and 3 drawn twice, the larger is 3 in three cases of four.
    assert expect_longest([3, 1], 2) == pytest.approx(2.5)
    assert expect_longest([7], 5) == pytest.approx(7)


def test_costs_are_found_again_from_pieces_of_several_sizes():
    def take(load):
        return Duration(0.5 * load.calls + 0.01 * load.rows + 1e-4 * load.products, 2 * load.rows)

    loads = [read_text(n, start=start) * calls for n, start, calls in ((5, 0, 1), (50, 0, 2), (20, 400, 1), (9, 9, 9))]
    asked = read_text(1000)
    costs = fit_costs([(load, take(load)) for load in loads], asked)
    assert costs.wall == pytest.approx((0.5, 0.01, 1e-4, 0, 0, 0), abs=1e-9)
    assert costs.predict(asked).wall_s == pytest.approx(take(asked).wall_s)
    assert costs.predict(asked).cpu_s == pytest.approx(2000)


def test_a_cost_is_never_negative():
    costs = fit_costs([(read_text(10), Duration(1, 1)), (read_text(1000), Duration(0.5, 0.5))], Load(1))
    assert min(costs.wall) >= 0


def test_work_that_is_none_of_the_kinds_costs_nothing():
    assert fit_costs([(Load(), Duration(1, 1))], Load()).predict(Load(1, 2, 3)) == Duration(0, 0)


def test_costs_need_something_measured():
    with pytest.raises(DataError, match="Nothing was measured"):
        fit_costs([], Load())


@pytest.mark.parametrize("times", [1, 1000])
def test_what_can_not_be_told_apart_is_charged_to_tokens_rather_than_to_what_grows_most(times):
    # Two pieces, in which inner products grow as tokens do, and a whole with a hundred times more of them.
    pieces = [(Load(8, 100, paired=100), Duration(9, 9)), (Load(8, 1000, paired=1000), Duration(18, 18))]
    asked = Load(80, 10_000, paired=10**6) * times
    # A second for a pass, and a hundredth for a token.
    assert fit_costs(pieces, asked).predict(asked).wall_s == pytest.approx(180 * times, rel=0.02)


def test_loads_add_up():
    assert add_up([Load(1, 2, 3, 4, 5, 6), Load(10, 20, 30, 40, 50, 60)]) == Load(11, 22, 33, 44, 55, 66)
