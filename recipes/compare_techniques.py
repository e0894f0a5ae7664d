"""SFT, GRPO from the base (Zero-GRPO) and GRPO after SFT on the embedded base model, over several seeds.

    python recipes/compare_techniques.py --out build/techniques --seeds 3

Each seed has its own training questions, rollouts and order; the test questions are the same for all. Every stage is a
`raml` command; killed and run again, it goes on where it was. Prints the table, and writes it with the learning curves.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raml.cli import run as run_command
from raml.figures import plot_training, save_figure
from raml.records import Estimate
from raml.stats import Counts, Metric, compare_metric, estimate_metric, measure_questions
from raml.store import Run
from raml.training.folder import TrainingFolder

METRICS = {"Pass@1": Metric("avg"), "Pass@8": Metric("pass", k=8), "mG-Pass@8": Metric("mg-pass", k=8)}
ROWS = ("base", "zero-grpo", "sft", "sft-grpo")
PAIRS = (("zero-grpo", "base"), ("sft", "base"), ("sft-grpo", "sft"), ("sft-grpo", "zero-grpo"))


def main() -> None:
    """Train, sample, print."""
    arguments = read_arguments()
    out = arguments.out
    for seed in arguments.only or range(arguments.seeds):
        train_seed(out, seed, arguments)
    if arguments.only:
        return
    counts = {name: read_counts(out, name, arguments) for name in ROWS}
    table = make_table(counts, arguments)
    (out / "table.md").write_text(table, encoding="utf-8")
    print(table)
    curves = {
        f"{name}, seed {seed}": TrainingFolder(out / f"seed-{seed}" / name).read_metrics()
        for name in ("zero-grpo", "sft-grpo")
        for seed in range(arguments.seeds)
    }
    save_figure(plot_training(curves, quantities=("reward", "correct_rate", "format_rate")), out / "curves.png")


def train_seed(out: Path, seed: int, arguments: argparse.Namespace) -> None:
    """Train and sample all models of one seed."""
    home = out / f"seed-{seed}"
    test, sft_run, grpo_run = home / "test", home / "sft-questions", home / "grpo-questions"
    train = ("questions", "tiny", "--split", "train", "--seed")
    run_raml(*train, 100 + seed, "--limit", arguments.sft_questions, "--out", sft_run)
    run_raml("sample", "oracle", sft_run, "--n", 1, "--seed", seed)
    run_raml(*train, 200 + seed, "--limit", 8 * arguments.updates, "--out", grpo_run)
    shared = ("--seed", seed, "--threads", 1)
    run_raml(
        *("--config", "tiny/sft", "train", "sft", "--model", arguments.model),
        *("--trajectories", sft_run, "--out", home / "sft", *shared),
    )
    for name, start in (("zero-grpo", arguments.model), ("sft-grpo", home / "sft")):
        run_raml(
            *("--config", "tiny/grpo", "train", "grpo", "--model", start),
            *("--questions", grpo_run, "--out", home / name, *shared),
        )
    for name in ROWS:
        run_raml("questions", "tiny", "--split", "test", "--limit", arguments.test_questions, "--out", test / name)
        run_raml(
            *("sample", arguments.model if name == "base" else home / name, test / name, "--n", arguments.n),
            *("--temperature", 1, "--top-p", 1, "--top-k", 0, "--max-new-tokens", 200),
            *("--batch-size", 256, "--seed", seed),
        )


def read_counts(out: Path, name: str, arguments: argparse.Namespace) -> Counts:
    """Count right responses per seed and question."""
    rows, ids = [], []
    for seed in range(arguments.seeds):
        run = Run(out / f"seed-{seed}" / "test" / name)
        ids = [question.id for question in run.read_questions()]
        right = dict.fromkeys(ids, 0)
        for trajectory in run.read_trajectories():
            right[trajectory.question_id] += trajectory.correct is True
        rows.append([right[i] for i in ids])
    return Counts(np.array(rows), arguments.n, question_ids=ids)


def make_table(counts: dict[str, Counts], arguments: argparse.Namespace) -> str:
    """Write estimates and paired differences as markdown, with 95 % intervals over questions."""
    lines = [
        f"{arguments.seeds} seeds, {arguments.test_questions} test questions, {arguments.n} responses each.",
        "",
        "| | " + " | ".join(METRICS) + " |",
        "|---|" + "---|" * len(METRICS),
    ]
    for name in ROWS:
        cells = [show(estimate_metric(metric, counts[name])) for metric in METRICS.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for better, baseline in PAIRS:
        cells = [show(compare_metric(m, counts[better], counts[baseline]), sign="+") for m in METRICS.values()]
        lines.append(f"| {better} − {baseline} | " + " | ".join(cells) + " |")
    lines += ["", "Each seed alone (mG-Pass@8): " + json.dumps(list_seeds(counts, arguments.n))]
    return "\n".join(lines) + "\n"


def list_seeds(counts: dict[str, Counts], n: int) -> dict[str, list[float]]:
    """mG-Pass@8 of every seed."""
    metric = METRICS["mG-Pass@8"]
    return {
        name: [round(float(measure_questions(metric, Counts(row, n)).mean()), 3) for row in np.asarray(found.correct)]
        for name, found in counts.items()
    }


def show(estimate: Estimate, sign: str = "") -> str:
    """Write a value with its interval."""
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def run_raml(*words: object) -> None:
    """Run a command of raml, and stop if it fails."""
    line: Sequence[str] = [str(word) for word in words]
    print("raml", *line, flush=True)
    if run_command(line) != 0:
        raise SystemExit(2)


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare training techniques on the embedded model.")
    parser.add_argument("--out", type=Path, default=Path("build/techniques"))
    parser.add_argument("--model", default="tiny-base", help="where all begin")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", type=int, nargs="*", help="only train these seeds, to share them among processes")
    parser.add_argument("--sft-questions", type=int, default=4000)
    parser.add_argument("--updates", type=int, default=60, help="of GRPO")
    parser.add_argument("--test-questions", type=int, default=128)
    parser.add_argument("--n", type=int, default=16, help="responses per test question")
    return parser.parse_args()


if __name__ == "__main__":
    main()
