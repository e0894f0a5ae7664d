"""The thinking half of the probed run."""

import pytest

from raml.errors import RunError
from raml.records import Question
from raml.store import Run
from raml.studies.plan import SCALES, load_setup
from raml.studies.thinking import plan_thinking, take_thinking


def write_probe(home, make_trajectory, modes):
    run = Run(home / "probe")
    run.write_questions([Question(name, f"What is {name}?", "2") for name in "ab"])
    run.write_trajectories(
        [
            make_trajectory(question_id=name, repeat=i, id=f"{name}{i}{mode}", mode=mode)
            for name in "ab"
            for mode in modes
            for i in range(3)
        ]
    )


def test_the_first_thinking_trajectories_of_each_question_are_taken_and_all_questions(tmp_path, make_trajectory):
    write_probe(tmp_path, make_trajectory, ("nothink", "think"))
    take_thinking(tmp_path, n=2)
    run = Run(tmp_path / "thinking")
    assert [t.id for t in run.read_trajectories()] == ["a0think", "a1think", "b0think", "b1think"]
    assert [question.id for question in run.read_questions()] == ["a", "b"]
    content = run.trajectories_path.read_bytes()
    take_thinking(tmp_path, n=2)
    assert run.trajectories_path.read_bytes() == content


def test_a_run_without_thinking_is_refused(tmp_path, make_trajectory):
    write_probe(tmp_path, make_trajectory, ("nothink",))
    with pytest.raises(RunError, match="no thinking trajectories"):
        take_thinking(tmp_path, n=2)
    assert not (tmp_path / "thinking").exists()


@pytest.mark.parametrize("scale", SCALES)
def test_it_is_taken_when_nothing_more_is_sampled(scale):
    *before, take = plan_thinking(load_setup("fig2", scale))
    sampling = [step.name for step in before if step.words[0] == "sample"]
    assert take.needs == (sampling[-1],)
    assert "nothink" in before[-2].words
