import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from raml.errors import RunError
from raml.records import Landscape, LandscapeSettings, ModelIdentity, PlanePath
from raml.store.landscapes import read_landscape, write_landscape


def make_path(n, seed=0):
    rng = np.random.default_rng(seed)
    return PlanePath(
        trajectory_id=f"t{seed}",
        prefix_lens=np.arange(n, dtype=np.int32),
        loss=rng.random(n).astype(np.float32),
        coordinates=rng.normal(size=(n, 2)),
        off_plane=rng.random(n),
        distance=rng.random(n),
        length=2.5,
        length_on_plane=1.0,
    )


def make_landscape(n_questions=2, n_steps=5, path_lens=(3, 0)):
    rng = np.random.default_rng(0)
    steps = np.linspace(-1, 1, n_steps)
    return Landscape(
        id="key",
        model=ModelIdentity("tiny", None, "00", "float32", "cpu", "11"),
        settings=LandscapeSettings(plane="checkpoints", toward=("a", "b")),
        question_ids=tuple(f"q{i}" for i in range(n_questions)),
        alphas=steps,
        betas=steps,
        loss=rng.random((n_questions, n_steps, n_steps)).astype(np.float32),
        base_loss=rng.random(n_questions).astype(np.float32),
        direction_norms=(1.5, 2.5),
        direction_cosine=-0.25,
        paths=tuple(make_path(n, seed) for seed, n in enumerate(path_lens)),
    )


def assert_same(one, other):
    assert type(one) is type(other)
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            assert np.array_equal(a, b)
        elif field.name == "paths":
            assert len(a) == len(b)
            for mine, yours in zip(a, b, strict=True):
                assert_same(mine, yours)
        else:
            assert a == b


@given(st.integers(1, 3), st.integers(1, 6), st.lists(st.integers(0, 4), max_size=12))
def test_what_is_written_is_read_again(tmp_path_factory, n_questions, n_steps, path_lens):
    path = tmp_path_factory.mktemp("run") / "landscape.safetensors"
    landscape = make_landscape(n_questions, n_steps, path_lens)
    write_landscape(path, landscape)
    assert_same(read_landscape(path), landscape)
    content = path.read_bytes()
    write_landscape(path, landscape)
    assert path.read_bytes() == content


def test_other_programs_find_the_arrays_by_name(tmp_path):
    path = tmp_path / "landscape.safetensors"
    landscape = make_landscape()
    write_landscape(path, landscape)
    arrays = load_file(path)
    assert np.array_equal(arrays["loss"], landscape.loss)
    assert np.array_equal(arrays["path.0.coordinates"], landscape.paths[0].coordinates)


def test_files_that_are_no_landscapes_are_named(tmp_path):
    path = tmp_path / "landscape.safetensors"
    with pytest.raises(RunError, match="no readable landscape"):
        read_landscape(path)
    path.write_bytes(b"not safetensors")
    with pytest.raises(RunError, match="no readable landscape"):
        read_landscape(path)
    save_file({"weight": np.zeros(2)}, path)
    with pytest.raises(RunError, match="another safetensors file"):
        read_landscape(path)


@pytest.mark.parametrize("cut", [10, 400, 900])
def test_a_torn_file_is_named(tmp_path, cut):
    path = tmp_path / "landscape.safetensors"
    write_landscape(path, make_landscape())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(RunError, match="no readable landscape"):
        read_landscape(path)


def rewrite(path, change_arrays=lambda arrays: arrays, **about):
    from safetensors import safe_open

    write_landscape(path, make_landscape())
    with safe_open(path, framework="numpy") as content:
        known = json.loads(content.metadata()["raml"])
    del known["crc"]  # as by another program, or nothing else would be looked at
    save_file(change_arrays(load_file(path)), path, metadata={"raml": json.dumps(known | about)})


def test_a_file_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "landscape.safetensors"
    rewrite(path, schema_version=99)
    with pytest.raises(RunError, match="newer version of raml"):
        read_landscape(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: {name: value for name, value in arrays.items() if name != "loss"},
        lambda arrays: arrays | {"loss": arrays["loss"][:1]},
        lambda arrays: arrays | {"path.0.distance": np.zeros(1)},
        lambda arrays: arrays | {"path.7.distance": np.zeros(1)},
        lambda arrays: arrays | {"elsewhere.loss": np.zeros(1)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, change):
    path = tmp_path / "landscape.safetensors"
    rewrite(path, change)
    with pytest.raises(RunError, match="no readable landscape"):
        read_landscape(path)


@pytest.mark.parametrize("text", ["[", "[]", "3"])
def test_metadata_that_is_no_object_is_refused(tmp_path, text):
    path = tmp_path / "landscape.safetensors"
    save_file({"loss": np.zeros(1)}, path, metadata={"raml": text})
    with pytest.raises(RunError, match="no readable landscape"):
        read_landscape(path)


@pytest.mark.parametrize("plain", [[], {"paths": 3}, {}, None])
def test_metadata_that_is_no_landscape_is_refused(tmp_path, plain):
    path = tmp_path / "landscape.safetensors"
    rewrite(path, landscape=plain)
    with pytest.raises(RunError, match="no readable landscape"):
        read_landscape(path)
