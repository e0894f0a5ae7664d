"""What moves the last digits: tokens, log-probabilities and L-hat under other batches, threads, chunks and arithmetic.

    python benchmarks/determinism.py
    python benchmarks/determinism.py --model FOLDER --questions examples/word_problems.jsonl --limit 4 --n 2

One way of working is the reference; each line of the table changes one thing about it. Tokens are sampled anew, and
their log-probabilities are compared up to the first one that differs; L-hat is always that of the reference's
trajectories.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from raml.cli.options import parse_bytes
from raml.models import LoadedModel, load_model
from raml.probes import stream_probes, trace_trajectory
from raml.questions import read_question_file
from raml.records import Question, SamplingSettings, Scorer, Trajectory
from raml.sampling import sample_trajectories
from raml.tiny import make_questions

Curves = dict[str, np.ndarray]
HEADINGS = ("changed", "equal trajectories", "log-probability, median", "largest", "L̂, median", "largest")


@dataclass(frozen=True)
class Way:
    """How something is computed."""

    name: str
    dtype: str = "float32"
    threads: int = 1
    batch_size: int = 32
    alone: bool = False
    """Each trajectory traced by itself."""
    memory: int | None = None
    scorer: Scorer = "one-pass"
    samples: bool = True
    traces: bool = True


def main() -> None:
    """Measure and print a table."""
    options = read_options()
    questions = read_them(options)
    settings = SamplingSettings(
        temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=options.max_new_tokens, seed=options.seed
    )
    reference = Way("reference")
    loaded = load_model(options.model, dtype="float32", device="cpu")
    torch.set_num_threads(1)
    sampled = sample_trajectories(loaded, questions, n=options.n, settings=settings)
    curves = trace(loaded, questions, sampled, reference)
    digest = hash_results(sampled, curves)
    if options.digest:
        print(digest)
        return
    n_tokens = sum(len(t.token_ids) for t in sampled)
    print(f"{platform.machine()}, torch {torch.__version__}, {options.model}: {len(sampled)} trajectories of "
          f"{n_tokens:,} tokens, {sum(map(len, curves.values())):,} prefixes")  # fmt: skip
    again = [sys.executable, __file__, *sys.argv[1:], "--digest"]
    other = subprocess.run(again, capture_output=True, text=True, check=True).stdout.split()[-1]
    print(f"another process: {'the same bits' if other == digest else 'OTHER BITS'}\n")
    print(*HEADINGS, sep=" | ")
    for way in list_ways(options.memory):
        if way.dtype != loaded.identity.dtype:
            loaded = load_model(options.model, dtype=way.dtype, device="cpu")
        torch.set_num_threads(way.threads)
        cells = ["", "", ""]
        if way.samples:
            cells = compare_samples(
                sampled,
                sample_trajectories(loaded, questions, n=options.n, settings=settings, batch_size=way.batch_size),
            )
        if way.traces:
            chosen = sampled[: options.n_by_definition] if way.scorer == "definition" else sampled
            cells += spread(compare_curves(curves, trace(loaded, questions, chosen, way)))
        print(way.name, *cells, sep=" | ", flush=True)


def list_ways(memory: int) -> list[Way]:
    """What is changed, one thing at a time; a batch size is one of sampling only."""
    return [
        Way("nothing"),
        Way("batches of 8", batch_size=8, traces=False),
        Way("batches of 1; traced alone", batch_size=1, alone=True),
        Way("2 threads", threads=2),
        Way(f"--memory {memory:,} bytes", memory=memory, samples=False),
        Way("scored by definition", scorer="definition", samples=False),
        Way("bfloat16", dtype="bfloat16"),
        Way("bfloat16 and batches of 1; traced alone", dtype="bfloat16", batch_size=1, alone=True),
    ]


def trace(loaded: LoadedModel, questions: Sequence[Question], sampled: Sequence[Trajectory], way: Way) -> Curves:
    """L-hat [prefix] in nats by trajectory."""
    by_id = {question.id: question for question in questions}
    if way.scorer == "definition":
        made = [trace_trajectory(loaded, t, by_id[t.question_id].answer, scorer=way.scorer) for t in sampled]
        return {one.trajectory_id: one.mean_nll for one in made}
    groups = [[t] for t in sampled] if way.alone else [sampled]
    return {
        one.trajectory_id: one.mean_nll
        for group in groups
        for outcomes in stream_probes(loaded, group, by_id, memory=way.memory)
        for outcome in outcomes
        for one in outcome.traces
    }


def compare_samples(first: Sequence[Trajectory], second: Sequence[Trajectory]) -> list[str]:
    """Count equal trajectories, and take differences of log-probabilities up to the first other token."""
    n_equal, gaps = 0, []
    for one, other in zip(first, second, strict=True):
        n_equal += one.token_ids == other.token_ids
        pairs = zip(one.token_ids, other.token_ids, one.logprobs or (), other.logprobs or (), strict=False)
        for a, b, x, y in pairs:
            if a != b:
                break
            gaps.append(abs(x - y))
    return [f"{n_equal} of {len(first)}", *spread(np.array(gaps))]


def compare_curves(first: Curves, second: Curves) -> np.ndarray:
    """Differences of L-hat at all prefixes of the trajectories that both have."""
    return np.concatenate([np.abs(first[name] - curve) for name, curve in second.items()])


def spread(gaps: np.ndarray) -> list[str]:
    """Write median and largest difference, in nats."""
    return [f"{value:.1e}" if value else "0" for value in (np.median(gaps), gaps.max())]


def hash_results(sampled: Sequence[Trajectory], curves: Curves) -> str:
    """SHA-256 over tokens, log-probabilities and curves."""
    digest = hashlib.sha256()
    for trajectory in sampled:
        digest.update(np.array(trajectory.token_ids).tobytes())
        digest.update(np.array(trajectory.logprobs).tobytes())
        digest.update(curves[trajectory.id].tobytes())
    return digest.hexdigest()


def read_them(options: argparse.Namespace) -> list[Question]:
    """Read the questions of a file, or take some of the embedded world's."""
    if options.questions is None:
        return make_questions(options.limit, split="test")
    return read_question_file(options.questions)[: options.limit]


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--questions", type=Path, help="a file; by default the embedded world's test split")
    parser.add_argument("--limit", type=int, default=8, help="how many questions")
    parser.add_argument("--n", type=int, default=8, help="trajectories a question")
    parser.add_argument("--max-new-tokens", type=int, default=200)
    parser.add_argument("--memory", type=parse_bytes, default=40 * 2**20, help="of the pass in smaller chunks")
    parser.add_argument("--n-by-definition", type=int, default=64, help="trajectories scored by definition too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--digest", action="store_true", help="print nothing but a hash of the reference")
    return parser.parse_args()


if __name__ == "__main__":
    main()
