"""Trajectories and attempts that nobody wrote, with the fields that the frontier reads."""

from raml.records import Attempt, ModelIdentity, Question, Trajectory

MODEL = ModelIdentity("made-up", None, "00", "float32", "cpu")
FEW = 99
"""Resamples, where no interval is looked at."""


def make_questions(*ids, **changes):
    return [Question(name, "What is 1 + 1?", "2", **changes) for name in ids]


def make_full(question_id="a", repeat=0, correct=True, reasoning_len=100, n_more=10, mode="think", **changes):
    """A trajectory of so many reasoning tokens and some more; its id is "a0", or "a0n" without thinking."""
    values = {
        "id": f"{question_id}{repeat}{'' if mode == 'think' else 'n'}",
        "question_id": question_id,
        "repeat": repeat,
        "model": MODEL,
        "mode": mode,
        "prompt_ids": (1,),
        "token_ids": (0,) * (reasoning_len + n_more),
        "reasoning_len": reasoning_len,
        "text": "",
        "token_ends": (),
        "finish": "stop",
        "answer": "2",
        "correct": correct,
    }
    return Trajectory(**values | changes)


def make_attempt(trajectory, correct=True, method="cut", level=50.0, n_thinking=50, n_generated=55, **changes):
    """An attempt of a trajectory; what its id hashes is all of what is given here."""
    values = {
        "id": f"{trajectory.id} {method} {level} {changes}",
        "trajectory_id": trajectory.id,
        "question_id": trajectory.question_id,
        "model": MODEL,
        "method": method,
        "variant": "",
        "level": level,
        "draw": 0,
        "n_thinking": n_thinking,
        "n_generated": n_generated,
        "answer": "2",
        "correct": correct,
        "verdict": "undecided" if correct is None else "right" if correct else "wrong",
    }
    return Attempt(**values | changes)
