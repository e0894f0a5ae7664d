import json

import pytest
from safetensors import safe_open

from raml.models import load_model
from raml.prompts import encode_text
from raml.records import PromptSettings, SamplingSettings
from raml.sampling import sample_trajectories
from raml.tiny import WEIGHTS, make_questions
from raml.tiny.tokenizer import build_tokenizer

MODELS = ("base", "sft")


@pytest.fixture(scope="module")
def manifest():
    return json.loads((WEIGHTS / "manifest.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_at_most_three_million_weights_in_float32(name):
    with safe_open(WEIGHTS / name / "model.safetensors", framework="numpy") as file:
        slices = [file.get_slice(key) for key in file.keys()]  # noqa: SIM118 - safe_open is no mapping
    n_weights = 0
    for tensor in slices:
        assert tensor.get_dtype() == "F32"
        size = 1
        for length in tensor.get_shape():
            size *= length
        n_weights += size
    assert n_weights <= 3_000_000


def test_all_weights_together_take_at_most_12_megabytes():
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*.safetensors")) <= 12e6


@pytest.mark.parametrize("name", MODELS)
def test_the_folders_tokenizer_is_the_one_that_the_package_builds(name):
    from transformers import AutoTokenizer

    stored, built = AutoTokenizer.from_pretrained(WEIGHTS / name), build_tokenizer()
    assert stored.backend_tokenizer.to_str() == built.backend_tokenizer.to_str()
    assert stored.chat_template == built.chat_template
    assert (stored.eos_token, stored.pad_token, stored.padding_side) == ("<|im_end|>", "<|endoftext|>", "left")


@pytest.mark.parametrize("name", MODELS)
def test_generation_stops_at_the_end_of_the_turn(name):
    config = json.loads((WEIGHTS / name / "generation_config.json").read_text(encoding="utf-8"))
    assert (config["eos_token_id"],) == encode_text(build_tokenizer(), "<|im_end|>")


def test_the_manifest_says_how_the_weights_were_made(manifest):
    assert manifest["scale"] == 1.0
    assert all(stage["tokens"] > 0 and stage["seconds"] > 0 for stage in manifest["stages"].values())
    assert manifest["held_out"]["split"] == "test"
    assert manifest["held_out"]["questions"] >= 256
    assert manifest["held_out"]["samples"] >= 8


def test_thinking_pays_and_guessing_does_not(manifest):
    held_out = manifest["held_out"]
    assert held_out["sft"]["think"]["all"]["pass_at_1"] >= 0.6
    assert held_out["sft"]["nothink"]["all"]["pass_at_1"] <= 0.15
    assert held_out["base"]["think"]["all"]["pass_at_1"] < held_out["sft"]["think"]["all"]["pass_at_1"] - 0.2


def test_the_answers_nll_falls_along_right_trajectories_and_not_along_wrong_ones(manifest):
    nll = manifest["held_out"]["sft"]["answer_nll"]
    right, wrong = nll["right"]["mean_by_tenth"], nll["wrong"]["mean_by_tenth"]
    assert right[0] > 1.5
    assert right[-1] < 0.2
    assert wrong[-1] > wrong[0]
    assert nll["right"]["share_lower_at_end"] > 0.95


@pytest.mark.parametrize(("mode", "least", "most"), [("think", 0.45, 1.0), ("nothink", 0.0, 0.3)])
def test_the_embedded_model_does_about_as_well_as_its_manifest_says(tiny, mode, least, most):
    # 24 validation questions, 2 samples each: within three standard errors of the manifest's rates.
    settings = SamplingSettings(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=256)
    questions = make_questions(24, split="validation")
    trajectories = sample_trajectories(
        tiny, questions, n=2, prompt=PromptSettings(mode=mode), settings=settings, batch_size=48
    )
    assert least <= sum(bool(trajectory.correct) for trajectory in trajectories) / len(trajectories) <= most


@pytest.mark.slow
def test_the_manifests_pass_at_1_is_found_again(manifest):
    held_out = manifest["held_out"]
    questions = make_questions(held_out["questions"], split="test", seed=manifest["seed"])
    settings = SamplingSettings(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=256)
    trajectories = sample_trajectories(
        load_model("tiny", dtype="float32", device="cpu"), questions, n=8, settings=settings, batch_size=256
    )
    rate = sum(bool(trajectory.correct) for trajectory in trajectories) / len(trajectories)
    assert rate == pytest.approx(held_out["sft"]["think"]["all"]["pass_at_1"], abs=0.02)
