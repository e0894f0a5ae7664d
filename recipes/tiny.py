"""Make the tiny world's tokenizer and models again, measure them on held-out questions, and write the manifest.

    python recipes/tiny.py                       # into the package, about half an hour on one core
    python recipes/tiny.py --scale 0.01 --out /tmp/tiny --work /tmp/tiny-work    # a smoke test

Every stage is a `raml train` command with its packaged settings (tiny/…): the base learns skills from random weights
(facts, copying, single steps, short solutions), then reads noisy solutions; SFT goes on from there on correct
trajectories, and GRPO on the model's own rollouts. Everything is drawn from the training split and from the seed.
Killed and run again, it goes on where it was. The old weights are replaced only when the new ones are complete.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase, Qwen3Config, Qwen3ForCausalLM
from transformers.utils.logging import disable_progress_bar

from raml.cli import run as run_command
from raml.prompts import encode_text
from raml.store import Run, list_versions
from raml.tiny import TRAINED_SIZE, WEIGHTS, make_questions
from raml.tiny.tokenizer import MAX_LENGTH, PAD, TURN_END, build_tokenizer
from raml.training.examples import Example
from raml.training.folder import TrainingFolder
from tiny_data import BASE_NOISY, BASE_SHORT, SFT, make_base_rows, make_sft_rows
from tiny_measure import measure_model

ROOT = Path(__file__).resolve().parents[1]
N_SAMPLES = 8
"""Responses to each held-out question."""
N_GRPO_QUESTIONS = 480
MODELS = ("base", "sft", "grpo")


def main() -> None:
    """Make the models as the command line says."""
    arguments = _read_arguments()
    scale, seed, work = arguments.scale, arguments.seed, arguments.work
    start = time.monotonic()
    stages = train_stages(work, scale, seed, arguments.threads)
    n_questions = max(4, round(256 * min(1.0, 10 * scale)))
    questions = make_questions(n_questions, split="test", seed=seed)
    torch.set_num_threads(arguments.threads)
    held_out = {name: measure_model(str(work / name), questions, N_SAMPLES) for name in MODELS}
    manifest = {
        "note": "Made from generated questions alone; no outside data.",
        "command": f"python recipes/tiny.py --scale {scale:g} --seed {seed} --threads {arguments.threads}",
        "seed": seed,
        "scale": scale,
        "trained_size": TRAINED_SIZE,
        "mixes": {"base_short": asdict(BASE_SHORT), "base_noisy": asdict(BASE_NOISY), "sft": asdict(SFT)},
        "versions": list_versions(),
        "parameters": Qwen3ForCausalLM.from_pretrained(work / "sft").num_parameters(),
        "stages": stages,
        "seconds": round(sum(stage["seconds"] for stage in stages.values())),
        "held_out": {"split": "test", "questions": n_questions, "samples": N_SAMPLES, "temperature": 1.0, **held_out},
    }
    publish(work, arguments.out, manifest)
    print(f"Wrote {arguments.out} in {time.monotonic() - start:.0f} s")


def train_stages(work: Path, scale: float, seed: int, threads: int) -> dict[str, Any]:
    """Train all models below a folder, each stage by its command; return what each took and reached."""
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    save_untrained(tokenizer, seed, work / "untrained")
    write_all_rows(tokenizer, work, scale, seed)
    n_questions = max(8, round(N_GRPO_QUESTIONS * scale))
    commands = {
        "skills": ("base-skills", "sft", "--model", work / "untrained", "--rows", work / "skills.parquet"),
        "base": ("base-noisy", "sft", "--model", work / "skills", "--rows", work / "noisy.parquet"),
        "sft": ("sft", "sft", "--model", work / "base", "--rows", work / "sft.parquet"),
        "grpo": ("grpo", "grpo", "--model", work / "sft", "--questions", work / "questions"),
    }
    _run(
        *("questions", "tiny", "--split", "train", "--limit", n_questions, "--seed", seed + 7),
        *("--out", work / "questions"),
    )
    for name, (config, technique, *rest) in commands.items():
        out = ("--out", work / name, "--seed", seed, "--threads", threads)
        _run("--config", f"tiny/{config}", "train", technique, *rest, *out)
    return {name: _describe_stage(work / name) for name in commands}


def save_untrained(tokenizer: PreTrainedTokenizerBase, seed: int, folder: Path) -> None:
    """Save the untrained model: four layers of width 128, in the Qwen3 architecture."""
    model = make_model(tokenizer, seed)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=True
    )
    disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_model(tokenizer: PreTrainedTokenizerBase, seed: int) -> Qwen3ForCausalLM:
    """Make the model with random weights."""
    pad_id, end_id = encode_text(tokenizer, PAD + TURN_END)
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            max_position_embeddings=MAX_LENGTH,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
            tie_word_embeddings=True,
            pad_token_id=pad_id,
            eos_token_id=end_id,
            bos_token_id=None,
        )
    )


def write_all_rows(tokenizer: PreTrainedTokenizerBase, work: Path, scale: float, seed: int) -> None:
    """Write what base and SFT model read, as tokenised data sets; files that are there are kept."""
    paths = [work / f"{name}.parquet" for name in ("skills", "noisy", "sft")]
    if all(path.is_file() for path in paths):
        return
    print("Writing the rows", flush=True)
    for path, rows in zip(
        paths, (*make_base_rows(tokenizer, scale, seed), make_sft_rows(tokenizer, scale, seed + 1)), strict=True
    ):
        write_rows(path, rows)


def write_rows(path: Path, rows: Sequence[Example]) -> None:
    """Write examples as parquet with the columns input_ids and labels."""
    columns = {name: [getattr(row, name) for row in rows] for name in ("input_ids", "labels")}
    pq.write_table(pa.table(columns), path, compression="zstd")


def publish(work: Path, out: Path, manifest: dict[str, Any]) -> None:
    """Put models, learning curves and manifest into the package in place of the old ones."""
    new = out.with_name(out.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    for name in MODELS:
        (new / name).mkdir(parents=True)
        for path in (work / name).iterdir():
            if path.name in {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"} or (
                path.suffix in {".safetensors", ".jinja"}
            ):
                shutil.copyfile(path, new / name / path.name)
    for name in (*MODELS, "skills"):
        shutil.copyfile(work / name / "metrics.jsonl", new / f"{name}.metrics.jsonl")
    (new / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    new.rename(out)


def _run(*arguments: object) -> None:
    """Run a command of raml, and stop if it fails."""
    words = [str(argument) for argument in arguments]
    print("raml", *words, flush=True)
    if run_command(words) != 0:
        raise SystemExit(f"raml {' '.join(words)} failed")


def _describe_stage(folder: Path) -> dict[str, Any]:
    """Say what a stage took and where it ended, from its metrics and its own manifest."""
    done = Run(folder).read_manifest().stages[-1]
    rows = TrainingFolder(folder).read_metrics()
    last = rows[-max(1, len(rows) // 20) :]
    means = {
        name: round(sum(row[name] for row in last) / len(last), 4)
        for name in ("loss", "reward", "correct_rate", "format_rate")
        if name in last[-1]
    }
    settings = {k: v for k, v in done.config["settings"].items() if k not in ("model", "rows", "questions")}
    return {
        "technique": done.stage,
        "settings": settings,
        "updates": done.n_units,
        "tokens": int(rows[-1]["tokens"]),
        "seconds": round(sum(row["seconds"] for row in rows), 1),
        "end": means,
    }


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the tiny models again.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder to write or replace (default: the package's)")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "build" / "tiny", help="where rows and checkpoints are kept"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="share of the training rows; 0.01 for a smoke test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
