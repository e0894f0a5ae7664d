"""How close is one-pass prefix scoring to what this machine can do, and how far ahead of the other ways?

    python benchmarks/prefix_scoring.py                                        64 trajectories on the embedded model
    python benchmarks/prefix_scoring.py --model FOLDER --lens 512 2048         a real model, float32
    python benchmarks/prefix_scoring.py --model FOLDER --dtypes bfloat16 --device cuda

Random tokens: a prompt of 83, a bridge of 8, an answer of 3, scored after every prefix. All ways are timed in turn, one
round after the other, and ratios are taken within a round.

    products    the matrix products that the pass can't do without, alone: linear layers on its rows, output layer on
                the answer's rows, and for each query its scores and weighted sum over the keys it sees
    one pass    raml.scoring.score_in_one_pass
    cached      prompt and trajectory once, then bridge and answer after each prefix against a cropped cache
    definition  raml.scoring.answer_nll_by_definition, one full prompt per prefix

The last two are timed on --strata prefixes spread evenly and multiplied up: all of them would take hours. Only ratios
travel to other machines. What a pass takes in memory: benchmarks/peak_memory.py.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from transformers import DynamicCache, PreTrainedModel

from raml.models import load_model
from raml.scoring import Job, Scores, answer_nll_by_definition, score_in_one_pass
from raml.scoring.kernels import fast_products, prefers_onednn
from raml.scoring.memory import CHUNK_TOKENS

PROMPT, BRIDGE, ANSWER = 83, 8, 3
ROWS = CHUNK_TOKENS["cpu"]
"""Rows on which the bare products are timed, as many as the pass runs at a time on a CPU."""


def draw_job(vocabulary: int, trajectory_len: int, seed: int = 0) -> Job:
    """Random tokens, scored after every prefix."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(vocabulary, (PROMPT + trajectory_len + BRIDGE + ANSWER,), generator=generator)
    prompt, trajectory, bridge, answer = (
        tuple(part.tolist()) for part in ids.split([PROMPT, trajectory_len, BRIDGE, ANSWER])
    )
    return Job(prompt, trajectory, bridge, (answer,), tuple(range(trajectory_len + 1)))


def time_s(model: PreTrainedModel, run: Callable[[], object]) -> float:
    """Seconds of a call, the device's work included."""
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


