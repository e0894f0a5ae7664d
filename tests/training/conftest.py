import pytest

from raml.models import load_model
from raml.records import PromptSettings, Trajectory
from raml.sampling import make_imported
from raml.store import Journal, Run
from raml.tiny import make_questions


@pytest.fixture(scope="session")
def base():
    return load_model("tiny-base", device="cpu")


@pytest.fixture(scope="session")
def answer(base):
    """Make a graded trajectory of a question from its text."""

    def make(question, text, repeat=0, mode="think") -> Trajectory:
        return make_imported(base, question, text, repeat, PromptSettings(mode=mode), occurrence=repeat)

    return make


@pytest.fixture
def write_run(tmp_path):
    """Write questions and trajectories into a run folder."""

    def write(questions, trajectories=(), name="run"):
        run = Run(tmp_path / name)
        run.write_questions(questions)
        with Journal(run.trajectories_path) as journal:
            journal.append(trajectories)
        return run.path

    return write


@pytest.fixture(scope="session")
def train_questions():
    return make_questions(12, split="train", seed=3)
