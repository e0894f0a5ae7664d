import math
from dataclasses import replace

import pytest
import torch

from raml.efficiency import contexts as room
from raml.efficiency.contexts import (
    Context,
    answer_contexts,
    describe_readout,
    grade_own,
    key_attempt,
    make_attempt,
    run_apart,
    score_contexts,
)
from raml.errors import DataError, ModelError
from raml.probes.task import make_writing, read_answer
from raml.prompts import encode_answer, encode_text
from raml.records import Question, ReadoutSettings
from raml.scoring import answer_nll_by_definition, write_by_definition

SETTINGS = ReadoutSettings()


@pytest.fixture(scope="module")
def mixed(pairs):
    """Contexts of several questions: of every length down to none, cut into, with a target and without."""
    made = []
    for (trajectory, question), share in zip(pairs, (0, 0.2, 0.5, 0.8, 1, 1), strict=True):
        ids = trajectory.token_ids[: round(share * trajectory.reasoning_len)]
        made.append(Context(trajectory.prompt_ids, ids[:5] + ids[9:], question, None if share == 0.2 else "14"))
    return made


def by_definition(loaded, context):
    """Answer and L̂ of the target from concatenated ids, without the engine."""
    bridge = encode_text(loaded.tokenizer, SETTINGS.bridge)
    writing = make_writing(loaded, SETTINGS)
    ids = context.prompt_ids + context.token_ids
    [written] = write_by_definition(loaded.model, ids, (), bridge, [0], writing)
    loss = None
    if context.target is not None:
        answer = encode_answer(loaded.tokenizer, SETTINGS.bridge, context.target)
        parts = [torch.tensor(part, dtype=torch.long) for part in (ids, (), bridge, answer, [0])]
        loss = float(answer_nll_by_definition(loaded.model, *parts).mean())
    return written, loss


def test_answers_and_losses_are_those_of_the_definition(tiny, mixed):
    for context, answered in zip(mixed, answer_contexts(tiny, mixed), strict=True):
        written, loss = by_definition(tiny, context)
        assert answered.grade.answer == read_answer(tiny, SETTINGS, written.ids)
        assert answered.n_written == len(written.ids)
        assert answered.confidence == pytest.approx(math.exp(sum(written.logprobs) / len(written.logprobs)), abs=1e-5)
        assert answered.loss == (None if loss is None else pytest.approx(loss, abs=2e-5))


def test_a_model_that_the_engine_cannot_serve_is_asked_by_the_definition(tiny, mixed, monkeypatch):
    fast = answer_contexts(tiny, mixed[:3])
    monkeypatch.setattr(room, "choose_scorer", lambda loaded: "definition")
    monkeypatch.setattr(room, "plan_batches", None)
    for slow, quick in zip(answer_contexts(tiny, mixed[:3]), fast, strict=True):
        assert (slow.grade, slow.n_written) == (quick.grade, quick.n_written)
        assert slow.loss == (None if quick.loss is None else pytest.approx(quick.loss, abs=2e-5))


def test_order_and_company_of_contexts_do_not_matter(tiny, mixed):
    together = answer_contexts(tiny, mixed)
    for context, answered in zip(mixed[::-1], answer_contexts(tiny, mixed[::-1]), strict=True):
        [alone] = answer_contexts(tiny, [context])
        expected = together[mixed.index(context)]
        assert alone.grade == answered.grade == expected.grade
        assert alone.confidence == pytest.approx(expected.confidence, abs=1e-5)


def test_an_answer_is_checked_against_its_own_question(tiny, pairs):
    trajectory, question = next(pair for pair in pairs if pair[0].correct)
    context = Context(trajectory.prompt_ids, trajectory.token_ids[: trajectory.reasoning_len], question)
    other = replace(context, question=replace(question, answer="-1"))
    right, wrong = answer_contexts(tiny, [context, other])
    assert (right.grade.correct, right.grade.verdict) == (True, "right")
    assert (wrong.grade.correct, wrong.grade.verdict) == (False, "wrong")
    assert right.grade.answer == wrong.grade.answer


def test_nothing_asked_gives_nothing(tiny):
    assert answer_contexts(tiny, []) == []
    assert score_contexts(tiny, []) == []


def test_an_answer_that_was_cut_off_is_none_and_wrong(tiny, mixed):
    [answered] = answer_contexts(tiny, mixed[-1:], ReadoutSettings(max_new_tokens=1))
    assert (answered.grade.answer, answered.grade.correct, answered.grade.verdict) == (None, False, "no answer")
    assert answered.n_written == 1


