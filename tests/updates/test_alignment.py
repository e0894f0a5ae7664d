"""Alignment against dense weights, and the laws that its numbers obey."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from raml.errors import DataError, ModelError, NumericsError
from raml.models import LoadedModel
from raml.probes import trace_trajectory
from raml.records import AlignmentSettings, Question
from raml.sampling import make_imported
from raml.store.tables import read_table, write_table
from raml.updates.alignment import (
    Start,
    draw_span_cosines,
    key_alignment,
    measure_alignment,
    measure_ceiling,
    measure_start,
)
from raml.updates.factors import LowRank, inner_product
from raml.updates.gradient import compute_gradient
from raml.updates.nulls import NullText
from raml.updates.path import trace_path
from raml.updates.probe import plan_probe
from tests.scoring.conftest import build_model

TEXT = "<think>\n17+25-4*3=17+25-12=42-12=30\n</think>\n\n\\boxed{30}"
QUESTION = Question("q", "Calculate 17+25-4*3.", "30")
SETTINGS = AlignmentSettings(n_prefixes=4, n_directions=3, step_share=1e-3)


@pytest.fixture(scope="module")
def small(tiny):
    """A random model of three layers in float64 that reads tiny's tokens, so that whole weights are cheap."""
    model = build_model("llama", vocab_size=len(tiny.tokenizer)).double()
    return LoadedModel(model, tiny.tokenizer, tiny.identity)


@pytest.fixture(scope="module")
def trajectory(small):
    return make_imported(small, QUESTION, TEXT, 0)


@pytest.fixture(scope="module")
def probe(small, trajectory):
    return plan_probe(small, trajectory, QUESTION, SETTINGS.bridge, SETTINGS.span)


@pytest.fixture(scope="module")
def alignment(small, trajectory):
    return measure_alignment(small, trajectory, QUESTION, SETTINGS)


@pytest.fixture(scope="module")
def path(small, probe, alignment):
    lens = (0, *alignment.prefix_lens.tolist())
    return trace_path(small.model, probe.prompt_ids, probe.trajectory_ids, probe.ids, lens, len(probe.answer_ids))


def differentiate_densely(model, probe, changes):
    """The answer's loss and −∇L of every down projection, of a copy with changed weights."""
    changed = copy.deepcopy(model)
    downs = [layer.mlp.down_proj.weight for layer in changed.model.layers]
    with torch.no_grad():
        for weight, change in zip(downs, changes, strict=True):
            weight += change
    ids = torch.tensor(probe.prompt_ids + probe.ids)
    logits = changed(input_ids=ids[None]).logits[0]
    n_answer = len(probe.answer_ids)
    loss = -logits.log_softmax(-1)[-n_answer - 1 : -1].gather(1, ids[-n_answer:, None]).mean()
    return loss.item(), [-gradient for gradient in torch.autograd.grad(loss, downs)]


def find_cosine(ours, theirs):
    """Of two lists of matrices, as two long vectors."""
    ours, theirs = (torch.cat([matrix.flatten() for matrix in side]) for side in (ours, theirs))
    return (ours @ theirs / (ours.norm() * theirs.norm())).item()


def test_every_number_is_that_of_whole_weights_and_automatic_differentiation(small, probe, alignment, path):
    points = [[layer[i].make_dense() for layer in path.layers] for i in range(len(path.prefix_lens))]
    base_loss, descent = differentiate_densely(small.model, probe, [torch.zeros_like(m) for m in points[0]])
    assert alignment.base_loss == pytest.approx(base_loss, abs=1e-6)
    before = points[0]
    for i, point in enumerate(points[1:]):
        loss, _ = differentiate_densely(small.model, probe, point)
        assert alignment.loss[i] == pytest.approx(loss, abs=1e-5)
        assert alignment.norm[i] == pytest.approx(math.sqrt(sum(m.square().sum().item() for m in point)), rel=1e-5)
        assert alignment.total_cosine[i] == pytest.approx(find_cosine(point, descent), abs=1e-6)
        for layer in range(3):
            assert alignment.cosine[i, layer] == pytest.approx(find_cosine([point[layer]], [descent[layer]]), abs=1e-6)
        down = sum((m * d).sum().item() for m, d in zip(point, descent, strict=True))
        assert alignment.predicted[i] == pytest.approx(-down, rel=1e-4, abs=1e-6)
        step = [now - old for now, old in zip(point, before, strict=True)]
        _, descent_there = differentiate_densely(small.model, probe, before)
        assert alignment.step_cosine[i] == pytest.approx(find_cosine(step, descent_there), abs=1e-6)
        down = sum((m * d).sum().item() for m, d in zip(step, descent_there, strict=True))
        assert alignment.step_predicted[i] == pytest.approx(-down, rel=1e-4, abs=1e-6)
        before = point
    assert np.abs(alignment.total_cosine).min() > 1e-4, "nothing was compared"


