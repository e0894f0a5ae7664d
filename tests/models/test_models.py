import hashlib
import shutil
from dataclasses import replace

import gguf
import numpy as np
import pytest
import torch
import transformers
from tokenizers.pre_tokenizers import ByteLevel

import raml
from raml.errors import ModelError
from raml.models import find_source, hash_config, load_model
from raml.records import Question, SamplingSettings
from raml.sampling import sample_trajectories

CHAT = "{% for m in messages %}{{ m.content }}{% endfor %}:"


def test_the_embedded_model_says_who_it_is(tiny):
    weights = (find_source("tiny") / "model.safetensors").read_bytes()
    assert tiny.identity.weights_sha256 == hashlib.sha256(weights).hexdigest()
    assert (tiny.identity.name, tiny.identity.revision) == ("tiny", None)
    assert (tiny.identity.dtype, tiny.identity.device) == ("float32", "cpu")
    assert tiny.context_len == 1024
    assert not tiny.model.training


def test_a_folder_is_the_same_model_under_another_name(tiny, tmp_path):
    folder = shutil.copytree(find_source("tiny"), tmp_path / "copy")
    loaded = load_model(str(folder), device="cpu")
    assert loaded.identity.name == str(folder)
    assert loaded.identity.key() == tiny.identity.key()


def test_shards_are_the_same_model_and_a_single_file_goes_before_them(tiny, tmp_path):
    folder = shutil.copytree(find_source("tiny"), tmp_path / "sharded")
    (folder / "model.safetensors").unlink()
    tiny.model.save_pretrained(folder, max_shard_size="1MB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    loaded = load_model(str(folder), device="cpu")
    ids = torch.arange(3, 20)[None]
    assert torch.equal(loaded.model(input_ids=ids).logits, tiny.model(input_ids=ids).logits)
    shutil.copy(find_source("tiny-base") / "model.safetensors", folder)
    single = load_model(str(folder), device="cpu")
    assert single.identity.weights_sha256 == load_model("tiny-base", device="cpu").identity.weights_sha256
    assert not torch.equal(single.model(input_ids=ids).logits, tiny.model(input_ids=ids).logits)


def test_another_configuration_or_tokenizer_is_another_identity(tiny, tmp_path):
    keys = {tiny.identity.key()}
    for i, (file, old, new) in enumerate(
        [
            ("config.json", '"rope_theta": 10000', '"rope_theta": 50'),
            ("config.json", '"transformers_version": "', '"transformers_version": "1'),
            ("tokenizer.json", "<|im_end|>", "<|other_end|>"),
        ]
    ):
        path = shutil.copytree(find_source("tiny"), tmp_path / str(i)) / file
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new))
        if i == 1:  # who wrote the file does not matter
            assert hash_config(path.parent) == tiny.identity.config_sha256
        else:
            keys.add(replace(tiny.identity, config_sha256=hash_config(path.parent)).key())
    assert len(keys) == 3


def test_another_arithmetic_is_another_identity(tiny):
    low = load_model("tiny", dtype="bfloat16", device="cpu")
    assert low.identity.dtype == "bfloat16"
    assert low.model.dtype == torch.bfloat16
    assert low.identity.key() != tiny.identity.key()


def test_a_models_own_sampling_defaults_do_not_leak_into_what_is_sampled(tiny, tmp_path):
    folder = shutil.copytree(find_source("tiny"), tmp_path / "penalised")
    config = transformers.GenerationConfig.from_pretrained(folder)
    config.update(repetition_penalty=50.0, no_repeat_ngram_size=1)
    config.save_pretrained(folder)
    question = [Question("q", "Calculate 3+4*2.", "11")]
    settings = SamplingSettings(temperature=0.0, max_new_tokens=60)
    expected = sample_trajectories(tiny, question, settings=settings)[0].text
    assert sample_trajectories(load_model(str(folder), device="cpu"), question, settings=settings)[0].text == expected


def test_progress_bars_of_transformers_are_left_as_they_were(capfd):
    logging = transformers.utils.logging
    was_on = logging.is_progress_bar_enabled()
    load_model("tiny-base", device="cpu")
    assert logging.is_progress_bar_enabled() == was_on
    assert "Loading" not in capfd.readouterr().err


def write_gguf(path, width=32, n_layers=2, n_heads=4, feed_forward=48):
    """A random Qwen2 whose vocabulary is the 256 bytes, one pair of them and an end mark."""
    vocabulary = [*sorted(ByteLevel.alphabet()), "ab", "<end>"]
    generator = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_block_count(n_layers)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(n_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(vocabulary)
    writer.add_token_merges(["a b"])
    writer.add_token_types([1] * 257 + [3])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(257)
    writer.add_chat_template(CHAT)
    shapes = {"token_embd": (len(vocabulary), width), "output": (len(vocabulary), width), "output_norm": (width,)}
    for i in range(n_layers):
        square = {f"blk.{i}.attn_{x}": (width, width) for x in ("q", "k", "v", "output")}
        forward = {f"blk.{i}.ffn_{x}": (feed_forward, width) for x in ("gate", "up")}
        norms = {f"blk.{i}.{x}_norm": (width,) for x in ("attn", "ffn")}
        shapes |= square | forward | norms | {f"blk.{i}.ffn_down": (width, feed_forward)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", generator.normal(size=shape, scale=0.3).astype(np.float32))
    for i in range(n_layers):
        for x in ("q", "k", "v"):
            writer.add_tensor(f"blk.{i}.attn_{x}.bias", generator.normal(size=width).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_is_loaded_sampled_and_traced(tmp_path):
    path = tmp_path / "small.gguf"
    write_gguf(path)
    loaded = load_model(str(path), device="cpu")
    assert loaded.identity.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.tokenizer.chat_template == CHAT
    settings = SamplingSettings(temperature=1.0, max_new_tokens=12)
    (trajectory,) = sample_trajectories(loaded, [Question("q", "1+1?", "2")], settings=settings)
    assert len(trajectory.token_ids) == 12
    assert trajectory.text.encode(errors="replace")
    trace = raml.trace_trajectory(loaded, trajectory, "2")
    slow = raml.trace_trajectory(loaded, trajectory, "2", scorer="definition")
    np.testing.assert_allclose(trace.nll, slow.nll, atol=1e-4)


def test_a_name_that_is_nowhere_lists_what_is_embedded():
    with pytest.raises(ModelError, match="embedded: tiny, tiny-base"):
        load_model("nobody/nothing")


def test_the_package_offers_what_it_promises_and_nothing_else():
    for name in raml.__all__:
        assert getattr(raml, name) is not None
    assert set(raml.__all__) == set(raml._HOMES) | {"__version__"}
    with pytest.raises(AttributeError, match="no attribute 'frob'"):
        raml.frob  # noqa: B018


def test_a_model_spread_over_all_devices_there_are_is_the_same_model(tiny):
    spread = load_model("tiny", device="all")
    ids = torch.arange(20, 40)[None]
    with torch.inference_mode():
        expected = tiny.model(input_ids=ids).logits
        torch.testing.assert_close(spread.model(input_ids=ids).logits.to("cpu"), expected, rtol=0, atol=1e-4)
    assert spread.identity.key() == tiny.identity.key()
