"""Whether a record is consistent in itself: what a hand, another program or a bad disk may have changed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from raml.records.influence import Influence, Resampling
from raml.records.probes import Readout, Trace
from raml.records.questions import Question
from raml.records.trajectories import Trajectory
from raml.records.updates import Adaptation, Alignment, Update

AXES: dict[type, dict[str, str]] = {
    Trace: {"answer_ids": "A", "prefix_lens": "P", "nll": "PA"},
    Readout: dict.fromkeys(("prefix_lens", "token_ids", "answers", "correct", "mean_logprob", "margin"), "P"),
    Update: {
        **dict.fromkeys(("prefix_lens", "loss", "updated_loss"), "P"),
        **dict.fromkeys(("residual", "norm", "condition"), "PL"),
        **{"weight_norm": "L", "gram": "PP", "other_ids": "O", "other_change": "O"},
    },
    Alignment: {
        **dict.fromkeys(("prefix_lens", "loss", "norm", "total_cosine", "predicted"), "P"),
        **dict.fromkeys(("step_cosine", "step_predicted", "ceiling"), "P"),
        **{"cosine": "PL", "similarity": "PL", "span_cosine": "PD"},
    },
    Adaptation: dict.fromkeys(("loss", "text_loss", "distance"), "K"),
    Influence: {
        "prefix_lens": "P",
        **dict.fromkeys(("change", "relative", "log_change", "parts", "words"), "S"),
    },
    Resampling: dict.fromkeys(("prefix_lens", "loss", "own_loss", "answers", "correct"), "B"),
}
"""The axes of each record's arrays and lists, as their docstrings name them; S: P − 1 steps."""
MOST_TOKENS = 2**31
"""Token ids are below this in any vocabulary, and so are counts of responses."""


def check_record(record: object) -> None:
    """Refuse what contradicts itself.

    Raises:
        ValueError: lengths, ids or numbers don't fit each other; the message says which.
    """
    for name in ("id", "trajectory_id"):
        if getattr(record, name, None) == "":
            raise ValueError(f"its {name} is empty")
    if isinstance(record, Trajectory):
        _check_trajectory(record)
    elif isinstance(record, Question):
        _check_question(record)
    elif type(record) in AXES:
        _check_axes(record)
        _check_prefixes(record)


def _check_trajectory(trajectory: Trajectory) -> None:
    n, ends = len(trajectory.token_ids), trajectory.token_ends
    if not 0 <= trajectory.repeat < MOST_TOKENS:
        raise ValueError(f"its repeat is {trajectory.repeat}")
    if not 0 <= trajectory.reasoning_len <= n:
        raise ValueError(f"reasoning_len is {trajectory.reasoning_len} of {n} tokens")
    rising = all(before <= after for before, after in pairwise((0, *ends)))
    if len(ends) != n or not rising or (ends[-1] if n else 0) != len(trajectory.text):
        raise ValueError(f"token_ends does not fit {n} tokens and {len(trajectory.text)} characters")
    if any(not 0 <= token < MOST_TOKENS for token in (*trajectory.token_ids, *trajectory.prompt_ids)):
        raise ValueError("a token id is negative or beyond any vocabulary")
    if trajectory.logprobs is not None and len(trajectory.logprobs) != n:
        raise ValueError(f"there are {len(trajectory.logprobs)} logprobs for {n} tokens")


def _check_question(question: Question) -> None:
    if not question.prompt.strip():
        raise ValueError("its prompt is empty")
    tests = question.tests
    if tests is not None and len(tests.inputs) != len(tests.outputs):
        raise ValueError(f"its tests have {len(tests.inputs)} inputs and {len(tests.outputs)} outputs")


def _check_axes(record: object) -> None:
    """Compare all lengths along each axis."""
    sizes: dict[str, tuple[int, str]] = {}
    for name, axes in AXES[type(record)].items():
        value = getattr(record, name)
        shape = value.shape if isinstance(value, np.ndarray) else (len(value),)
        if len(shape) != len(axes):
            raise ValueError(f"{name} has {len(shape)} axes, not {len(axes)}")
        for axis, size in zip(axes, shape, strict=True):
            known, of = sizes.setdefault(axis, (size, name))
            if size != known:
                raise ValueError(f"{name} has length {size}, which does not fit {known} of {of}")
    if "S" in sizes and sizes["S"][0] != max(0, sizes["P"][0] - 1):
        raise ValueError(f"{sizes['S'][0]} steps don't fit {sizes['P'][0]} prefixes")
    if isinstance(record, Resampling):
        _check_resampling(record)


def _check_resampling(record: Resampling) -> None:
    lens = [*map(len, record.answers)]
    if lens != [*map(len, record.correct)]:
        raise ValueError("there are not as many grades as answers")
    if record.n_written and [*map(len, record.n_written)] != lens:
        raise ValueError("there are not as many lengths as answers")
    if any(not 0 <= n < MOST_TOKENS for row in record.n_written for n in row):
        raise ValueError("n_written has a number that is no count of tokens")


def _check_prefixes(record: object) -> None:
    lens = getattr(record, "prefix_lens", None)
    if lens is not None and len(lens) and (lens[0] < 0 or (np.diff(lens) <= 0).any()):
        raise ValueError("prefix_lens does not rise from 0 or above")
