"""What the way over TRL costs: SFT against a bare PyTorch loop of the same arithmetic, and where GRPO's time goes.

    python benchmarks/training_overhead.py

Both loops read the same examples in the same batches and order, with AdamW, the same clipping and schedule, on one
thread; they take turns. The weights they end with are compared, so that it is the same work.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from raml.models import load_model
from raml.sampling import ask_oracle
from raml.store import Journal, Run
from raml.tiny import make_questions
from raml.training import GrpoSettings, SftSettings, train_grpo, train_sft
from raml.training.examples import NO_LOSS, Example
from raml.training.order import count_updates, order_examples
from raml.training.sft import collect_examples


def main() -> None:
    """Measure and print."""
    arguments = read_arguments()
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, one thread")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        run = write_run(Path("run"), arguments.questions)
        measure_sft(run, arguments.repeats)
        measure_grpo(run, arguments.updates)


def measure_sft(run: Path, repeats: int) -> None:
    """Print the ratio of the two loops' times for the same updates."""
    settings = SftSettings(
        model="tiny-base",
        trajectories=(run,),
        batch_size=24,
        learning_rate=1e-3,
        adam_beta2=0.95,
        schedule="constant",
        device="cpu",
        threads=1,
        save_every=10**6,
    )
    loaded = load_model(settings.model, dtype="float32", device="cpu")
    examples, _ = collect_examples(loaded, settings)
    _, n_total = count_updates(len(examples), settings.batch_size, settings.epochs, None)
    order = order_examples([len(e.input_ids) for e in examples], settings.batch_size, n_total, settings.seed)
    batches = [[examples[i] for i in order[k : k + 24]] for k in range(0, n_total, 24)]
    n_tokens = sum(len(examples[i].input_ids) for i in order)
    ratios, whole = [], []
    for repeat in range(repeats):
        start = time.perf_counter()
        model, bare_s = train_bare(settings, batches, loaded.tokenizer.pad_token_id)
        bare_whole_s = time.perf_counter() - start
        start = time.perf_counter()
        result = train_sft(settings, Path(f"sft-{repeat}"))
        whole_s = time.perf_counter() - start
        trl_s = sum(row["seconds"] for row in result.metrics)
        trained = load_model(str(result.folder), device="cpu").model.state_dict()
        gap = max(float((trained[name] - value).abs().max()) for name, value in model.state_dict().items())
        if repeat:  # the first one loads TRL
            ratios.append(trl_s / bare_s)
            whole.append(whole_s / bare_whole_s)
        print(
            f"SFT, {len(batches)} updates, {n_tokens} tokens: bare {bare_s:.1f} s ({n_tokens / bare_s:,.0f} tokens/s), "
            f"TRL {trl_s:.1f} s, with loading and saving {bare_whole_s:.1f} and {whole_s:.1f} s; "
            f"largest difference of a weight {gap:.1e}",
            flush=True,
        )
    print(f"TRL / bare, updates alone: {show_spread(ratios)};  from call to saved model: {show_spread(whole)}")


def train_bare(
    settings: SftSettings, batches: Sequence[Sequence[Example]], pad_id: int
) -> tuple[torch.nn.Module, float]:
    """Train as a page of PyTorch would; returns the model and the seconds of its updates."""
    model = load_model(settings.model, dtype="float32", device="cpu").model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, settings.adam_beta2), weight_decay=0.0
    )
    start = time.perf_counter()
    for batch in batches:
        width = max(len(example.input_ids) for example in batch)
        ids = torch.tensor([[*e.input_ids, *[pad_id] * (width - len(e.input_ids))] for e in batch])
        labels = torch.tensor([[*e.labels, *[NO_LOSS] * (width - len(e.labels))] for e in batch])
        mask = torch.tensor([[1] * len(e.input_ids) + [0] * (width - len(e.input_ids)) for e in batch])
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
        loss = F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=NO_LOSS)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
    return model, time.perf_counter() - start


def measure_grpo(run: Path, n_updates: int) -> None:
    """Print where the time of GRPO's updates goes."""
    settings = GrpoSettings(
        model="tiny-base",
        questions=(str(run),),
        format="boxed",
        batch_size=128,
        micro_batch_size=32,
        max_completion_length=160,
        learning_rate=3e-4,
        max_steps=n_updates + 1,
        device="cpu",
        threads=1,
        save_every=10**6,
    )
    for n in (16, 4, 1):
        # With n of 16 in the gradient a micro-batch of 32 rollouts keeps 2 n.
        result = train_grpo(GrpoSettings(**{**vars(settings), "n_update": n}), Path(f"grpo-{n}"))
        rows = result.metrics[1:]  # the first one warms up
        parts = {name: statistics.median(row[name] for row in rows) for name in ("sampling_s", "scoring_s", "update_s")}
        total = statistics.median(row["seconds"] for row in rows)
        shares = ", ".join(f"{name[:-2]} {value:.3f} s ({value / total:.0%})" for name, value in parts.items())
        print(f"GRPO, 128 rollouts in groups of 16, gradient from {n}: {total:.2f} s an update: {shares}", flush=True)


def write_run(path: Path, n: int) -> Path:
    """Write a run folder with questions of the tiny world and an oracle trajectory each."""
    questions = make_questions(n, split="train")
    loaded = load_model("tiny-base", device="cpu")
    run = Run(path)
    run.write_questions(questions)
    with Journal(run.trajectories_path) as journal:
        journal.append([trajectory for question in questions for trajectory in ask_oracle(loaded, question, 1)])
    return path


def show_spread(values: Sequence[float]) -> str:
    """Write median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Time training.")
    parser.add_argument("--questions", type=int, default=1200)
    parser.add_argument("--repeats", type=int, default=4, help="of which the first is not counted")
    parser.add_argument("--updates", type=int, default=8, help="of GRPO, for each n")
    return parser.parse_args()


if __name__ == "__main__":
    main()
