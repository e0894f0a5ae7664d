"""Shapes and types in signatures are checked while testing; heavy fixtures are made once."""

import os

# Before torch or transformers is imported anywhere.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from jaxtyping import install_import_hook

install_import_hook(["raml.scoring", "raml.updates"], "beartype.beartype")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from raml.records import ModelIdentity, Question, Trajectory  # noqa: E402

settings.register_profile("raml", deadline=None)  # a busy machine is no failure
settings.load_profile("raml")


@pytest.fixture(scope="session")
def tiny():
    from raml.models import load_model

    return load_model("tiny", device="cpu")


@pytest.fixture
def make_trajectory():
    """A factory of trajectories whose tokens are the words of a text."""

    def make(text="one two three", question_id="q", repeat=0, **changes):
        pieces = [word + " " for word in text.split()]
        ends = tuple(sum(map(len, pieces[: i + 1])) for i in range(len(pieces)))
        values = {
            "id": f"{question_id}-{repeat}",
            "question_id": question_id,
            "repeat": repeat,
            "model": ModelIdentity("made-up", None, "00", "float32", "cpu"),
            "mode": "think",
            "prompt_ids": (1, 2),
            "token_ids": tuple(range(len(pieces))),
            "reasoning_len": len(pieces),
            "text": "".join(pieces),
            "token_ends": ends,
            "correct": True,
        }
        return Trajectory(**values | changes)

    return make


@pytest.fixture
def question():
    return Question("q", "What is 1 + 1?", "2")
