"""Equality on a model that nobody here made: set RAML_REAL_MODEL to its folder and run `make test-real`."""

import os

import pytest
import torch

from raml.models import load_model
from raml.probes import read_out_trajectory, trace_trajectory
from raml.records import Question, ReadoutSettings, SamplingSettings, UpdateSettings
from raml.sampling import sample_trajectories
from raml.scoring import answer_nll_by_definition, answer_nll_in_one_pass, find_obstacle
from raml.updates import compile_trajectory, compile_update_by_definition, take_point

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif("RAML_REAL_MODEL" not in os.environ, reason="RAML_REAL_MODEL names no model folder"),
]
QUESTION = Question("eggs", "A farmer fills 3 boxes with 12 eggs each and breaks 5 eggs. How many are whole?", "31")


@pytest.fixture(scope="module")
def real():
    return load_model(os.environ["RAML_REAL_MODEL"], device="cpu")


@pytest.fixture(scope="module")
def trajectory(real):
    settings = SamplingSettings(max_new_tokens=300)
    return sample_trajectories(real, [QUESTION], settings=settings)[0]


def test_the_engine_serves_it(real):
    assert find_obstacle(real.model) is None


def test_one_pass_equals_the_definition_along_a_sampled_trajectory(real, trajectory):
    trace = trace_trajectory(real, trajectory, QUESTION.answer)
    assert trace.prefix_lens[-1] == trajectory.reasoning_len > 50
    some = torch.linspace(0, trajectory.reasoning_len, 12).long()
    parts = (trajectory.prompt_ids, trajectory.token_ids, trace.bridge_ids, trace.answer_ids)
    slow = answer_nll_by_definition(real.model, *map(torch.tensor, parts), some)
    assert slow.mean(dim=1).std() > 0.1
    torch.testing.assert_close(torch.from_numpy(trace.nll)[some], slow, rtol=0, atol=5e-5)


def test_one_pass_equals_the_definition_over_512_random_tokens(real):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, 50_000, (83 + 512 + 11,), generator=generator)
    parts = ids.split([83, 512, 8, 3])
    some = torch.tensor([0, 1, 100, 255, 256, 400, 511, 512])
    fast = answer_nll_in_one_pass(real.model, *parts, some)
    torch.testing.assert_close(fast, answer_nll_by_definition(real.model, *parts, some), rtol=0, atol=5e-5)


def test_bfloat16_is_as_near_to_float32_as_the_definition_in_bfloat16(real, trajectory):
    low = load_model(os.environ["RAML_REAL_MODEL"], device="cpu", dtype="bfloat16")
    trace = trace_trajectory(real, trajectory, QUESTION.answer)
    some = torch.linspace(0, trajectory.reasoning_len, 60).long()
    parts = [torch.tensor(p) for p in (trajectory.prompt_ids, trajectory.token_ids, trace.bridge_ids, trace.answer_ids)]
    exact = answer_nll_by_definition(real.model, *parts, some).mean(dim=1)
    theirs = (answer_nll_by_definition(low.model, *parts, some).mean(dim=1) - exact).abs()
    every = torch.arange(trajectory.reasoning_len + 1)
    ours = (answer_nll_in_one_pass(low.model, *parts, every)[some].mean(dim=1) - exact).abs()
    print(f"L̂ in bfloat16: ours off by {ours.mean():.4f} on average, {ours.max():.4f} at most;", end=" ")
    print(f"the definition by {theirs.mean():.4f} and {theirs.max():.4f} nats")
    assert ours.mean() <= 1.1 * theirs.mean()
    assert ours.max() <= 1.5 * theirs.max()


def test_the_models_own_answers_are_those_of_generate(real, trajectory):
    """Where a token leads by less than rounding the two may differ; here none does."""
    settings = ReadoutSettings(every=25, max_new_tokens=12)
    fast = read_out_trajectory(real, trajectory, QUESTION.answer, settings)
    slow = read_out_trajectory(real, trajectory, QUESTION.answer, settings, scorer="definition")
    assert len(set(fast.token_ids)) > 3
    assert fast.token_ids == slow.token_ids
    assert fast.answers == slow.answers
    torch.testing.assert_close(torch.tensor(fast.margin), torch.tensor(slow.margin), rtol=0, atol=2e-4)


def test_a_trajectory_compiled_into_weights_answers_as_in_the_context(real, trajectory):
    record, path = compile_trajectory(real, trajectory, QUESTION, UpdateSettings(n_prefixes=4))
    assert record.exact
    assert record.logit_gap < 1e-3
    assert record.prompt_gap < 1e-3
    assert record.residual.max() < 1e-5
    assert abs(record.loss[-1] - record.loss[0]) > 0.1, "the trajectory made no difference, so this shows nothing"
    assert record.updated_loss == pytest.approx(record.loss, abs=1e-3)
    ids = [torch.tensor(part) for part in (trajectory.prompt_ids, trajectory.token_ids[: trajectory.reasoning_len])]
    probe = torch.tensor(record.bridge_ids + record.answer_ids)
    one = compile_update_by_definition(real.model, *ids, probe)
    for ours, theirs in zip(take_point(path), one.layers, strict=True):
        assert (ours - theirs).measure_norm() < 1e-3 * theirs.measure_norm()
