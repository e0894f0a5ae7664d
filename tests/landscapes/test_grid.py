import dataclasses
import functools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError, ModelError, NumericsError
from raml.landscapes import (
    LossBatch,
    PlaneLoss,
    build_landscape,
    draw_direction,
    find_landscape_id,
    list_steps,
    make_answer_rows,
    make_directions,
    measure_plane,
    measure_points,
    read_checkpoint,
)
from raml.models import load_model
from raml.records import LandscapeSettings, ModelIdentity
from raml.scale import Workers
from raml.tiny import make_questions
from tests.landscapes.conftest import is_untouched, make_rows, move_by_hand, take_snapshot

SETTINGS = LandscapeSettings(n_steps=3, reach=0.5)
LOAD = functools.partial(load_model, "tiny", device="cpu")


@pytest.fixture(scope="module")
def rows(tiny):
    return make_answer_rows(tiny, make_questions(2, split="test"))


@pytest.fixture(scope="module")
def points(tiny, rows):
    return list(measure_points(lambda: tiny, rows, SETTINGS, landscape_id="id"))


def by_place(points):
    return {(point.x, point.y): (point.id, point.loss.tobytes()) for point in points}


@given(st.integers(1, 60), st.floats(1e-3, 1e3))
def test_steps_are_even_symmetric_and_have_the_weights_in_the_middle(half, reach):
    steps = list_steps(LandscapeSettings(n_steps=2 * half + 1, reach=reach))
    assert len(steps) == 2 * half + 1
    assert steps[half] == 0
    assert (steps[0], steps[-1]) == (-reach, reach)
    assert np.array_equal(steps, -steps[::-1])
    np.testing.assert_allclose(np.diff(steps), reach / half)


@pytest.mark.parametrize("changes", [{"n_steps": 4}, {"n_steps": 1}, {"reach": 0.0}, {"reach": float("nan")}])
def test_grids_without_the_weights_or_without_size_are_refused(changes):
    with pytest.raises(DataError):
        list_steps(dataclasses.replace(SETTINGS, **changes))


def test_points_are_where_their_steps_say(tiny, rows, points):
    plane = PlaneLoss(tiny.model, rows, *(draw_direction(tiny.model, 0, i) for i in (0, 1)))
    for point in points:
        alpha, beta = (-0.5, 0.0, 0.5)[point.x], (-0.5, 0.0, 0.5)[point.y]
        assert np.array_equal(point.loss, plane.measure(alpha, beta))
    base = LossBatch(tiny.model, rows).measure().numpy()
    assert by_place(points)[1, 1][1] == base.tobytes()


def test_points_that_are_done_are_left_out_and_a_stream_may_stop_anywhere(tiny, rows, points):
    before = take_snapshot(tiny.model)
    stream = measure_points(lambda: tiny, rows, SETTINGS, landscape_id="id")
    first = [next(stream) for _ in range(4)]
    stream.close()
    assert is_untouched(tiny.model, before)
    rest = measure_points(lambda: tiny, rows, SETTINGS, landscape_id="id", done={(p.x, p.y) for p in first})
    assert by_place([*first, *rest]) == by_place(points)
    everything = {(p.x, p.y) for p in points}
    assert not list(measure_points(lambda: 1 / 0, rows, SETTINGS, landscape_id="id", done=everything))


def test_two_workers_give_the_same_records_as_one_process(rows, points):
    parallel = measure_points(LOAD, rows, SETTINGS, landscape_id="id", workers=Workers(2))
    assert by_place(parallel) == by_place(points)


@pytest.mark.slow
def test_an_error_of_a_worker_comes_back_as_it_was(rows):
    settings = LandscapeSettings(plane="checkpoints", toward=("tiny-base", "/nowhere/at all"), n_steps=3)
    with pytest.raises(ModelError, match="no model file or folder /nowhere/at all"):
        list(measure_points(LOAD, rows, settings, landscape_id="id", workers=Workers(2)))


def test_a_landscape_is_put_together_from_points_in_any_order(tiny, rows, points):
    landscape_id = find_landscape_id(tiny.identity, SETTINGS, rows)
    own = [dataclasses.replace(p, landscape_id=landscape_id) for p in points]
    known = {"landscape_id": landscape_id, "geometry": (2.0, 3.0, 0.5)}
    landscape = build_landscape(tiny.identity, SETTINGS, rows, own[::-1], **known)
    for point in points:
        assert np.array_equal(landscape.loss[:, point.x, point.y], point.loss)
    assert np.array_equal(landscape.base_loss, LossBatch(tiny.model, rows).measure().numpy())
    assert landscape.question_ids == tuple(row.question_id for row in rows)
    assert (landscape.direction_norms, landscape.direction_cosine) == ((2.0, 3.0), 0.5)
    with pytest.raises(DataError, match=r"1 points .* such as \(0, 0\)"):
        build_landscape(tiny.identity, SETTINGS, rows, own[1:], landscape_id=landscape_id, geometry=(2.0, 3.0, 0.5))
    with pytest.raises(DataError, match="is of landscape id"):
        build_landscape(tiny.identity, SETTINGS, rows, points, landscape_id=landscape_id, geometry=(2.0, 3.0, 0.5))


