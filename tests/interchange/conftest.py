import pytest

from raml.interchange import ExportedResponse, ReadContext
from raml.prompts import INSTRUCTIONS, write_message
from raml.records import PromptSettings


@pytest.fixture(scope="session")
def context():
    """What `raml import` tells a reader when it knows nothing else."""
    return ReadContext("file", {wording: kind for kind, wording in reversed(INSTRUCTIONS.items())})


@pytest.fixture(scope="session")
def make_response():
    """A factory of what writers get: a trajectory with its question and the message that the model read."""

    def make(question, trajectory):
        return ExportedResponse(question, trajectory, write_message(question, trajectory.prompt or PromptSettings()))

    return make


@pytest.fixture(scope="session")
def sampled(tiny, make_response):
    """Right and wrong trajectories of two questions by the tiny model."""
    from raml.records import SamplingSettings
    from raml.sampling import sample_trajectories
    from raml.tiny import make_questions

    questions = make_questions(2, split="test")
    settings = SamplingSettings(temperature=1.2, max_new_tokens=200)
    trajectories = sample_trajectories(tiny, questions, n=6, settings=settings)
    assert {True, False} <= {trajectory.correct for trajectory in trajectories}
    of_id = {question.id: question for question in questions}
    return [make_response(of_id[trajectory.question_id], trajectory) for trajectory in trajectories]
