from dataclasses import replace

import pytest

from raml.efficiency import cut as room
from raml.efficiency.cut import CutSettings, choose_budgets, cut_trajectories, key_cut
from raml.errors import DataError, ModelError
from raml.records import ReadoutSettings

BUDGETS = (0, 7, 20, 45, 1000)


@pytest.fixture(scope="module")
def attempts(tiny, pairs):
    made, failures = cut_trajectories(tiny, pairs, CutSettings(BUDGETS))
    assert failures == []
    return made


def test_there_is_an_attempt_for_each_trajectory_and_budget_with_the_planned_ids(tiny, pairs, attempts):
    assert [a.id for a in attempts] == [
        key for trajectory, question in pairs for key in key_cut(tiny, trajectory, question, CutSettings(BUDGETS))
    ]
    assert [a.level for a in attempts] == [*BUDGETS] * len(pairs)
    assert {(a.method, a.variant, a.draw) for a in attempts} == {("cut", "", 0)}


def test_a_cut_is_the_readout_after_the_same_prefix(attempts, readouts):
    n_compared = 0
    for trajectory, _, readout in readouts:
        lens = readout.prefix_lens.tolist()
        for attempt in attempts:
            budget = int(attempt.level)
            if attempt.trajectory_id != trajectory.id or budget >= trajectory.reasoning_len:
                continue
            place = lens.index(budget)
            assert (attempt.answer, attempt.correct) == (readout.answers[place], readout.correct[place])
            assert attempt.n_thinking == budget
            assert attempt.n_generated == budget + len(readout.token_ids[place])
            assert attempt.kept == (((0, budget),) if budget else ())
            n_compared += 1
    assert n_compared >= 3 * len(readouts)


def test_reasoning_that_ended_before_the_budget_keeps_its_own_answer_and_all_its_tokens(attempts, pairs):
    for trajectory, _ in pairs:
        [whole] = [a for a in attempts if a.trajectory_id == trajectory.id and a.level == 1000]
        assert (whole.answer, whole.correct, whole.verdict) == (
            trajectory.answer,
            trajectory.correct,
            trajectory.verdict,
        )
        assert (whole.n_thinking, whole.n_generated) == (trajectory.reasoning_len, len(trajectory.token_ids))


def test_a_budget_as_long_as_the_reasoning_is_no_cut(tiny, pairs):
    trajectory, _ = pairs[0]
    length = trajectory.reasoning_len
    made, _ = cut_trajectories(tiny, pairs[:1], CutSettings((length - 1, length)))
    assert [a.n_thinking for a in made] == [length - 1, length]
    assert made[1].n_generated == len(trajectory.token_ids)


def test_what_the_sampler_cut_off_never_ended_and_is_asked_for_its_answer(tiny, pairs, readouts):
    trajectory, question = pairs[0]
    _, _, readout = readouts[0]
    n = 30
    cut_off = replace(
        trajectory, token_ids=trajectory.token_ids[:n], token_ends=trajectory.token_ends[:n],
        text=trajectory.text[: trajectory.token_ends[n - 1]], reasoning_len=n, finish="length",
        answer=None, correct=False, verdict="no answer",
    )  # fmt: skip
    made, failures = cut_trajectories(tiny, [(cut_off, question)], CutSettings((10, 500)))
    assert failures == []
    assert [a.n_thinking for a in made] == [10, n]
    assert made[1].answer == readout.answers[n]
    assert made[1].n_generated == n + len(readout.token_ids[n])


def test_an_undecided_trajectory_stays_undecided_and_says_why(tiny, pairs):
    trajectory, question = pairs[0]
    unknown = replace(trajectory, correct=None, verdict="undecided", error="The question is at fault.")
    [whole], _ = cut_trajectories(tiny, [(unknown, question)], CutSettings((1000,)))
    assert (whole.correct, whole.error) == (None, "The question is at fault.")


def test_trajectories_that_do_not_fit_are_named_and_the_others_go_on(tiny, pairs):
    trajectory, question = pairs[0]
    long = replace(trajectory, id="long", token_ids=(5,) * 1200, reasoning_len=1100)
    foreign = replace(trajectory, id="foreign", token_ids=(9999, *trajectory.token_ids[1:]))
    program = (replace(trajectory, id="program"), replace(question, kind="code"))
    some = [(long, question), (foreign, question), program, *pairs[:2]]
    made, failures = cut_trajectories(tiny, some, CutSettings((5, 1050)))
    assert {a.trajectory_id for a in made} == {pairs[0][0].id, pairs[1][0].id}
    assert {id: type(error) for id, error in failures} == {
        "long": ModelError, "foreign": ModelError, "program": DataError,
    }  # fmt: skip


def test_a_failing_batch_is_tried_again_one_by_one(tiny, pairs, monkeypatch):
    real = room.run_in_batches

    def run(loaded, jobs, **options):
        if any(job.trajectory_ids[:20] == pairs[2][0].token_ids[:20] for job in jobs):
            raise ModelError("Out of memory.")
        return real(loaded, jobs, **options)

    monkeypatch.setattr(room, "run_in_batches", run)
    made, failures = cut_trajectories(tiny, pairs[:3], CutSettings((20,)))
    assert [id for id, _ in failures] == [pairs[2][0].id]
    assert [a.trajectory_id for a in made] == [pairs[0][0].id, pairs[1][0].id]


def test_an_id_does_not_depend_on_the_other_budgets(tiny, pairs):
    alone = key_cut(tiny, *pairs[0], CutSettings((7,)))
    assert alone == key_cut(tiny, *pairs[0], CutSettings(BUDGETS))[1:2]
    assert alone != key_cut(tiny, *pairs[0], CutSettings((7,), ReadoutSettings(max_new_tokens=9)))


def test_default_budgets_are_shares_of_a_usual_long_reasoning(make_trajectory):
    """All are 160 tokens long: 1/16 is 10, 1/8 is 20, and so on up to 160."""
    assert choose_budgets([make_trajectory("word " * 160)] * 3) == (10, 20, 40, 80, 120, 160)


def test_default_budgets_of_short_reasoning_are_at_least_a_token_and_differ(make_trajectory):
    """Of 3 tokens: 0.19, 0.38, 0.75 and 1.5 become 1; 2.25 (2.2 to two digits) becomes 2."""
    assert choose_budgets([make_trajectory("one two three")]) == (1, 2, 3)


def test_nothing_to_cut_off_is_an_error(make_trajectory):
    with pytest.raises(DataError, match="nothing to cut off"):
        choose_budgets([make_trajectory(reasoning_len=0)])


@pytest.mark.parametrize("budgets", [(), (5, -1)])
def test_impossible_budgets_are_refused(budgets):
    with pytest.raises(DataError, match="Budgets are"):
        CutSettings(budgets)
