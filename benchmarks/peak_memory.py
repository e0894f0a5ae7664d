"""How much memory does a pass take beside the model's weights, at its most?

    python benchmarks/peak_memory.py --model FOLDER --len 4096 --memory 250MB

The longest prefixes of a long random trajectory are scored in this fresh process; resident memory is sampled every 5 ms
(on CUDA the allocator's own record is read).
"""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

import torch

from raml.cli.options import parse_bytes
from raml.models import load_model
from raml.scoring import Job, score_in_one_pass
from raml.scoring.memory import count_position_bytes


def read_resident() -> int:
    """Bytes of this process in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def main() -> None:
    """Print what the pass took, and how much of it were keys and values."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--len", type=int, default=4096)
    parser.add_argument("--prefixes", type=int, default=256, help="how many of the longest are scored")
    parser.add_argument("--memory", type=parse_bytes, help="what the pass may take, such as 250MB")
    options = parser.parse_args()
    model = load_model(options.model, dtype=options.dtype, device=options.device).model
    for parameter in model.parameters():
        parameter.sum()  # read from the disk what is still only mapped
    ids = torch.randint(model.config.get_text_config().vocab_size, (83 + options.len + 11,)).tolist()
    prompt, trajectory, bridge, answer = ids[:83], ids[83:-11], ids[-11:-3], ids[-3:]
    lens = range(options.len + 1 - options.prefixes, options.len + 1)
    job = Job(tuple(prompt), tuple(trajectory), tuple(bridge), (tuple(answer),), tuple(lens))
    before, seen, over = read_resident(), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            seen.append(read_resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    score_in_one_pass(model, [job], memory=options.memory)
    over.set()
    watcher.join()
    taken = max(seen) - before
    if model.device.type == "cuda":
        taken = torch.cuda.max_memory_allocated() - sum(p.numel() * p.element_size() for p in model.parameters())
    stored = count_position_bytes(model) * job.n_stored
    print(
        f"{options.model}, {options.dtype}, T = {options.len}: {taken / 2**20:.0f} MiB beside the weights, "
        f"{stored / 2**20:.0f} of them keys and values"
    )


if __name__ == "__main__":
    main()
