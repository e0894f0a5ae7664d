"""Make the tiny world's tokenizer and models again, measure them on held-out questions, and write the manifest.

    python recipes/tiny.py                       # into the package, about 15 minutes on one core
    python recipes/tiny.py --scale 0.01 --out /tmp/tiny    # a smoke test

Stages: the base learns skills (facts, copying, single steps, short solutions), then reads noisy solutions; SFT goes on
from there on correct trajectories. Everything is drawn from the training split and from the seed. The old weights are
replaced only when the new ones are complete.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase, Qwen3Config, Qwen3ForCausalLM
from transformers.utils.logging import disable_progress_bar

from raml.prompts import encode_text
from raml.tiny import TRAINED_SIZE, WEIGHTS, make_questions
from raml.tiny.tokenizer import MAX_LENGTH, PAD, TURN_END, build_tokenizer
from tiny_data import BASE_NOISY, BASE_SHORT, SFT, make_base_rows, make_sft_rows
from tiny_measure import measure_model
from tiny_train import Row, Schedule, train_model

SKILLS_SCHEDULE = Schedule(final_share=0.7)  # the noisy stage goes on from it, so the rate stays up
NOISY_SCHEDULE = Schedule()
SFT_SCHEDULE = Schedule()
N_SAMPLES = 8
"""Responses to each held-out question."""


def main() -> None:
    """Make the models as the command line says."""
    arguments = _read_arguments()
    torch.set_num_threads(arguments.threads)
    start = time.monotonic()
    new = arguments.out.with_name(arguments.out.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    stages = train_stages(new, arguments.scale, arguments.seed)
    trained_s = time.monotonic() - start
    n_questions = max(4, round(256 * min(1.0, 10 * arguments.scale)))
    questions = make_questions(n_questions, split="test", seed=arguments.seed)
    held_out = {name: measure_model(str(new / name), questions, N_SAMPLES) for name in ("base", "sft")}
    manifest = {
        **describe_recipe(arguments.scale, arguments.seed, arguments.threads),
        "parameters": Qwen3ForCausalLM.from_pretrained(new / "sft").num_parameters(),
        "stages": stages,
        "seconds": {"training": round(trained_s), "all": round(time.monotonic() - start)},
        "held_out": {"split": "test", "questions": n_questions, "samples": N_SAMPLES, "temperature": 1.0, **held_out},
    }
    (new / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(arguments.out, ignore_errors=True)
    new.rename(arguments.out)
    print(f"Wrote {arguments.out} in {time.monotonic() - start:.0f} s")


def train_stages(out: Path, scale: float, seed: int) -> dict[str, Any]:
    """Train base and SFT model and save them below a folder; return what each stage took and reached."""
    tokenizer = build_tokenizer()
    model = make_model(tokenizer, seed)
    stages: dict[str, Any] = {}
    print("Writing the base model's rows", flush=True)
    skills, noisy = make_base_rows(tokenizer, scale, seed)
    stages["base_skills"] = _train("base, skills", model, tokenizer, skills, SKILLS_SCHEDULE, seed)
    stages["base_noisy"] = _train("base, noisy solutions", model, tokenizer, noisy, NOISY_SCHEDULE, seed + 1)
    save_model(model, tokenizer, out / "base")
    print("Writing the SFT rows", flush=True)
    sft = make_sft_rows(tokenizer, scale, seed + 1)
    stages["sft"] = _train("sft", model, tokenizer, sft, SFT_SCHEDULE, seed + 2)
    save_model(model, tokenizer, out / "sft")
    return stages


def describe_recipe(scale: float, seed: int, threads: int) -> dict[str, Any]:
    """Say everything that decides the weights."""
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "tokenizers")}
    return {
        "note": "Made from generated questions alone; no outside data.",
        "command": f"python recipes/tiny.py --scale {scale:g} --seed {seed} --threads {threads}",
        "seed": seed,
        "scale": scale,
        "trained_size": TRAINED_SIZE,
        "mixes": {"base_short": asdict(BASE_SHORT), "base_noisy": asdict(BASE_NOISY), "sft": asdict(SFT)},
        "schedules": {
            "base_skills": asdict(SKILLS_SCHEDULE),
            "base_noisy": asdict(NOISY_SCHEDULE),
            "sft": asdict(SFT_SCHEDULE),
        },
        "versions": {"python": platform.python_version(), **versions},
    }


def make_model(tokenizer: PreTrainedTokenizerBase, seed: int) -> Qwen3ForCausalLM:
    """Make the untrained model: four layers of width 128, in the Qwen3 architecture."""
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


def save_model(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a model folder as Hugging Face tools expect it."""
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=True
    )
    disable_progress_bar()
    model.save_pretrained(folder)
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes files that only their owner may read
    tokenizer.save_pretrained(folder)


def _train(
    name: str,
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    schedule: Schedule,
    seed: int,
) -> dict[str, Any]:
    print(f"{name}: {len(rows):,} rows, {sum(map(len, rows)):,} tokens", flush=True)
    measured = train_model(model, rows, schedule, seed=seed, pad_id=encode_text(tokenizer, PAD)[0])
    return {"rows": len(rows), **measured}


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the tiny models again.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder to write or replace (default: the package's)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the training rows; 0.01 for a smoke test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
