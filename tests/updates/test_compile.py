"""Records of updates, and what updates do to other questions."""

from dataclasses import replace

import numpy as np
import pytest

from raml.errors import DataError
from raml.probes import trace_trajectory
from raml.records import TraceSettings, UpdateSettings
from raml.sampling import ask_oracle
from raml.scoring import answer_nll_by_definition
from raml.tiny import make_questions
from raml.updates import choose_others, compile_trajectory, key_update, plan_bare, score_bare, take_point

BRIDGE = UpdateSettings.bridge


@pytest.fixture(scope="module")
def world(tiny):
    questions = make_questions(4, split="test")
    return questions, [ask_oracle(tiny, question, 1)[0] for question in questions]


@pytest.fixture(scope="module")
def compiled(tiny, world):
    questions, trajectories = world
    jobs = plan_bare(tiny, questions, trajectories, BRIDGE)
    others = {name: jobs[name] for name in choose_others([*jobs], questions[0].id, 2)}
    settings = UpdateSettings(n_prefixes=12)
    return others, compile_trajectory(tiny, trajectories[0], questions[0], settings, others=others)


def test_the_record_certifies_every_point(world, compiled):
    trajectories = world[1]
    record = compiled[1][0]
    assert record.exact
    assert record.rank == len(record.bridge_ids) + len(record.answer_ids)
    assert record.prefix_lens[0] == 0
    assert record.prefix_lens[-1] == trajectories[0].reasoning_len
    assert record.logit_gap < 1e-3
    assert record.prompt_gap < 1e-3
    assert record.residual.max() < 1e-5
    np.testing.assert_allclose(record.loss, record.updated_loss, atol=1e-4)
    np.testing.assert_allclose((record.norm.astype(float) ** 2).sum(axis=1), np.diag(record.gram), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(record.gram, record.gram.T, rtol=1e-6, atol=1e-6)


def test_its_loss_is_the_trace_s(tiny, world, compiled):
    questions, trajectories = world
    _, (record, _) = compiled
    trace = trace_trajectory(tiny, trajectories[0], questions[0].answer, TraceSettings())
    places = np.searchsorted(trace.prefix_lens, record.prefix_lens)
    np.testing.assert_allclose(record.loss, trace.mean_nll[places], atol=1e-4)


def test_other_questions_are_asked_with_the_update_and_without(tiny, world, compiled):
    import torch

    others, (record, path) = compiled
    jobs = list(others.values())
    assert record.other_ids == tuple(others)
    bare = score_bare(tiny, jobs)
    by_definition = []
    for job in jobs:
        ids = [torch.tensor(part) for part in (job.prompt_ids, (), job.bridge_ids, job.answers[0])]
        ids[1] = ids[1].long()
        by_definition.append(answer_nll_by_definition(tiny.model, *ids, torch.tensor([0])).mean())
    assert torch.allclose(bare, torch.stack(by_definition), atol=1e-4)
    changed = score_bare(tiny, jobs, take_point(path))
    np.testing.assert_allclose(record.other_change, (changed - bare).numpy(), atol=1e-5)
    assert np.abs(record.other_change).max() > 0.01


def test_others_follow_in_a_circle():
    assert choose_others(["a", "b", "c", "d"], "c", 2) == ["d", "a"]
    assert choose_others(["a", "b"], "a", 8) == ["b"]
    assert choose_others(["a"], "a", 8) == []


def test_the_key_tells_settings_answers_and_others_apart(tiny, world):
    questions, trajectories = world
    jobs = plan_bare(tiny, questions, trajectories, BRIDGE)
    keys = [
        key_update(tiny.identity, trajectories[0], "4", UpdateSettings()),
        key_update(tiny.identity, trajectories[0], "5", UpdateSettings()),
        key_update(tiny.identity, trajectories[1], "4", UpdateSettings()),
        key_update(tiny.identity, trajectories[0], "4", UpdateSettings(n_prefixes=3)),
        key_update(tiny.identity, trajectories[0], "4", UpdateSettings(), jobs),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == key_update(tiny.identity, trajectories[0], "4", UpdateSettings(), {})


def test_programs_and_empty_paths_are_refused(tiny, world):
    questions, trajectories = world
    with pytest.raises(DataError, match="program"):
        compile_trajectory(tiny, trajectories[0], replace(questions[0], kind="code"))
    with pytest.raises(DataError, match="n_prefixes"):
        compile_trajectory(tiny, trajectories[0], questions[0], UpdateSettings(n_prefixes=1))


def test_an_empty_trajectory_stays_where_it_is(tiny, world):
    questions, trajectories = world
    empty = replace(trajectories[0], token_ids=(), text="", token_ends=(), reasoning_len=0)
    record, _ = compile_trajectory(tiny, empty, questions[0])
    assert record.prefix_lens.tolist() == [0]
    assert record.norm.max() < 1e-3