@torch.inference_mode()
def time_products(model: PreTrainedModel, job: Job) -> tuple[float, float]:
    """Seconds of the necessary matrix products, without and with those of the attention; extrapolated from samples."""
    config = model.config.get_text_config()
    head = model.get_output_embeddings()
    assert head is not None
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear) and module is not head]

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=model.device).to(model.dtype)

    inputs = {layer.in_features: draw(ROWS, layer.in_features) for layer in [*layers, head]}
    blocks = head.weight.split(4096)

    def run_linear() -> None:
        for layer in layers:
            layer(inputs[layer.in_features])

    def run_head() -> None:
        for block in blocks:
            torch.nn.functional.linear(inputs[head.in_features][: ROWS // 4], block)

    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    length = PROMPT + len(job.trajectory_ids) // 2
    query, keys = draw(kv_heads, ROWS * heads // kv_heads, dim), draw(kv_heads, length, dim)
    transposed = keys.transpose(1, 2)

    def run_attention() -> None:
        for _ in range(config.num_hidden_layers):
            for block in query.split(256, dim=1):  # scores that stay in the cache
                torch.bmm(torch.bmm(block, transposed), keys)

    with fast_products(model):
        run_linear()
        linear, output, attention = (
            statistics.median(time_s(model, run) for _ in range(3)) for run in (run_linear, run_head, run_attention)
        )
    n_scored = len(job.prefix_lens) * ANSWER
    without = linear * job.n_read / ROWS + output * n_scored / (ROWS // 4)
    return without, without + attention * job.n_read / ROWS


@torch.inference_mode()
def time_cached(model: PreTrainedModel, job: Job, prefix_lens: Sequence[int]) -> float:
    """Seconds of scoring all prefixes against a cropped cache, extrapolated from some, longest first."""
    cache = DynamicCache()
    stem = torch.tensor([[*job.prompt_ids, *job.trajectory_ids]], device=model.device)
    branch = torch.tensor([[*job.bridge_ids, *job.answers[0][:-1]]], device=model.device)
    targets = torch.tensor(job.answers[0], device=model.device)

    def prefill() -> None:
        model.base_model(input_ids=stem, past_key_values=cache, use_cache=True)

    def score_some() -> None:
        for length in sorted(prefix_lens, reverse=True):
            if (surplus := cache.get_seq_length() - PROMPT - length) > 0:
                cache.crop(-surplus)
            output = model(input_ids=branch, past_key_values=cache, use_cache=True, logits_to_keep=ANSWER)
            torch.nn.functional.cross_entropy(output.logits[0].float(), targets, reduction="none")

    first = time_s(model, prefill)
    return first + time_s(model, score_some) * len(job.prefix_lens) / len(prefix_lens)


def run_definition(model: PreTrainedModel, job: Job, prefix_lens: Sequence[int]) -> torch.Tensor:
    """One full prompt per prefix."""
    parts = (job.prompt_ids, job.trajectory_ids, job.bridge_ids, job.answers[0], tuple(prefix_lens))
    return answer_nll_by_definition(model, *(torch.tensor(part, device=model.device) for part in parts))


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median and range."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def time_round(model: PreTrainedModel, jobs: Sequence[Job], strata: int) -> tuple[float, ...]:
    """Time every way once: seconds of one pass, four ratios to it, largest difference in nats."""
    n_prefixes = len(jobs[0].prefix_lens)
    few = torch.linspace(0, n_prefixes - 1, min(strata, n_prefixes)).long().tolist()
    scores: list[Scores] = []
    slow: list[torch.Tensor] = []
    fast = time_s(model, lambda: scores.extend(score_in_one_pass(model, jobs))) / len(jobs)
    bare, with_attention = time_products(model, jobs[0])
    cached = time_cached(model, jobs[0], few)
    definition = time_s(model, lambda: slow.append(run_definition(model, jobs[0], few))) * n_prefixes / len(few)
    difference = float((scores[0].nll[0][few] - slow[0]).abs().max())
    return fast, bare / fast, with_attention / fast, cached / fast, definition / fast, difference


def compare(console: Console, options: argparse.Namespace, dtype: str) -> None:
    """Print a table, a row for each trajectory length, and the exponent of the growth."""
    loaded = load_model(options.model, dtype=dtype, device=options.device)
    model, vocabulary = loaded.model, loaded.model.config.get_text_config().vocab_size
    score_in_one_pass(model, [draw_job(vocabulary, 20)])
    kernel = "oneDNN" if prefers_onednn(model) else "default"
    console.print(f"\n{loaded.identity.name}, {dtype}, {torch.get_num_threads()} thread(s), {kernel} products")
    columns = [
        "T",
        "one pass, s",
        "products / one pass",
        "with attention's",
        "cached / one pass",
        "definition / one pass",
    ]
    table = Table(*columns, "largest difference, nats")
    seconds: dict[int, float] = {}
    for length in options.lens:
        jobs = [draw_job(vocabulary, length, seed) for seed in range(options.batch)]
        rounds = [time_round(model, jobs, options.strata) for _ in range(options.repeats)]
        fast, bare, with_attention, cached, definition, difference = zip(*rounds, strict=True)
        seconds[length] = statistics.median(fast)
        table.add_row(
            str(length),
            spread(fast, 3 if fast[0] < 1 else 1),
            spread(bare, 2),
            spread(with_attention, 2),
            spread(cached),
            spread(definition),
            f"{max(difference):.1e}",
        )
    console.print(table)
    if len(seconds) > 2:
        print_exponent(console, seconds)


def print_exponent(console: Console, seconds: dict[int, float]) -> None:
    """Fit seconds = c · Tᵉ by least squares in the logarithms."""
    x, y = [math.log(length) for length in seconds], [math.log(s) for s in seconds.values()]
    fit = statistics.linear_regression(x, y)
    console.print(f"The time grows as T^{fit.slope:.2f} from {min(seconds)} to {max(seconds)} tokens.")


def compare_threads(console: Console, options: argparse.Namespace, dtype: str) -> None:
    """Print how much faster more threads are, each timed in turn with one."""
    loaded = load_model(options.model, dtype=dtype, device=options.device)
    job = draw_job(loaded.model.config.get_text_config().vocab_size, options.lens[0])
    ratios: dict[int, list[float]] = {n: [] for n in options.threads[1:]}
    score_in_one_pass(loaded.model, [draw_job(len(loaded.tokenizer), 20)])
    for _ in range(options.repeats):
        torch.set_num_threads(options.threads[0])
        first = time_s(loaded.model, lambda: score_in_one_pass(loaded.model, [job]))
        for n, found in ratios.items():
            torch.set_num_threads(n)
            found.append(first / time_s(loaded.model, lambda: score_in_one_pass(loaded.model, [job])))
    for n, found in ratios.items():
        console.print(f"{dtype}, T = {options.lens[0]}: {n} threads are {spread(found, 2)} times as fast as one")


def describe_machine() -> str:
    """Name the processor and the libraries."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        features = [name for name in ("avx512f", "avx512_bf16", "amx_bf16") if name in info.read_text()]
        cpu = f"{len(names)} x {names[0]} ({', '.join(features)})" if names else cpu
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{cpu}{gpu}, torch {torch.__version__}"


def main() -> None:
    """Print the machine and a table for each type of number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtypes", nargs="+", default=["float32"])
    parser.add_argument("--lens", type=int, nargs="+", default=[120])
    parser.add_argument("--batch", type=int, default=1, help="trajectories scored together")
    parser.add_argument("--strata", type=int, default=9, help="prefixes that the slow ways are timed on")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="one number, or several to compare")
    options = parser.parse_args()
    console = Console(width=170)
    console.print(describe_machine())
    for dtype in options.dtypes:
        if len(options.threads) > 1:
            compare_threads(console, options, dtype)
        else:
            torch.set_num_threads(options.threads[0])
            compare(console, options, dtype)


if __name__ == "__main__":
    main()