def test_the_first_step_and_the_first_update_are_the_same(alignment):
    assert alignment.step_cosine[0] == pytest.approx(alignment.total_cosine[0], abs=1e-6)
    assert alignment.step_predicted[0] == pytest.approx(alignment.predicted[0], rel=1e-5)


def test_similarity_is_that_of_outputs_with_text_and_after_one_sgd_step_on_whole_weights(
    small, probe, trajectory, alignment
):
    def find_outputs(model, ids):
        states = model.model(torch.tensor(ids)[None], output_hidden_states=True).hidden_states[1:-1]
        return [layer[0, -len(probe.ids) :] for layer in states]  # the last one is normalised

    stepped = copy.deepcopy(small.model)
    downs = [layer.mlp.down_proj.weight for layer in stepped.model.layers]
    _, descent = differentiate_densely(small.model, probe, [torch.zeros_like(weight) for weight in downs])
    whole, length = (math.sqrt(sum(m.square().sum().item() for m in side)) for side in (downs, descent))
    with torch.no_grad():
        for weight, direction in zip(downs, descent, strict=True):
            weight += 1e-3 * whole / length * direction
        bare = find_outputs(small.model, probe.prompt_ids + probe.ids)
        moved = find_outputs(stepped, probe.prompt_ids + probe.ids)
        for i, prefix_len in enumerate(alignment.prefix_lens):
            text = probe.prompt_ids + trajectory.token_ids[:prefix_len] + probe.ids
            for layer, output in enumerate(find_outputs(small.model, text)):
                expected = find_cosine([output - bare[layer]], [moved[layer] - bare[layer]])
                assert alignment.similarity[i, layer] == pytest.approx(expected, abs=1e-5)


def test_one_sgd_step_is_perfectly_aligned_and_lowers_the_loss_as_predicted(small, probe):
    """Were θ' = θ − η∇L, every cosine would be 1 and the change of L −η |∇L|²: the yardstick itself."""
    start = measure_start(small.model, probe, 1e-3)
    step = [LowRank(-1e-6 * layer.left[None], layer.right[None]) for layer in start.gradient]
    product = sum(inner_product(update, gradient) for update, gradient in zip(step, start.gradient, strict=True))
    length = sum(update.measure_norm().square() for update in step).sqrt()
    assert (-product / (length * start.squares.sum().sqrt())).item() == pytest.approx(1, abs=1e-12)
    change = compute_gradient(small.model, probe, step).loss.item() - start.loss
    assert change == pytest.approx(-1e-6 * start.squares.sum().item(), rel=1e-2)


def test_no_cosine_exceeds_the_ceiling_and_the_best_change_of_the_form_reaches_it(path, probe, small, alignment):
    start = measure_start(small.model, probe, 1e-3)
    updates = [layer[1:] for layer in path.layers]
    ceiling = measure_ceiling(updates, start)
    np.testing.assert_allclose(ceiling, alignment.ceiling, rtol=1e-5)
    assert ((ceiling > 0.05) & (ceiling < 1)).all()
    assert (np.abs(alignment.total_cosine) <= alignment.ceiling).all()
    assert (np.abs(alignment.span_cosine) <= alignment.ceiling[:, None]).all()
    best, descent = [], []
    for update, gradient in zip(updates, start.gradient, strict=True):
        # Rows of −∇L, projected onto the span of the right factors.
        _, _, rows = torch.linalg.svd(update.right[-1].double(), full_matrices=False)
        descent.append(-gradient.make_dense().double())
        best.append(descent[-1] @ rows.T @ rows)
    assert find_cosine(best, descent) == pytest.approx(ceiling[-1].item(), rel=1e-6)