def test_the_key_knows_settings_weights_and_texts_but_not_the_machine(rows):
    identity = ModelIdentity("a", None, "00", "float32", "cpu")
    key = find_landscape_id(identity, SETTINGS, rows)
    assert key == find_landscape_id(dataclasses.replace(identity, name="b", device="cuda:0"), SETTINGS, list(rows))
    other = [
        find_landscape_id(dataclasses.replace(identity, weights_sha256="01"), SETTINGS, rows),
        find_landscape_id(identity, dataclasses.replace(SETTINGS, seed=1), rows),
        find_landscape_id(identity, SETTINGS, rows[:1]),
        find_landscape_id(identity, SETTINGS, rows, ["weights of a checkpoint"]),
    ]
    assert len({key, *other}) == 5


def test_the_embedded_checkpoints_are_at_the_corners(tiny, rows):
    settings = LandscapeSettings(plane="checkpoints", toward=("tiny-base", "tiny-grpo"), n_steps=3)
    plane = PlaneLoss(tiny.model, rows, *make_directions(tiny, settings))
    for name, corner in [("tiny-base", (1, 0)), ("tiny-grpo", (0, 1)), ("tiny", (0, 0))]:
        other = load_model(name, device="cpu").model
        assert np.array_equal(plane.measure(*corner), LossBatch(other, rows).measure().numpy())
    one, _, cosine = measure_plane(tiny.model, *make_directions(tiny, settings))
    own, base = (load_model(n, device="cpu").model.state_dict() for n in ("tiny", "tiny-base"))
    names = [name for name, _ in tiny.model.named_parameters()]
    assert one == pytest.approx(sum((base[n] - own[n]).square().sum().item() for n in names) ** 0.5, rel=1e-5)
    assert -1 < cosine < 1


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is mapped")
def test_a_checkpoint_is_read_from_its_file_without_a_copy(tiny):
    direction = read_checkpoint(tiny.model, "tiny-base")
    place = direction.weights["model.norm.weight"].data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(number, 16) for number in line.split()[0].split("-"))
        if start <= place < end:
            assert line.endswith("/base/model.safetensors")
            return
    raise AssertionError("no mapping")


def test_checkpoints_of_other_configurations_and_sizes_are_refused(build, tmp_path):
    model = build("llama")
    other = move_by_hand(model, {})
    other.config.rms_norm_eps = 1e-3
    other.save_pretrained(tmp_path / "eps")
    model.config.save_pretrained(tmp_path / "torn")
    (tmp_path / "torn" / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match=r"rms_norm_eps 0.001"):
        read_checkpoint(model, str(tmp_path / "eps"))
    with pytest.raises(ModelError, match="no readable safetensors file"):
        read_checkpoint(model, str(tmp_path / "torn"))


def test_a_checkpoint_whose_file_has_other_names_is_loaded_as_a_model(build, tmp_path):
    """The file of a mixture of experts holds each expert by itself; the model joins them."""
    model = build("qwen3-moe")
    other = move_by_hand(model, {name: 0.1 * torch.ones(p.shape) for name, p in model.named_parameters()})
    other.save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    weights = read_weights(model, tmp_path)
    assert all(torch.equal(weights[name], value) for name, value in other.named_parameters())


def read_weights(model, folder):
    from raml.landscapes import checkpoints

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "load_model", load_without_tokenizer)
        return read_checkpoint(model, str(folder)).weights


def load_without_tokenizer(name, **_):
    from types import SimpleNamespace

    from transformers import AutoModelForCausalLM

    return SimpleNamespace(model=AutoModelForCausalLM.from_pretrained(name))


def test_a_loss_that_is_not_finite_names_point_and_question(build):
    model = move_by_hand(build(), {})
    plane = PlaneLoss(model, make_rows(), draw_direction(model, 0, 0), draw_direction(model, 0, 1))
    with pytest.raises(NumericsError, match=r"Question q0: the loss at \(1e\+38, 0.5\)"):
        plane.measure(1e38, 0.5)


def test_planes_that_lack_what_they_need_are_refused(tiny):
    with pytest.raises(DataError, match="needs two"):
        make_directions(tiny, LandscapeSettings(plane="checkpoints", toward=("tiny",)))
    with pytest.raises(DataError, match="span_path"):
        make_directions(tiny, LandscapeSettings(plane="path"))