def test_what_must_be_run_is_undecided_unless_that_is_allowed(tiny, mixed):
    context = replace(mixed[-1], question=Question("g", "", "14", kind="reasoning-gym"))
    [answered] = answer_contexts(tiny, [context])
    assert answered.grade.answer is not None
    assert answered.grade.correct is None
    assert "allow_code" in answered.grade.error


def test_numbers_that_break_down_leave_an_answer_undecided_and_never_wrong(broken, mixed):
    for answered in answer_contexts(broken, mixed[:2]):
        assert (answered.grade.answer, answered.grade.correct) == (None, None)
        assert "NaN" in answered.grade.error
    assert all(math.isnan(loss) for loss in score_contexts(broken, [mixed[0]]))


def test_a_context_that_does_not_fit_is_refused_with_both_numbers(tiny, mixed):
    long = replace(mixed[0], token_ids=(5,) * 1000)
    with pytest.raises(ModelError, match=r"take 1\d\d\d tokens; tiny accepts 1024"):
        answer_contexts(tiny, [long])


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"question": Question("p", "", "", kind="code")}, SETTINGS, "Question p asks for a program"),
        ({"prompt_ids": ()}, SETTINGS, "prompt has no tokens"),
        ({"target": " "}, SETTINGS, "answer to score is empty"),
        ({}, ReadoutSettings(bridge=""), "bridge has no tokens"),
        ({}, ReadoutSettings(max_new_tokens=0), "answer of 0 tokens"),
    ],
)
def test_what_cannot_be_asked_is_refused(tiny, mixed, changes, settings, message):
    with pytest.raises(DataError, match=message):
        answer_contexts(tiny, [replace(mixed[0], **changes)], settings)


def test_a_loss_needs_a_target(tiny, mixed):
    with pytest.raises(DataError, match="without a target"):
        score_contexts(tiny, [replace(mixed[0], target=None)])


def test_too_little_memory_is_an_error_that_says_so(tiny, mixed):
    with pytest.raises(ModelError, match="--memory"):
        answer_contexts(tiny, mixed, memory=1)


def test_the_key_changes_with_what_decides_the_answer_and_with_nothing_else(tiny, pairs):
    trajectory = pairs[0][0]

    def key(method="cut", settings=SETTINGS, loaded=tiny, trajectory=trajectory, gold="14", level=8, draw=0):
        about = describe_readout(settings)
        return key_attempt(method, about, loaded, trajectory, gold, level=level, draw=draw)

    others = [
        key(method="prune"),
        key(settings=ReadoutSettings(bridge="So: ")),
        key(settings=ReadoutSettings(max_new_tokens=8)),
        key(settings=ReadoutSettings(stop=("}",))),
        key(loaded=replace(tiny, identity=replace(tiny.identity, dtype="bfloat16"))),
        key(trajectory=pairs[1][0]),
        key(gold="15"),
        key(level=9),
        key(draw=1),
    ]
    assert len({key(), *others}) == len(others) + 1
    assert key(settings=ReadoutSettings(every=5, span="all")) == key()
    assert key(loaded=replace(tiny, identity=replace(tiny.identity, name="elsewhere", device="cuda:0"))) == key()
    assert key(level=8.0) == key()


def test_an_attempt_has_an_error_only_where_it_is_undecided(tiny, pairs):
    pair = pairs[0]
    counts = {"key": "k", "method": "cut", "level": 3, "n_thinking": 3, "n_generated": 5}
    decided = make_attempt(tiny, pair, replace(grade_own(pair[0]), correct=False, error="It printed 3."), **counts)
    undecided = make_attempt(tiny, pair, replace(grade_own(pair[0]), correct=None, error="No tests."), **counts)
    assert (decided.error, undecided.error) == (None, "No tests.")
    assert (decided.trajectory_id, decided.question_id, decided.model) == (pair[0].id, pair[1].id, tiny.identity)


def test_a_bad_trajectory_never_stops_the_others(pairs):
    bad = {pairs[1][0].id, pairs[4][0].id}

    def run(some):
        for trajectory, _ in some:
            if trajectory.id in bad:
                raise DataError(f"{trajectory.id} is bad.")
        return [trajectory.id for trajectory, _ in some]

    made, failures = run_apart(run, pairs)
    assert made == [trajectory.id for trajectory, _ in pairs if trajectory.id not in bad]
    assert [(id, str(error)) for id, error in failures] == [
        (id, f"{id} is bad.") for id in (pairs[1][0].id, pairs[4][0].id)
    ]
    assert run_apart(run, []) == ([], [])