def test_the_updates_see_nothing_of_the_gradient_at_the_prompt_s_positions(path, probe, small):
    start, n_prompt = measure_start(small.model, probe, 1e-3), len(probe.prompt_ids)
    for update, gradient in zip(
        path.layers[:-1], start.gradient[:-1], strict=True
    ):  # the last layer is read nowhere else
        there = LowRank(gradient.left[:n_prompt], gradient.right[:n_prompt])
        here = LowRank(gradient.left[n_prompt:], gradient.right[n_prompt:])
        assert there.measure_norm() > 0.01 * here.measure_norm()
        assert inner_product(update[-1], there).abs() < 1e-9 * update[-1].measure_norm() * there.measure_norm()


def test_random_directions_are_spread_as_gaussian_weights_say():
    """left = 1-vectors e1, e2, right = e1, e2 and ∇L = e1 ⊗ e1: the cosine is −w_11/|w|, whose mean square is 1/4."""
    basis = torch.eye(4, dtype=torch.float64)[:2]
    start = Start(0.0, (LowRank(basis[:1], basis[:1]),), torch.ones(1, dtype=torch.float64), ())
    cosines = draw_span_cosines([LowRank(3 * basis[None], 2 * basis[None])], start, 4000, seed=7)
    assert cosines.shape == (1, 4000)
    assert cosines.square().mean().item() == pytest.approx(1 / 4, abs=0.02)
    assert cosines.mean().item() == pytest.approx(0, abs=0.03)
    np.testing.assert_array_equal(
        cosines, draw_span_cosines([LowRank(3 * basis[None], 2 * basis[None])], start, 4000, seed=7)
    )


def test_layers_count_by_their_updates_norm_in_random_directions():
    """Two layers, rank 1, ∇L only in the first: the cosine is ± |ΔD_1| / (|ΔD_1|² + |ΔD_2|²)^½ = 3/5."""
    one = torch.ones(1, 1, dtype=torch.float64)
    gradient = LowRank(one, one), LowRank(0 * one, one)
    start = Start(0.0, gradient, torch.tensor([1.0, 0.0], dtype=torch.float64), ())
    cosines = draw_span_cosines(
        [LowRank(3 * one[None], one[None]), LowRank(4 * one[None], one[None])], start, 9, seed=0
    )
    np.testing.assert_allclose(cosines.abs(), 0.6, rtol=1e-12)


def test_a_null_text_has_the_numbers_of_a_trajectory_with_its_tokens(small, trajectory, probe):
    ids = trajectory.token_ids[len(probe.trajectory_ids) - 1 :: -1]
    null = measure_alignment(small, trajectory, QUESTION, SETTINGS, null=NullText("shuffled", ids))
    assert null.text == "shuffled"
    token_ids = ids + trajectory.token_ids[len(ids) :]
    with_it = replace(trajectory, token_ids=token_ids, text=small.tokenizer.decode(token_ids))
    own = measure_alignment(small, with_it, QUESTION, SETTINGS)
    assert own.base_loss == null.base_loss
    names = [name for name, value in vars(own).items() if isinstance(value, np.ndarray)]
    names.remove("span_cosine")  # drawn with another seed for each text
    assert {"cosine", "total_cosine", "predicted", "step_cosine", "similarity", "ceiling"} <= set(names)
    for name in names:
        np.testing.assert_array_equal(getattr(null, name), getattr(own, name), err_msg=name)
    unshuffled = measure_alignment(small, trajectory, QUESTION, SETTINGS)
    assert np.abs(unshuffled.total_cosine - null.total_cosine).max() > 1e-4, "any text would have passed"


def test_losses_are_those_of_a_trace(tiny):
    trajectory = make_imported(tiny, QUESTION, TEXT, 0)
    alignment = measure_alignment(tiny, trajectory, QUESTION, SETTINGS)
    curve = trace_trajectory(tiny, trajectory, QUESTION.answer).mean_nll
    assert alignment.base_loss == pytest.approx(curve[0], abs=1e-4)
    np.testing.assert_allclose(alignment.loss, curve[alignment.prefix_lens], atol=1e-4)
    assert alignment.prefix_lens.tolist() == [round(i * trajectory.reasoning_len / 4) for i in range(1, 5)]


def test_records_survive_the_disk(alignment, tmp_path):
    path = tmp_path / "alignments.parquet"
    write_table(path, [alignment], type(alignment))
    (back,) = read_table(path, type(alignment))
    for name, value in vars(alignment).items():
        np.testing.assert_array_equal(getattr(back, name), value)


