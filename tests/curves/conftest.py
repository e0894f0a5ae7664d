import numpy as np
import pytest

from raml.curves import CurveSettings
from raml.records import ModelIdentity, Readout, ReadoutSettings, Trace, TraceSettings

MODEL = ModelIdentity("made-up", None, "00", "float32", "cpu")


@pytest.fixture(scope="session")
def quick():
    return CurveSettings(n_resamples=199)


@pytest.fixture
def make_trace():
    """A factory of traces of an answer of one token, so that L̂ is the values themselves."""

    def make(trajectory_id, values, target="gold", *, lens=None, answer_ids=(7,), model=MODEL, **settings):
        lens = range(len(values)) if lens is None else lens
        return Trace(
            f"{target} of {trajectory_id}",
            trajectory_id,
            model,
            TraceSettings(target=target, **settings),
            "one-pass",
            (1,),
            answer_ids,
            np.array(lens, dtype=np.int32),
            np.array(values, dtype=np.float32)[:, None],
        )

    return make


@pytest.fixture
def make_readout():
    """A factory of readouts; by default an answer is right if it is "2"."""

    def make(trajectory_id, answers, correct=None, *, lens=None, mean_logprob=None, model=MODEL, **settings):
        lens = range(len(answers)) if lens is None else lens
        correct = [answer == "2" for answer in answers] if correct is None else correct
        logprob = np.zeros(len(answers)) if mean_logprob is None else mean_logprob
        return Readout(
            f"readout of {trajectory_id}",
            trajectory_id,
            model,
            ReadoutSettings(**settings),
            "one-pass",
            (1,),
            np.array(lens, dtype=np.int32),
            tuple((5,) for _ in answers),
            tuple(answers),
            tuple(correct),
            np.array(logprob, dtype=np.float32),
            np.ones(len(answers), dtype=np.float32),
        )

    return make
