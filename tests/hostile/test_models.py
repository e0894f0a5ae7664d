"""Model folders and files that would run code, fill the memory, or hold something else."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile.harness import Case, check, edit, endless, fifo, folder, loop, mark
from tests.hostile.test_tables import header

TOWARD = "landscape run --model tiny --plane checkpoints --toward model --toward tiny --n-steps 3 --threads 1"
SAMPLE = "sample model run --n 1 --max-new-tokens 5 --threads 1"
WEIGHTS = "model/model.safetensors"
FIRST = "model.embed_tokens.weight"


class Bomb:
    """A pickle that makes a folder when it is read."""

    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def config(**changes: object) -> Callable[[Path], None]:
    """Change fields of config.json."""
    return edit(lambda b: json.dumps(json.loads(b) | changes).encode())


def tensor(**changes: object) -> Callable[[Path], None]:
    """Change what a safetensors header says of the first weight."""
    return header(lambda h: h | {FIRST: h[FIRST] | changes})


def bombed(name: str) -> Callable[[Path], None]:
    """Put a pickle in the place of the weights."""

    def apply(path: Path) -> None:
        (path / "model.safetensors").unlink()
        (path / name).write_bytes(pickle.dumps(Bomb()))

    return apply


def indexed(shard: object) -> Callable[[Path], None]:
    """Let an index name the weights."""

    def apply(path: Path) -> None:
        (path / "model.safetensors").rename(path / "decoy.safetensors")
        index = {"metadata": {}, "weight_map": {FIRST: shard}}
        (path / "model.safetensors.index.json").write_text(json.dumps(index))

    return apply


def list_folder_cases() -> list[Case]:
    changes: dict[str, tuple[str, object, str]] = {
        "a pickle for weights": ("model", bombed("pytorch_model.bin"), "only pickled weights (pytorch_model.bin)"),
        "a pickle of another name": ("model", bombed("weights.pt"), "only pickled weights (weights.pt)"),
        "a pickle that is called safetensors": (WEIGHTS, pickle.dumps(Bomb()), ""),
        "code of its own": (
            "model/config.json",
            config(model_type="own", auto_map={"AutoModelForCausalLM": "code.Model", "AutoConfig": "code.Config"}),
            "--trust-remote-code",
        ),
        "an index that climbs out": ("model", indexed("../../etc/passwd"), "names '../../etc/passwd'"),
        "an index with an absolute path": ("model", indexed("/etc/passwd"), "names '/etc/passwd'"),
        "an index that names a number": ("model", indexed(7), ""),
        "an index that names NUL": ("model", indexed("a\0b.safetensors"), ""),
        "a header of 2^63 bytes": (WEIGHTS, edit(lambda b: struct.pack("<Q", 2**63) + b[8:]), ""),
        "a header longer than the file": (WEIGHTS, edit(lambda b: struct.pack("<Q", 10**8) + b[8:]), ""),
        "offsets beyond the file": (WEIGHTS, tensor(data_offsets=[0, 10**12]), ""),
        "offsets that overlap": (WEIGHTS, tensor(data_offsets=[4, 2000]), ""),
        "offsets that run backwards": (WEIGHTS, tensor(data_offsets=[2000, 4]), ""),
        "a shape of 10^18": (WEIGHTS, tensor(shape=[10**9, 10**9]), ""),
        "another dtype": (WEIGHTS, tensor(dtype="F64"), ""),
        "an unknown dtype": (WEIGHTS, tensor(dtype="F7"), ""),
        "empty weights": (WEIGHTS, b"", ""),
        "weights cut in half": (WEIGHTS, edit(lambda b: b[: len(b) // 2]), ""),
        "weights that are a folder": (WEIGHTS, folder, ""),
        "weights that are a pipe": (WEIGHTS, fifo, ""),
        "weights that are a link to themselves": (WEIGHTS, loop, ""),
        "weights without end": (WEIGHTS, endless, ""),
    }
    for name in (
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
        "chat_template.jinja",
    ):
        changes |= {
            f"{name} that is {what}": (f"model/{name}", made, "")
            for what, made in {"a pipe": fifo, "without end": endless}.items()
        }
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        changes |= {
            f"{name} that is {what}": (f"model/{name}", made, "")
            for what, made in {
                "empty": b"",
                "no JSON": b"{oops",
                "a list": b"[]",
                "no UTF-8": b'{"a": "\xff"}',
                "a million brackets": b"[" * 1_000_000,
                "a million objects": b'{"a":' * 1_000_000,
            }.items()
        }
    for field, values in {
        "hidden_size": (10**9, -1, "wide", None, 10**400),
        "num_hidden_layers": (10**9, 20_000, -1, "many"),
        "vocab_size": (10**12, -5, 3),
        "intermediate_size": (10**9, 7),
        "num_attention_heads": (10**9, 0, -2, 7),
        "max_position_embeddings": (-1, 0, "long"),
        "num_labels": (10**9,),
        "head_dim": (10**9, 0),
        "model_type": (7, None, "../x", []),
        "rope_parameters": ([], {"rope_type": "nobody"}, {"rope_theta": "hot", "rope_type": "default"}),
        "dtype": ("float7", 7),
        "quantization_config": (7,),
        "tie_word_embeddings": ("x",),
    }.items():
        changes |= {
            f"{field} {str(value)[:20]}": ("model/config.json", config(**{field: value}), "") for value in values
        }
    for value in ("end", 10**9, -1, [], ["end"], 10**400, [None], True, 1.5):
        changes[f"eos_token_id {str(value)[:20]}"] = ("model/generation_config.json", config(eos_token_id=value), "")
    return [Case(name, SAMPLE, said or "model", {path: made}) for name, (path, made, said) in changes.items()]


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(
    entries: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    n_entries: int | None = None,
    n_tensors: int | None = None,
    data: bytes = bytes(64),
) -> bytes:
    """A GGUF file whose header says whatever one likes."""
    entries = [text("general.architecture") + struct.pack("<I", 8) + text("qwen2")] if entries is None else entries
    tensors = tensors or []
    head = magic + struct.pack(
        "<IQQ",
        version,
        len(tensors) if n_tensors is None else n_tensors,
        len(entries) if n_entries is None else n_entries,
    )
    content = head + b"".join(entries) + b"".join(tensors)
    return content + bytes(-len(content) % 32) + data


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def weight(name: str = "w", shape: tuple[int, ...] = (4,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def list_gguf_cases() -> list[Case]:
    nested = struct.pack("<IQ", 9, 1) * 100_000
    files = {
        "empty": (b"", ""),
        "no GGUF": (gguf(magic=b"GGML"), "does not begin with GGUF"),
        "of version 99": (gguf(version=99), "version 99"),
        "cut after the counts": (gguf()[:24], "cut off"),
        "cut in the counts": (gguf()[:10], "cut off"),
        "with 2^62 tensors": (gguf(n_tensors=2**62), "promises"),
        "with more tensors than there are": (gguf(n_tensors=1000), ""),
        "with 2^62 entries": (gguf(n_entries=2**62), "promises"),
        "with more entries than there are": (gguf(n_entries=1000), ""),
        "with a key of 2^60 bytes": (gguf([struct.pack("<Q", 2**60)]), "promises"),
        "with a text of 2^60 bytes": (gguf([entry("k", 8, struct.pack("<Q", 2**60))]), "cut off"),
        "with an array of 2^60 numbers": (gguf([entry("k", 9, struct.pack("<IQ", 0, 2**60))]), "promises"),
        "with an array of ten million texts that are not there": (
            gguf([entry("k", 9, struct.pack("<IQ", 8, 10**7))]),
            "cut off",
        ),
        "with arrays in arrays": (gguf([entry("k", 9, nested)]), "arrays of arrays"),
        "with a value of type 77": (gguf([entry("k", 77, b"")]), "type 77"),
        "with an array of type 77": (gguf([entry("k", 9, struct.pack("<IQ", 77, 1))]), "type 77"),
        "with 10^9 layers": (
            gguf(
                [
                    entry("general.architecture", 8, text("qwen2")),
                    entry("qwen2.block_count", 4, struct.pack("<I", 10**9)),
                ]
            ),
            "block_count is 1,000,000,000",
        ),
        "with an alignment of 0": (gguf([entry("general.alignment", 4, struct.pack("<I", 0))]), "power of two"),
        "with an alignment of 3": (gguf([entry("general.alignment", 4, struct.pack("<I", 3))]), "power of two"),
        "with a tensor beyond its end": (gguf(tensors=[weight(offset=2**40)]), "beyond the end"),
        "with a tensor of 2^60 numbers": (gguf(tensors=[weight(shape=(2**60,))]), "beyond the end"),
        "with a tensor whose size overflows": (gguf(tensors=[weight(shape=(2**33, 2**33))]), "beyond the end"),
        "with a tensor of 200 axes": (gguf(tensors=[weight(shape=(1,) * 200)]), "200 axes"),
        "with a tensor of an unknown kind": (gguf(tensors=[weight(kind=77)]), "77"),
        "with a tensor at 2^64 - 1": (gguf(tensors=[weight(offset=2**64 - 1)]), "beyond the end"),
        "with no architecture": (gguf([]), ""),
        "with an unknown architecture": (gguf([entry("general.architecture", 8, text("nobody"))]), ""),
        "with a number for an architecture": (gguf([entry("general.architecture", 4, struct.pack("<I", 7))]), ""),
        "with an architecture and nothing else": (gguf(), ""),
        "with a doubled key": (gguf([entry("k", 4, bytes(4))] * 2), ""),
        "of NUL bytes": (bytes(1000), ""),
        "of 0xff": (b"GGUF" + b"\xff" * 100, ""),
    }
    cases = [
        Case(f"a .gguf file {name}", "sample bad.gguf run", said or "bad.gguf", {"bad.gguf": made})
        for name, (made, said) in files.items()
    ]
    kinds = {"a pipe": fifo, "a link to itself": loop, "without end": endless, "a folder": folder}
    return cases + [
        Case(f"a .gguf file that is {name}", "sample bad.gguf run", "bad.gguf", {"bad.gguf": made})
        for name, made in kinds.items()
    ]


def list_toward_cases() -> list[Case]:
    """Checkpoints that span a plane; they are read by the same functions, so a few stand for all."""
    chosen = (
        "a pickle for weights",
        "code of its own",
        "an index that climbs out",
        "a header of 2^63 bytes",
        "a shape of 10^18",
        "another dtype",
        "weights cut in half",
        "weights that are a pipe",
        "hidden_size 1000000000",
    )
    cases = {case.name: case for case in list_folder_cases()}
    said = {"code of its own": "for --toward none is run"}
    return [
        Case(f"--toward {name}", TOWARD, said.get(name, cases[name].fragment), cases[name].files) for name in chosen
    ]


CASES = [*list_folder_cases(), *list_gguf_cases(), *list_toward_cases()]


@pytest.mark.parametrize("case", mark(CASES))
def test_hostile_models(case, place, capsys):
    place("run")
    place("model")
    check(case, capsys)
    assert not Path("exploded").exists()
