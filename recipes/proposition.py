"""Proposition 2.1 measured: how far the changed weights are from having read, on the one-layer model it is stated for.

    python recipes/proposition.py

Trains one-layer models on the oracle's solutions in the tiny world, then takes held-out questions, each with the first
tokens of a solution, and prints as tables: whether the prompts fulfil what the paper's construction assumes, the
relative errors of that construction and of the exact one for random and for trained weights, and what the trained
models' predictions lose by it.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from raml.models import LoadedModel, load_model
from raml.records import Trajectory
from raml.sampling import ask_oracle
from raml.tiny import make_questions
from raml.tiny.questions import Split
from raml.updates.proposition import (
    OneLayer,
    build_exact_update,
    build_paper_update,
    compute_output,
    find_query_map,
    measure_rank,
    measure_residual,
)
from raml.updates.reader import Reader, measure_loss, train_reader

RANDOM = ((8, False), (32, False), (128, False), (32, True), (128, True))
"""Width and positions of the random models; each question draws its own."""
TRAINED = ((16, False), (64, False), (64, True))
"""Width and positions of the trained models."""
ASSUMPTIONS = ("rank / tokens", "independent", "spanned", "both")
NEAR = ("nothing changed", "P alone", "Eq. 19", "Eq. 19, values alone")
REST = ("Eq. 19, output", "Eq. 19, linear", "exact", "exact, output", "exact, query kept")
PREDICTED = ("nothing changed", "P alone", "Eq. 19", "exact")


@dataclass(frozen=True)
class Setting:
    """A kind of model, and the models that the questions get in turn."""

    name: str
    readers: Sequence[Reader]
    is_trained: bool


def main() -> None:
    """Train, measure, print."""
    arguments = read_arguments()
    torch.set_num_threads(1)
    loaded = load_model("tiny", device="cpu")
    train = make_trajectories(loaded, "train", arguments.train_questions)
    held_out = make_trajectories(loaded, "test", arguments.test_questions)
    describe_pairs(held_out)
    n_ids = loaded.model.config.vocab_size
    settings = [make_random(n_ids, d, positions, len(held_out)) for d, positions in RANDOM]
    for d, positions in TRAINED:
        reader = Reader(n_ids, d, positions=positions, seed=arguments.seed)
        before = measure_loss(reader, held_out)
        train_reader(reader, train, arguments.steps, arguments.seed)
        name = name_setting("trained", d, positions)
        print(f"{name}: {before:.2f} → {measure_loss(reader, held_out):.2f} nats per held-out token", flush=True)
        settings.append(Setting(name, [reader.double()], is_trained=True))
    measured = {
        (setting.name, n): measure_setting(setting, held_out, n) for setting in settings for n in arguments.tokens
    }
    print_shares("What Eq. 19 assumes: independent prompt rows that span the trajectory's", ASSUMPTIONS, measured)
    print_table("Relative error of the attention output", NEAR, measured)
    print_table("Relative errors, of the attention output where nothing else is said", REST, measured)
    trained = {(name, n): values for (name, n), values in measured.items() if "Eq. 19, Δ log p" in values}
    print_table("Largest |Δ log p| of a next token, nats", PREDICTED, trained, ", Δ log p")
    print_shares("Most likely next token unchanged", PREDICTED, trained, ", same token")


def make_trajectories(loaded: LoadedModel, split: Split, n: int) -> list[Trajectory]:
    """Let the oracle solve n questions, once each."""
    return [ask_oracle(loaded, question, 1)[0] for question in make_questions(n, split=split)]


def describe_pairs(trajectories: Sequence[Trajectory]) -> None:
    """Print what the pairs are like."""
    lens = [len(trajectory.prompt_ids) for trajectory in trajectories]
    distinct = [len(set(trajectory.prompt_ids)) for trajectory in trajectories]
    print(
        f"{len(lens)} pairs; prompts of {min(lens)} to {max(lens)} tokens, of them {min(distinct)} to {max(distinct)} "
        f"distinct; first tokens of the trajectories: {len({trajectory.token_ids[0] for trajectory in trajectories})}"
    )


def make_random(n_ids: int, d: int, positions: bool, n: int) -> Setting:
    """Draw n untrained models."""
    readers = [Reader(n_ids, d, positions=positions, seed=seed).double() for seed in range(n)]
    return Setting(name_setting("random", d, positions), readers, is_trained=False)


def name_setting(weights: str, d: int, positions: bool) -> str:
    """Write a setting for the first column."""
    return f"{weights}, d = {d}" + ", positions" * positions


@torch.no_grad()
def measure_setting(setting: Setting, trajectories: Sequence[Trajectory], n: int) -> dict[str, list[float]]:
    """Measure all pairs of a prompt and the first n tokens of its trajectory; one value each under each heading."""
    values: dict[str, list[float]] = defaultdict(list)
    for index, trajectory in enumerate(trajectories):
        reader = setting.readers[index % len(setting.readers)]
        rows = reader.embed(torch.tensor(trajectory.prompt_ids + trajectory.token_ids[:n]))
        prompt, read = rows.tensor_split([len(trajectory.prompt_ids)])
        for name, value in measure_pair(reader, prompt, read, setting.is_trained).items():
            values[name].append(value)
    return dict(values)


def measure_pair(reader: Reader, prompt: Tensor, read: Tensor, is_trained: bool) -> dict[str, float]:
    """Measure one pair under all headings."""
    layer = reader.freeze()
    rank = measure_rank(prompt, read)
    values: dict[str, float] = {
        "rank / tokens": rank.rank / rank.n_tokens,
        "independent": rank.is_full,
        "spanned": rank.is_spanned,
        "both": rank.is_full and rank.is_spanned,
    }
    updates = {
        "nothing changed": layer,
        "P alone": replace(layer, w_q=find_query_map(prompt[-1], read[-1]) @ layer.w_q),
        "Eq. 19": build_paper_update(layer, prompt, read),
        "Eq. 19, values alone": build_paper_update(layer, prompt, read, gram="values"),
        "exact": build_exact_update(layer, prompt, read),
        "exact, query kept": build_exact_update(layer, prompt, read, move_query=False),
    }
    for name, updated in updates.items():
        residual = measure_residual(layer, updated, prompt, read)
        values |= {name: residual.attention, f"{name}, output": residual.output}
    values["Eq. 19, linear"] = measure_residual(layer, updates["Eq. 19"], prompt, read, kind="linear").attention
    if is_trained:
        wanted = predict(reader, layer, torch.cat([prompt, read]))
        for name in PREDICTED:
            got = predict(reader, updates[name], prompt)
            values[f"{name}, Δ log p"] = (got - wanted).abs().amax().item()
            values[f"{name}, same token"] = bool(got.argmax() == wanted.argmax())
    return values


def predict(reader: Reader, layer: OneLayer, rows: Tensor) -> Tensor:
    """Return log-probabilities of the token after the last."""
    return (compute_output(layer, rows) @ reader.head).log_softmax(dim=-1)


Measured = Mapping[tuple[str, int], Mapping[str, Sequence[float]]]
"""By setting and number of tokens read: values of the pairs under each heading."""


def print_shares(title: str, columns: Sequence[str], measured: Measured, suffix: str = "") -> None:
    """Print means over pairs, in percent; a suffix turns a column's name into its heading among the values."""
    print_head(title + " (mean over pairs)", columns)
    for (name, n), values in measured.items():
        print(f"| {name} | {n} | " + " | ".join(f"{np.mean(values[column + suffix]):.0%}" for column in columns) + " |")


def print_table(title: str, columns: Sequence[str], measured: Measured, suffix: str = "") -> None:
    """Print median, 90 % quantile and largest value over pairs."""
    print_head(title + " (median / 90 % / max over pairs)", columns)
    for (name, n), values in measured.items():
        quantiles = [np.quantile(values[column + suffix], (0.5, 0.9, 1.0)) for column in columns]
        cells = [" / ".join(f"{value:.2g}" for value in triple) for triple in quantiles]
        print(f"| {name} | {n} | " + " | ".join(cells) + " |")


def print_head(title: str, columns: Sequence[str]) -> None:
    """Print a title and the head of a table."""
    print(f"\n{title}\n\n| weights | tokens read | " + " | ".join(columns) + " |")
    print("|---|---|" + "---|" * len(columns), flush=True)


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure Proposition 2.1 on one-layer models.")
    parser.add_argument("--steps", type=int, default=1500, help="of training, each on 16 trajectories")
    parser.add_argument("--train-questions", type=int, default=4000)
    parser.add_argument("--test-questions", type=int, default=200)
    parser.add_argument("--tokens", type=int, nargs="+", default=[1, 8, 32], help="trajectory tokens that are read")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