def test_the_id_tells_texts_settings_and_answers_apart(tiny, trajectory):
    def key(gold="30", null=None, **changes):
        return key_alignment(tiny.identity, trajectory, gold, AlignmentSettings(**changes), null)

    keys = [key(), key("31"), key(seed=1), key(null=NullText("shuffled", (3, 4))), key(null=NullText("shuffled", (4,)))]
    assert len(set(keys)) == 5
    assert key() == key()


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_prefixes", 0), ("n_directions", 0), ("step_share", 0.0), ("step_share", math.inf), ("seed", -1)],
)
def test_settings_out_of_range_are_named(small, trajectory, name, value):
    with pytest.raises(DataError, match=f"^--{name.replace('_', '-')} is {value}; it must be"):
        measure_alignment(small, trajectory, QUESTION, AlignmentSettings(**{name: value}))


def test_an_answer_whose_loss_has_no_gradient_is_refused(tiny, trajectory):
    model = build_model("llama", vocab_size=len(tiny.tokenizer))
    with torch.no_grad():
        model.lm_head.weight.zero_()
    with pytest.raises(NumericsError, match=rf"Trajectory {trajectory.id}.* no direction"):
        measure_alignment(LoadedModel(model, tiny.tokenizer, tiny.identity), trajectory, QUESTION, SETTINGS)


def test_an_empty_text_is_refused(small, trajectory):
    with pytest.raises(DataError, match="has no tokens"):
        measure_alignment(small, trajectory, QUESTION, SETTINGS, null=NullText("shuffled", ()))


def test_a_text_whose_update_is_not_exact_is_refused(tiny, trajectory, probe):
    n_positions = len(probe.prompt_ids) + len(probe.ids)
    model = build_model("llama", vocab_size=len(tiny.tokenizer), intermediate_size=n_positions - 1)
    expected = (
        rf"^Trajectory {trajectory.id}: prompt, bridge and answer have {n_positions} positions, the feed-forward part "
        rf"{n_positions - 1} inputs; the update is not exact there"
    )
    with pytest.raises(DataError, match=expected):
        measure_alignment(LoadedModel(model, tiny.tokenizer, tiny.identity), trajectory, QUESTION, SETTINGS)


def change_path(monkeypatch, **changes):
    """Have every path that is traced come out changed."""

    def trace(*arguments, **options):
        path = trace_path(*arguments, **options)
        return replace(path, **{name: change(getattr(path, name)) for name, change in changes.items()})

    monkeypatch.setattr("raml.updates.compile.trace_path", trace)


def test_activations_that_are_combinations_of_others_are_refused(small, trajectory, monkeypatch):
    change_path(monkeypatch, exact=lambda _: False)
    with pytest.raises(DataError, match=rf"^Trajectory {trajectory.id}: the activations .* not exact there"):
        measure_alignment(small, trajectory, QUESTION, SETTINGS)


@pytest.mark.parametrize("name", ["loss", "updated_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_refused(small, trajectory, monkeypatch, name, value):
    change_path(monkeypatch, **{name: lambda losses: losses.index_fill(0, torch.tensor([1]), value)})
    with pytest.raises(NumericsError, match=rf"^Trajectory {trajectory.id}: the answer's loss .* NaN or infinite"):
        measure_alignment(small, trajectory, QUESTION, SETTINGS)


SHORTAGES = [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]


@pytest.mark.parametrize("error", SHORTAGES, ids=["gpu", "cpu"])
@pytest.mark.parametrize("place", ["alignment.compute_gradient", "alignment.measure_ceiling", "compile.trace_path"])
def test_short_memory_is_said_of_the_trajectory(small, trajectory, monkeypatch, error, place):
    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr(f"raml.updates.{place}", fail)
    with pytest.raises(ModelError, match=rf"^Trajectory {trajectory.id}: out of memory"):
        measure_alignment(small, trajectory, QUESTION, SETTINGS)


def test_short_memory_for_the_start_alone_is_said_and_other_errors_pass(small, probe, monkeypatch):
    def fail(*_arguments, **_options):
        raise errors.pop()

    monkeypatch.setattr("raml.updates.alignment.compute_gradient", fail)
    errors = [RuntimeError("shapes do not match"), SHORTAGES[1]]
    with pytest.raises(ModelError, match=r"^out of memory"):
        measure_start(small.model, probe, 1e-3)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        measure_start(small.model, probe, 1e-3)
