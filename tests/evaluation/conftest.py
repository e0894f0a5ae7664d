import pytest

from raml.records import ModelIdentity, Question, SamplingSettings


@pytest.fixture
def make_run(make_trajectory):
    """A factory of runs: questions q0, q1, … with responses that are right (1), wrong (0) or undecided (?)."""

    def make(*patterns, model="a", weights="aa", source="bench", seed=0, temperature=1.0, **changes):
        questions = [Question(f"q{i}", f"Question {i}?", "1", source=source) for i in range(len(patterns))]
        trajectories = [
            make_trajectory(
                question_id=f"q{i}",
                repeat=repeat,
                id=f"{model}-{weights}-{temperature}-{seed}-q{i}-{repeat}",
                model=ModelIdentity(model, None, weights, "float32", "cpu"),
                correct={"1": True, "0": False, "?": None}[mark],
                answer={"1": "1", "0": "2", "?": "9^9"}[mark],
                sampling=SamplingSettings(temperature=temperature, seed=seed),
                **changes,
            )
            for i, pattern in enumerate(patterns)
            for repeat, mark in enumerate(pattern)
        ]
        return questions, trajectories

    return make
