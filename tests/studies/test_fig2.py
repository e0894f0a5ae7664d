"""Fig. 2: how far drawn paths fall, and how much of them lies on the plane, by hand arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import RunError
from raml.records import Landscape, LandscapeSettings, ModelIdentity, PlanePath, Question
from raml.store import Run
from raml.store.landscapes import write_landscape
from raml.studies import fig2
from raml.studies.plan import SCALES, load_setup
from raml.studies.verdict import judge

MODEL = ModelIdentity("made-up", None, "00", "float32", "cpu")
SETUP = load_setup("fig2", "tiny")


def make_path(trajectory_id, loss=(2.0, 1.0), distance=(0, 2), off_plane=(0, 1), coordinates=((0, 0), (1, 0))):
    numbers = (np.array(values, dtype=float) for values in (coordinates, off_plane, distance))
    lens = np.arange(len(loss), dtype=np.int32)
    return PlanePath(trajectory_id, lens, np.array(loss, dtype=np.float32), *numbers, length=2.0, length_on_plane=1.0)


def write_plane(run, question_ids, paths, trajectory_id=None, name="x"):
    """A plane on which every question loses 3 + α."""
    settings = LandscapeSettings("random" if trajectory_id is None else "path", trajectory_id=trajectory_id, n_steps=3)
    steps = np.array([-1.0, 0.0, 1.0])
    loss = np.broadcast_to(3 + steps[:, None], (len(question_ids), 3, 3)).astype(np.float32)
    made = Landscape(
        name,
        MODEL,
        settings,
        tuple(question_ids),
        steps,
        steps,
        loss.copy(),
        loss[:, 1, 1].copy(),
        (1.0, 1.0),
        0.0,
        paths,
    )
    run.landscapes_path.mkdir(exist_ok=True)
    write_landscape(run.landscapes_path / f"{settings.plane}-{name}.safetensors", made)


@pytest.fixture
def home(tmp_path, make_trajectory):
    """Three questions: a and b with right paths, c with a wrong one that would spoil both means."""
    run = Run(tmp_path / "thinking")
    run.write_questions([Question(name, f"What is {name}?", "2") for name in "abc"])
    run.write_trajectories([make_trajectory(question_id=name, correct=name != "c") for name in "abc"])
    paths = (
        make_path("a-0", (2, 3, 1), (0, 3, 4), (0, 0, 4), ((0, 0), (0.5, 0), (-0.5, 0))),
        make_path("b-0", (4, 1), (0, 2), (0, 2), ((0, 0), (0.25, 0))),
        make_path("c-0", (1, 9), (0, 2), (0, 0)),
    )
    write_plane(run, "abc", paths)
    write_plane(run, "a", (make_path("a-0", (2, 1), (0, 4), (0, 1), ((0, 0), (-1, 0))),), trajectory_id="a-0")
    return tmp_path


def test_falls_and_shares_are_those_of_right_paths_averaged_over_questions(home):
    """Falls 1 − 2 = −1 and 1 − 4 = −3; shares 1 − 16/25 = 36 % and 1 − 4/4 = 0."""
    outcome = fig2.conclude(SETUP, home)
    values = {name: measure.estimate.value for name, measure in outcome.measures.items()}
    assert values == pytest.approx({"fall": -2, "on the plane": 18})
    assert {measure.estimate.n_questions for measure in outcome.measures.values()} == {2}
    assert set(outcome.figures) == {"", "feet", "own-plane"}


def test_the_surface_at_the_feet_and_the_path_s_own_plane_are_told(home):
    """At the feet the surface changes by −0.5 and +0.25; of its own plane 1 − 1/16 is on it, and 3 − 1 its end."""
    told = " ".join(fig2.conclude(SETUP, home).remarks)
    assert "2 of 3 drawn paths are right" in told
    assert "first to the last point by −0.125" in told
    assert (
        "lies 94 % of its squared distances; L̂ goes from 2 to 1 nats along it, and the surface at its last foot is 2."
        in told
    )


def test_the_rules_are_about_what_is_measured(home):
    findings, _ = judge(SETUP.rules, fig2.conclude(SETUP, home).measures)
    assert [finding.measure for finding in findings] == ["fall", "on the plane"]


def test_a_path_that_does_not_move_has_no_share():
    assert np.isnan(fig2.measure_share(make_path("a-0", distance=(0, 0), off_plane=(0, 0))))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), min_size=1, max_size=8))
def test_a_share_lies_between_0_and_1(points):
    distance = [length for length, _ in points]
    off = [length * part for length, part in points]
    share = fig2.measure_share(make_path("a-0", (1,) * len(points), distance, off, ((0, 0),) * len(points)))
    assert np.isnan(share) or -1e-12 <= share <= 1


def test_without_right_paths_nothing_is_measured_and_nothing_decided(tmp_path, make_trajectory):
    run = Run(tmp_path / "thinking")
    run.write_questions([Question("a", "What is a?", "2")])
    run.write_trajectories([make_trajectory(question_id="a", correct=False)])
    write_plane(run, "a", (make_path("a-0"),))
    write_plane(run, "a", (), trajectory_id="a-0")
    outcome = fig2.conclude(SETUP, tmp_path)
    assert all(measure.estimate is None for measure in outcome.measures.values())
    assert judge(SETUP.rules, outcome.measures)[1] == "undecided"


@pytest.mark.parametrize("n", [0, 2])
def test_none_or_several_planes_of_a_kind_are_refused(home, n):
    run = Run(home / "thinking")
    if n:
        write_plane(run, "abc", (), name="y")
    else:
        next(run.landscapes_path.glob("random-*")).unlink()
    with pytest.raises(RunError, match=f"holds {n} landscapes of plane random"):
        fig2.conclude(SETUP, home)


@pytest.mark.parametrize("scale", SCALES)
def test_both_planes_are_measured_on_thinking_trajectories_alone(scale):
    setup = load_setup("fig2", scale)
    landscapes = [step for step in fig2.plan(setup) if step.words[:1] == ("landscape",)]
    assert [step.words[1:4] for step in landscapes] == [("thinking", "--plane", plane) for plane in ("random", "path")]
    assert {step.needs for step in landscapes} == {("thinking/take",)}
    assert {step.folder for step in landscapes} == {"thinking"}


def test_points_of_a_grid_are_paid_for():
    """64 questions of 50 tokens at 11 × 11 points; 128 paths of 80 tokens and 40 × 2 × 12 at their points."""
    step = next(step for step in fig2.plan(SETUP) if step.name == "thinking/landscape-random")
    assert step.cost.scored == 121 * 64 * 50 + 128 * (80 + 960)
