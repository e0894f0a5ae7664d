"""Homes of studies made by hand."""

import numpy as np
import pytest

from raml.records import Question, Trace, TraceSettings
from raml.store import Journal, Run


@pytest.fixture
def write_answers(tmp_path, make_trajectory):
    """A function that lets somebody answer questions: of each, the first so many of n responses are right."""

    def write(folder, right, n, name="q"):
        run = Run(tmp_path / folder)
        run.write_questions([Question(f"{name}{i}", f"What is {i} + 1?", str(i + 1)) for i in range(len(right))])
        run.write_trajectories(
            [
                make_trajectory(question_id=f"{name}{i}", repeat=j, correct=j < n_right)
                for i, n_right in enumerate(right)
                for j in range(n)
            ]
        )

    return write


@pytest.fixture
def write_curves(tmp_path, make_trajectory):
    """A function that makes a probed run of curves: question, mode, whether it is right, and L̂ after 0, 1, … tokens.

    A curve may also bring the text that it is of, a word a token. The answer has one token, so that L̂ is the values.
    With `own` the trajectory's own answer has the same curve as the gold one.
    """

    def write(*curves, own=False):
        run, trajectories = Run(tmp_path / "probe"), []
        ids = dict.fromkeys(question_id for question_id, *_ in curves)
        run.write_questions([Question(question_id, f"What is {question_id}?", "2") for question_id in ids])
        with Journal(run.traces_journal_path) as journal:
            for i, (question_id, mode, correct, losses, *text) in enumerate(curves):
                words = text[0] if text else " ".join(["so"] * (len(losses) - 1))
                written = make_trajectory(words, question_id, i, id=f"t{i}", mode=mode, correct=correct)
                lens = np.arange(len(losses), dtype=np.int32)
                nll = np.array(losses, dtype=np.float32)[:, None]
                journal.append(
                    Trace(
                        f"{target} {i}", written.id, written.model, TraceSettings(target=target), "one-pass",
                        (1,), (7,), lens, nll,
                    )
                    for target in (("gold", "own") if own else ("gold",))
                )  # fmt: skip
                trajectories.append(written)
        run.write_trajectories(trajectories)
        run.close_traces()
        return run

    return write
