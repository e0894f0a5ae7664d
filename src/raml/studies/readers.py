"""One-layer models of Proposition 2.1, and how far constructed weights are from having read, as `prop21` judges it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from raml.errors import RunError
from raml.inputs import MALFORMED, read_plain
from raml.store import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from raml.records import Trajectory
    from raml.updates.proposition import OneLayer

FOLDER = "prop21"
"""Of the errors on one-layer models."""


@dataclass(frozen=True)
class PairErrors:
    """‖got − wanted‖ / ‖wanted‖ of the attention output after the first tokens of a question's trajectory."""

    question_id: str
    n_tokens: int
    unchanged: float
    """By the weights as they are, which do not know the trajectory."""
    query: float
    """By moving the query alone, W'_q = P W_q."""
    paper: float
    """By Eq. 19, in the reading that its shapes allow."""
    exact: float
    """By the rank-one change of W_v."""


def measure_reader(
    home: Path, *, seed: int, d: int, n_train: int, n_test: int, n_steps: int, tokens: Sequence[int]
) -> None:
    """Train a one-layer model on solutions of the tiny world, and measure both constructions on held-out questions.

    It has no positions, as the proposition has none. The constructions are made in float64.

    Args:
        home: The folder of the studies.
        seed: Of its first weights, its training questions and their order.
        d: Its width.
        n_train: Questions it is trained on, a trajectory of the oracle each.
        n_test: Held-out questions, the same for all seeds.
        n_steps: Of training.
        tokens: How many of a trajectory's first tokens are to be made superfluous.
    """
    import torch

    from raml.models import load_model, set_threads
    from raml.sampling import ask_oracle
    from raml.tiny import make_questions
    from raml.updates.reader import Reader, train_reader

    loaded = load_model("tiny", device="cpu")
    set_threads(None, loaded.model)
    questions = make_questions(n_train, split="train", seed=seed), make_questions(n_test, split="test")
    train, held_out = ([ask_oracle(loaded, question, 1)[0] for question in group] for group in questions)
    reader = Reader(loaded.model.config.vocab_size, d, positions=False, seed=seed)
    train_reader(reader, train, n_steps, seed)
    layer = reader.double().freeze()
    with torch.no_grad():
        errors = [_measure_pair(layer, reader.embed, one, n) for one in held_out for n in tokens]
    (home / FOLDER).mkdir(exist_ok=True)
    write_atomically(home / FOLDER / f"reader-{seed}.json", msgspec.json.encode(errors))


def read_errors(path: Path) -> list[PairErrors]:
    """Read what `measure_reader` wrote.

    Raises:
        RunError: it is not there, or is something else.
    """
    try:
        return msgspec.json.decode(read_plain(path), type=list[PairErrors])
    except (OSError, *MALFORMED) as error:
        raise RunError(f"{path} holds no errors of a one-layer model: {error}. Choose another --out.") from error


def _measure_pair(
    layer: OneLayer, embed: Callable[[Tensor], Tensor], trajectory: Trajectory, n_tokens: int
) -> PairErrors:
    import torch

    from raml.updates import proposition

    rows = embed(torch.tensor(trajectory.prompt_ids + trajectory.token_ids[:n_tokens]))
    prompt, read = rows.tensor_split([len(trajectory.prompt_ids)])
    moved = replace(layer, w_q=proposition.find_query_map(prompt[-1], read[-1]) @ layer.w_q)
    paper, exact = (
        build(layer, prompt, read) for build in (proposition.build_paper_update, proposition.build_exact_update)
    )
    errors = [
        proposition.measure_residual(layer, changed, prompt, read).attention for changed in (layer, moved, paper, exact)
    ]
    return PairErrors(trajectory.question_id, n_tokens, *errors)
