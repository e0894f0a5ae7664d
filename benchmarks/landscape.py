"""What a point of a loss landscape costs: moved weights against a plain forward pass over the same tokens.

    python benchmarks/landscape.py FOLDER_OF_A_MODEL

Schemes take turns in one process, with the same matrix kernels; each point is divided by the plain passes before and
after it. "int8" is how `raml` keeps random directions; the others keep the same directions in more bytes, or write
moved weights over a second copy of the model.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence

import torch

from raml.landscapes.batch import LossBatch, make_answer_rows
from raml.landscapes.checkpoints import lead_to
from raml.landscapes.directions import Direction, RandomDirection, count_rows, draw_direction, measure_plane
from raml.landscapes.perturb import Perturbation
from raml.models import load_model
from raml.tiny import make_questions

POINTS = [(alpha, beta) for alpha in (-0.2, 0.1) for beta in (-0.2, -0.1, -0.05, 0.05, 0.1, 0.15, 0.2, 0.25)]
"""Two rows of a grid. `raml` keeps what it can of a row; its first two points cost more, as they do in a landscape."""
Scheme = Callable[[float, float], object]
"""Measures a point."""
PADDING = " Reduce it step by step, one line for each step, and write what is left of it again in full each time."


class HeldDirection:
    """The same direction laid out in a wider type: what int8 is compared with."""

    leads_to = False

    def __init__(self, direction: RandomDirection, dtype: torch.dtype) -> None:
        self.values = {
            name: (entries.float() * direction.scales[name]).to(dtype) for name, entries in direction.entries.items()
        }

    @property
    def names(self):
        """The parameters it moves."""
        return self.values.keys()

    @property
    def n_bytes(self):
        """How much memory it takes."""
        return sum(value.nbytes for value in self.values.values())

    def pick(self, name, rows):
        """Its part for some rows of a parameter."""
        return (self.values[name][rows],)

    def cut(self, name, n_rows):
        """Its parts for a parameter, of so many rows each."""
        return zip(self.values[name].split(n_rows))

    def add(self, tile, start, piece, factor) -> None:
        """Write start + factor × a part of the direction into a tile."""
        torch.add(start, piece[0], alpha=factor, out=tile)


def main() -> None:
    """Measure and print."""
    arguments = read_arguments()
    torch.set_num_threads(arguments.threads)
    loaded = load_model(arguments.model, dtype=arguments.dtype, device=arguments.device)
    questions = [
        dataclasses.replace(question, prompt=question.prompt + PADDING * arguments.longer)
        for question in make_questions(arguments.questions, split="test")
    ]
    batch = LossBatch(loaded.model, make_answer_rows(loaded, questions))
    n_parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
    print(
        f"{platform.processor() or platform.machine()}, {loaded.identity.device}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads; {n_parameters / 1e6:.0f} M parameters in {loaded.identity.dtype}; "
        f"{len(questions)} questions, {batch.n_tokens} tokens a point",
        flush=True,
    )
    base = batch.measure()
    start = time.perf_counter()
    first, second = (draw_direction(loaded.model, arguments.seed, i) for i in (0, 1))
    print(f"Two directions: {time.perf_counter() - start:.1f} s")
    start = time.perf_counter()
    print("Lengths and cosine: {:.2f}, {:.2f}, {:.1e}".format(*measure_plane(loaded.model, first, second)), end="")
    print(f" ({time.perf_counter() - start:.1f} s)", flush=True)
    schemes = make_schemes(batch, first, second, arguments.schemes)
    measure(batch, schemes, arguments.repeats)
    print("Base loss as before, to the bit:", torch.equal(base, batch.measure()))
    print(f"Largest memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def make_schemes(
    batch: LossBatch, first: RandomDirection, second: RandomDirection, chosen: Sequence[str]
) -> dict[str, Scheme]:
    """Make a function for each scheme."""
    model = batch.model

    def perturb(one: Direction, two: Direction, *, keeps: bool = True) -> Scheme:
        perturbation = Perturbation(model, one, two)
        perturbation.learn(batch.measure)
        if not keeps:
            perturbation._rows = {}

        def run(alpha: float, beta: float) -> object:
            with perturbation.at(alpha, beta):
                return batch.measure()

        return run

    schemes: dict[str, Scheme] = {}
    if "int8" in chosen:
        schemes["int8"] = perturb(first, second)
    if "all-moved-anew" in chosen:
        schemes["int8, nothing kept along a row"] = perturb(first, second, keeps=False)
    for name in ("bfloat16", "float32"):
        if name in chosen:
            schemes[name] = perturb(*(HeldDirection(d, getattr(torch, name)) for d in (first, second)))
    if "checkpoints" in chosen:
        own = {name: value.detach() for name, value in model.named_parameters()}
        schemes["checkpoints"] = perturb(*(lead_to(model, "itself", own) for _ in range(2)))
    if "written" in chosen:
        schemes["written over a second copy"] = write_over(batch, first, second)
    return schemes


def write_over(batch: LossBatch, first: Direction, second: Direction) -> Scheme:
    """The plain way: moved weights are written into the model, from a pristine copy."""
    own = dict(batch.model.named_parameters())
    pristine = {name: own[name].detach().clone() for name in first.names}

    @torch.no_grad()
    def run(alpha: float, beta: float) -> object:
        for name, kept in pristine.items():
            n = count_rows(kept)
            cuts = (own[name].split(n), kept.split(n), first.cut(name, n), second.cut(name, n))
            for tile, source, one, two in zip(*cuts, strict=True):
                first.add(tile, source, one, alpha)
                second.add(tile, tile, two, beta)
        try:
            return batch.measure()
        finally:
            for name, kept in pristine.items():
                own[name].copy_(kept)

    return run


def measure(batch: LossBatch, schemes: dict[str, Scheme], repeats: int) -> None:
    """Print a point's time over that of a plain pass, by the clock and by the process's CPU time."""
    ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in schemes}
    plain = [time_once(batch, batch.measure)]
    for repeat in range(repeats):
        for name, run in schemes.items():
            spent = time_once(batch, lambda run=run, k=repeat: run(*POINTS[k % len(POINTS)]))
            plain.append(time_once(batch, batch.measure))
            before, after = plain[-2:]
            ratios[name].append(tuple(2 * t / (a + b) for t, a, b in zip(spent, before, after, strict=True)))
    wall, cpu = (statistics.median(times) for times in zip(*plain, strict=True))
    print(f"Plain pass: {wall:.2f} s, {cpu:.2f} s of CPU time", flush=True)
    for name, pairs in ratios.items():
        wall, cpu = zip(*pairs, strict=True)
        print(f"{name}: {show_spread(wall)} by the clock, {show_spread(cpu)} in CPU time", flush=True)


def time_once(batch: LossBatch, run: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and of CPU time."""
    synchronize = torch.accelerator.synchronize if batch.model.device.type != "cpu" else contextlib.nullcontext
    synchronize()
    start = time.perf_counter(), time.process_time()
    run()
    synchronize()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def show_spread(values: Sequence[float]) -> str:
    """Write mean, median and range."""
    mean, median = statistics.fmean(values), statistics.median(values)
    return f"mean {mean:.2f}, median {median:.2f} ({min(values):.2f} to {max(values):.2f})"


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Time points of a loss landscape.")
    parser.add_argument("model")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--longer", type=int, default=1, help="how often a sentence is added to each question")
    parser.add_argument("--repeats", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    known = ["int8", "all-moved-anew", "bfloat16", "float32", "checkpoints", "written"]
    parser.add_argument("--schemes", nargs="+", default=["int8"], choices=known)
    return parser.parse_args()


if __name__ == "__main__":
    main()
