"""PEFT, in a process of its own, runs and merges what is written."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from raml.errors import ModelError, RunError
from raml.records import UpdateSettings
from raml.sampling import ask_oracle
from raml.tiny import make_questions
from raml.updates import applying, compile_trajectory, take_point, write_adapter
from raml.updates.probe import plan_probe

LOAD = """
import json, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
folder, ids, out = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
name = json.load(open(folder + "/adapter_config.json"))["base_model_name_or_path"]
model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32).eval()
with torch.inference_mode():
    ids = torch.tensor([ids])
    base = model(ids).logits[0]
    model = PeftModel.from_pretrained(model, folder)
    loaded = model(ids).logits[0]
    merged = model.merge_and_unload()(ids).logits[0]
np.save(out, torch.stack([base, loaded, merged]).numpy())
"""


@pytest.fixture(scope="module")
def compiled(tiny):
    question = make_questions(1, split="test")[0]
    trajectory = ask_oracle(tiny, question, 1)[0]
    record, path = compile_trajectory(tiny, trajectory, question, UpdateSettings(n_prefixes=2))
    return question, trajectory, record, take_point(path)


def test_peft_loads_and_merges_the_adapter_in_a_fresh_process(tiny, compiled, tmp_path):
    question, trajectory, record, updates = compiled
    folder = tmp_path / "adapter"
    write_adapter(folder, tiny, updates, {"rank": record.rank})
    probe = plan_probe(tiny, trajectory, question, record.settings.bridge, "reasoning")
    ids, out = [*probe.prompt_ids, *probe.ids], tmp_path / "logits.npy"
    command = [sys.executable, "-c", LOAD, str(folder), json.dumps(ids), str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    base, loaded, merged = (torch.tensor(part) for part in np.load(out))
    with torch.inference_mode():
        whole = tiny.model(torch.tensor([[*probe.prompt_ids, *probe.trajectory_ids, *probe.ids]])).logits[0]
        with applying(tiny.model, updates):
            ours = tiny.model(torch.tensor([ids])).logits[0]
    n_answer, n_prompt = len(probe.answer_ids), len(probe.prompt_ids)
    answer = slice(-n_answer - 1, -1)
    assert (loaded - ours).abs().max() < 1e-3
    assert (merged - ours).abs().max() < 1e-3
    assert (merged[answer] - whole[answer]).abs().max() < 1e-3
    assert (base[answer] - whole[answer]).abs().max() > 1
    assert (merged[:n_prompt] - base[:n_prompt]).abs().max() < 1e-3
    assert loaded[answer].argmax(dim=-1).tolist() == list(probe.answer_ids)


def test_the_folder_says_what_it_is(tiny, compiled, tmp_path):
    _, _, record, updates = compiled
    write_adapter(tmp_path / "a", tiny, updates, {"rank": record.rank})
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", record.rank, record.rank)
    assert len(config["target_modules"]) == tiny.model.config.num_hidden_layers
    assert json.loads((tmp_path / "a" / "certificate.json").read_text()) == {"rank": record.rank}
    write_adapter(tmp_path / "a", tiny, updates, {"rank": 1})  # over an adapter, and over nothing else
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="no adapter"):
        write_adapter(tmp_path / "b", tiny, updates, {})


def test_an_update_of_nothing_is_an_adapter_of_zeros(tiny, compiled, tmp_path):
    _, _, _, updates = compiled
    nothing = [replace(update, left=torch.zeros_like(update.left)) for update in updates]
    write_adapter(tmp_path / "a", tiny, nothing, {})
    from safetensors.torch import load_file

    tensors = load_file(tmp_path / "a" / "adapter_model.safetensors")
    assert all(value.isfinite().all() for value in tensors.values())
    assert not any(value.any() for name, value in tensors.items() if "lora_B" in name)


def test_a_gguf_model_gets_no_adapter(tiny, compiled, tmp_path):
    gguf = tmp_path / "m.gguf"
    gguf.write_bytes(b"GGUF")
    other = replace(tiny, identity=replace(tiny.identity, name=str(gguf)))
    with pytest.raises(ModelError, match="GGUF"):
        write_adapter(tmp_path / "a", other, compiled[3], {})
