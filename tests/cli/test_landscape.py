"""`raml landscape` as a user runs it."""

import json
import shutil

import numpy as np
import pytest

from raml.models import find_source
from raml.records import LandscapePoint
from raml.store import Run, read_jsonl
from raml.store.landscapes import read_landscape
from tests.cli.test_resume import count_lines, kill_when, start
from tests.cli.test_update import copy_run, sampled  # noqa: F401  # a fixture

N = ("--n-steps", "5", "--n-questions", "3", "--n-paths", "2", "--threads", "1")
TINY = ("--model", "tiny")


@pytest.fixture
def folder(sampled, tmp_path):  # noqa: F811
    return copy_run(sampled, tmp_path / "run")


def read_only(folder, plane):
    (path,) = (folder / "landscapes").glob(f"{plane}-*.safetensors")
    return read_landscape(path)


@pytest.mark.parametrize("plane", ["random", "path"])
def test_surface_paths_and_figures(raml, folder, plane):
    code, out, err = raml("landscape", folder, *TINY, "--plane", plane, *N)
    assert (code, err) == (0, "")
    surface = read_only(folder, plane)
    assert surface.loss.shape == (3, 5, 5)
    np.testing.assert_array_equal(surface.loss[:, 2, 2], surface.base_loss)
    np.testing.assert_array_equal(surface.alphas, [-1, -0.5, 0, 0.5, 1])
    assert len(surface.paths) == 2
    assert all(path.off_plane_share > (0.9 if plane == "random" else 0.1) for path in surface.paths)
    assert "25 points (0 were there)" in out
    assert "of a path's length lies off the plane" in out
    for name in (f"landscape-{plane}.svg", f"landscape-{plane}-paper.png"):
        assert (folder / "figures" / name).stat().st_size > 5_000
    assert not list(folder.rglob("*.html"))
    assert out.splitlines()[-1] == f"Next: raml report {folder} shows it in 3-D"
    stage = Run(folder).read_manifest().find_last("landscape")
    assert (stage.n_units, stage.n_new) == (25, 25)
    code, out, _ = raml("landscape", folder, *TINY, "--plane", plane, *N)
    assert "25 points (25 were there)" in out


def test_three_checkpoints_lie_on_one_plane(raml, folder):
    models = ("--toward", "tiny", "--toward", "tiny-grpo")
    code, _, err = raml("landscape", folder, "--model", "tiny-base", "--plane", "checkpoints", *models, *N)
    assert (code, err) == (0, "")
    surface = read_only(folder, "checkpoints")
    assert surface.settings.toward == ("tiny", "tiny-grpo")
    raml("landscape", folder, *TINY, "--n-steps", "3", "--n-questions", "3", "--n-paths", "0", "--threads", "1")
    np.testing.assert_allclose(surface.loss[:, 4, 2], read_only(folder, "random").base_loss, rtol=1e-5)


def test_killed_and_shared_among_workers_it_ends_with_the_same_landscape(raml, folder, sampled, tmp_path):  # noqa: F811
    reference = copy_run(sampled, tmp_path / "reference")
    raml("landscape", reference, *TINY, *N)
    n_kills, kept = 0, 0
    for n_points in (2, 9):
        process = start("landscape", folder, *TINY, *N)
        journal = next(iter((folder / "landscapes").glob("*.journal.jsonl")), folder / "landscapes" / "none")
        while process.poll() is None and not journal.exists():
            journal = next(iter((folder / "landscapes").glob("*.journal.jsonl")), journal)
        n_kills += kill_when(process, journal, n_points, 0.0)
        assert count_lines(journal) >= kept, "a finished point was lost"
        kept = count_lines(journal)
        assert all(point.loss.shape == (3,) for point in read_jsonl(journal, LandscapePoint))
    assert n_kills > 0, "the stage was always faster than the kill"
    code, out, _ = raml("landscape", folder, *TINY, *N, "--workers", "2")
    assert code == 0
    assert f"({kept} were there)" in out
    assert not list((folder / "landscapes").glob("*.journal.jsonl"))
    name = next((reference / "landscapes").iterdir()).name
    assert (folder / "landscapes" / name).read_bytes() == (reference / "landscapes" / name).read_bytes()


def test_other_weights_under_the_same_name_are_another_landscape(raml, folder, tmp_path):
    source = find_source("tiny")
    for name in ("a", "b"):
        shutil.copytree(source, tmp_path / name)
    arguments = ("--plane", "checkpoints", "--toward", tmp_path / "a", "--toward", tmp_path / "b", *N)
    raml("landscape", folder, *TINY, *arguments)
    shutil.copy(find_source("tiny-base") / "model.safetensors", tmp_path / "a" / "model.safetensors")
    _, out, _ = raml("landscape", folder, *TINY, *arguments)
    assert "25 points (0 were there)" in out
    assert len(list((folder / "landscapes").glob("checkpoints-*"))) == 2


def test_a_prompt_that_the_model_can_t_read_is_an_error(raml, folder):
    lines = (folder / "trajectories.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    first["prompt_ids"] = first["prompt_ids"] * 40
    (folder / "trajectories.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")
    code, _, err = raml("landscape", folder, *TINY, *N)
    assert code == 2
    assert "tiny accepts 1024" in err


def test_a_trajectory_without_reasoning_spans_no_plane(raml, folder):
    lines = [
        json.loads(line) | {"reasoning_len": 0} for line in (folder / "trajectories.jsonl").read_text().splitlines()
    ]
    (folder / "trajectories.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, _, err = raml("landscape", folder, *TINY, "--plane", "path", *N)
    assert (code, "no reasoning to follow" in err) == (2, True)


def test_a_plan_of_a_plane_without_paths_has_a_time(raml, folder):
    code, out, _ = raml("landscape", folder, *TINY, "--n-steps", "3", "--n-paths", "0", "--threads", "1", "--plan")
    assert code == 0
    assert "of a processor's time" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--n-steps", "4"), "--n-steps is 4; it must be odd"),
        (("--reach", "0"), "--reach is 0"),
        (("--n-questions", "0"), "--n-questions is 0"),
        (("--workers", "0"), "--workers is 0"),
        (("--plane", "checkpoints"), "takes 2 models by --toward; 0 are given"),
        (("--toward", "tiny"), "--plane random takes 0 models"),
        (("--trajectory-id", "x"), "needs --plane path"),
        (("--plane", "path", "--trajectory-id", "x"), "No trajectory has an id that begins with 'x'"),
        (("--plane", "checkpoints", "--toward", "tiny", "--toward", "no/such/model"), "no/such/model"),
        (("--seed", "-1"), "--seed is -1"),
    ],
)
def test_what_makes_no_sense_is_one_line(raml, folder, arguments, message):
    code, out, err = raml("landscape", folder, *TINY, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
