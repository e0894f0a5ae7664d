"""A few trajectories of the embedded model, and a readout made by hand."""

import numpy as np
import pytest

from raml.models import load_model
from raml.probes import read_out_trajectory
from raml.records import ModelIdentity, Readout, ReadoutSettings, SamplingSettings
from raml.sampling import make_imported, sample_trajectories
from raml.tiny import make_questions


@pytest.fixture(scope="package")
def questions():
    return {question.id: question for question in make_questions(3, split="test", seed=3)}


@pytest.fixture(scope="package")
def pairs(tiny, questions):
    """Trajectories with their questions, two of each."""
    settings = SamplingSettings(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=150)
    made = sample_trajectories(tiny, list(questions.values()), n=2, settings=settings)
    return [(trajectory, questions[trajectory.question_id]) for trajectory in made]


@pytest.fixture(scope="package")
def readouts(tiny, pairs):
    """The first three with what the model answers after every token."""
    return [(t, question, read_out_trajectory(tiny, t, question.answer)) for t, question in pairs[:3]]


@pytest.fixture
def import_text(tiny):
    """A function that makes a trajectory of a text that was written elsewhere."""

    def make(question, text, **changes):
        return make_imported(tiny, question, text, 0, **changes)

    return make


@pytest.fixture(scope="package")
def broken():
    """A model that gives nothing but NaN."""
    loaded = load_model("tiny", device="cpu")
    loaded.model.get_input_embeddings().weight.data.fill_(np.nan)
    return loaded


@pytest.fixture(scope="package")
def make_readout():
    """A function that makes a readout of answers, each with the probability of its tokens and their number."""

    def make(answers, confidences=None, prefix_lens=None, n_tokens=None, trajectory_id="q-0", correct=None):
        n = len(answers)
        confidences = [1.0] * n if confidences is None else confidences
        lens = [3] * n if n_tokens is None else n_tokens
        return Readout(
            id="readout",
            trajectory_id=trajectory_id,
            model=ModelIdentity("made-up", None, "00", "float32", "cpu"),
            settings=ReadoutSettings(),
            scorer="one-pass",
            bridge_ids=(1,),
            prefix_lens=np.array(range(n) if prefix_lens is None else prefix_lens, dtype=np.int32),
            token_ids=tuple((7,) * length for length in lens),
            answers=tuple(answers),
            correct=tuple(answer == "2" for answer in answers) if correct is None else tuple(correct),
            mean_logprob=np.log(np.array(confidences, dtype=np.float64)).astype(np.float32),
            margin=np.ones(n, dtype=np.float32),
        )

    return make
