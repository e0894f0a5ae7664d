"""What a path in weight space costs beside the forward passes that it needs.

    python benchmarks/update_path.py --model FOLDER --tokens 400 --prefixes 100

Rounds run in turns in one process: the path with its inner products, and the passes alone, by the same engine without
updates: prompt and trajectory once, and bridge and answer after every prefix, with the trajectory and without.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import torch

from raml.models import load_model
from raml.scoring import Job, score_in_one_pass
from raml.updates import trace_path
from raml.updates.probe import space_prefixes

PROBE, N_ANSWER, N_PROMPT = 11, 3, 83


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    arguments = read_arguments()
    torch.set_num_threads(arguments.threads)
    model = load_model(arguments.model, dtype=arguments.dtype, device=arguments.device).model
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, (N_PROMPT + arguments.tokens + PROBE,), generator=generator) % model.config.vocab_size
    prompt, text, probe = (part.tolist() for part in ids.split([N_PROMPT, arguments.tokens, PROBE]))
    lens = space_prefixes(len(text), arguments.prefixes)
    ratios, shares = [], []
    for number in range(arguments.rounds + 1):
        started = time.perf_counter()
        run_passes(model, prompt, text, probe, lens)
        passes = time.perf_counter() - started
        path = trace_path(model, prompt, text, probe, lens, N_ANSWER)
        traced = time.perf_counter() - started - passes
        path.measure_gram()
        path.measure_norms()
        whole = time.perf_counter() - started - passes
        if number:  # the first round warms up
            ratios.append(whole / passes)
            shares.append((whole - traced) / passes)
            print(f"passes {passes:.1f} s, path {traced:.1f} s, inner products {whole - traced:.1f} s", flush=True)
    setting = f"{model.dtype}, {arguments.threads} thread(s), {describe_machine()}"
    print(f"{len(lens)} prefixes of {len(text)} tokens, {setting}")
    print(f"path / passes: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), ", end="")
    print(f"of which inner products {statistics.median(shares):.2f}")


def run_passes(
    model: torch.nn.Module, prompt: list[int], text: list[int], probe: list[int], lens: tuple[int, ...]
) -> None:
    """Run the forward passes that a path needs, and nothing else."""
    bridge, answer = tuple(probe[:-N_ANSWER]), (*probe[-N_ANSWER:], 0)  # an answer's last token is never read
    with_text = Job(tuple(prompt), tuple(text), bridge, (answer,), lens)
    without = Job(tuple(prompt), (), bridge, (answer,), (0,) * len(lens))
    score_in_one_pass(model, [with_text, without])


def describe_machine() -> str:
    """Name the processor."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Time a path in weight space.")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--tokens", type=int, default=400, help="of the trajectory")
    parser.add_argument("--prefixes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


if __name__ == "__main__":
    main()
