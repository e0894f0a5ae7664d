"""Resamplings made up for tests."""

import numpy as np

from raml.records import ModelIdentity, Resampling, ResamplingSettings

MODEL = ModelIdentity("made-up", None, "00", "float32", "cpu")


def make_resampling(trajectory_id, answers, *, right=None, correct=None, loss=None, own_loss=None, prefix_lens=None):
    """A record of answers [border, continuation]; those equal to `right` are right, unless `correct` says more."""
    n_borders = len(answers)
    if correct is None:
        correct = [[answer == right for answer in row] for row in answers]
    return Resampling(
        id=f"resampling of {trajectory_id}",
        trajectory_id=trajectory_id,
        model=MODEL,
        settings=ResamplingSettings(n=len(answers[0])),
        prefix_lens=np.array(range(n_borders) if prefix_lens is None else prefix_lens, dtype=np.int32),
        loss=np.array(np.zeros(n_borders) if loss is None else loss, dtype=np.float32),
        own_loss=np.array(np.full(n_borders, np.nan) if own_loss is None else own_loss, dtype=np.float32),
        answers=tuple(map(tuple, answers)),
        correct=tuple(map(tuple, correct)),
    )
