"""How much faster is one-pass prefix scoring than its definition, on this machine?

    python benchmarks/prefix_scoring.py                       the embedded model
    python benchmarks/prefix_scoring.py --model FOLDER        any other

The two are timed in turn. The definition's cost at T tokens is estimated from prefixes spread evenly over the
trajectory (all of them where --strata is at least T + 1), because all prefixes of a real model would take an hour.
Only the ratios travel to other machines.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import torch
from rich.console import Console
from rich.table import Table

from raml.models import load_model
from raml.scoring import answer_nll_by_definition, answer_nll_in_one_pass


def draw_parts(vocabulary: int, trajectory_len: int) -> list[torch.Tensor]:
    """Random prompt of 83 tokens, trajectory, bridge of 8 and answer of 3."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary, (83 + trajectory_len + 11,), generator=generator)
    return list(ids.split([83, trajectory_len, 8, 3]))


def time_both(model, parts, strata: int) -> tuple[float, float, float]:
    """Seconds of one pass over all prefixes, estimated seconds of the definition, largest difference in nats."""
    n_prefixes = len(parts[1]) + 1
    every, some = torch.arange(n_prefixes), torch.linspace(0, n_prefixes - 1, min(strata, n_prefixes)).long()
    started = time.perf_counter()
    fast = answer_nll_in_one_pass(model, *parts, every)
    between = time.perf_counter()
    slow = answer_nll_by_definition(model, *parts, some)
    slow_s = (time.perf_counter() - between) * n_prefixes / len(some)
    return between - started, slow_s, float((fast[some] - slow).abs().max())


def main() -> None:
    """Print a table, a row for each trajectory length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--lens", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--strata", type=int, default=17, help="prefixes that the definition is timed on")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="auto")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    loaded = load_model(options.model, dtype=options.dtype, device="cpu")
    table = Table("T", "one pass, s", "definition, s (estimated)", "ratio", "largest difference, nats")
    for length in options.lens:
        parts = draw_parts(loaded.model.config.get_text_config().vocab_size, length)
        time_both(loaded.model, draw_parts(loaded.model.config.get_text_config().vocab_size, 16), 2)  # warm up
        rows = [time_both(loaded.model, parts, options.strata) for _ in range(options.repeats)]
        fast, slow, difference = zip(*rows, strict=True)
        ratios = [s / f for f, s, _ in rows]
        table.add_row(
            str(length),
            f"{statistics.median(fast):.2f}",
            f"{statistics.median(slow):.1f}",
            f"{statistics.median(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f})",
            f"{max(difference):.1e}",
        )
    console = Console()
    console.print(f"{loaded.identity.name}, {loaded.identity.dtype}, {options.threads} thread(s)")
    console.print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}")
    console.print(table)


if __name__ == "__main__":
    main()
