"""Where a model's files are, and what they hash to.

Weights are read as safetensors or GGUF, never unpickled.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from raml.errors import ModelError
from raml.inputs import check_plain, read_plain
from raml.models.gguf_header import MOST_BLOCKS

EMBEDDED = {"tiny": "sft", "tiny-base": "base", "tiny-grpo": "grpo"}
"""Models inside the package, and their folders below raml/tiny/weights."""

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
CONFIG_REMARKS = {"transformers_version", "_name_or_path", "torch_dtype", "dtype"}
TOKENIZER_FILES = {"tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "vocab.txt", "added_tokens.json"}
PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
COUNTS = re.compile(r"layers?$|^n_layer|blocks?$|experts?$|^num_labels$")
"""Names of numbers by which a configuration makes lists and modules."""
READ_SUFFIXES = {".json", ".jinja", ".model", ".txt", ".py", ".safetensors"}
HUB_FILES = ["*.json", "*.jinja", "*.model", "*.txt", "*.py"]
HUB_WEIGHTS = ["*.safetensors"]


def find_source(name: str, revision: str | None = None, *, weights: bool = True) -> Path:
    """Find the local folder or GGUF file behind a model's name, fetching it from the Hub where the name means that.

    Args:
        name: As in `load_model`.
        revision: Branch, tag or commit, for Hub names.
        weights: Fetch the weights too, not only tokenizer and configuration.

    Raises:
        ModelError: nothing of that name is there, or the Hub can't be reached.
    """
    if name in EMBEDDED:
        return Path(str(resources.files("raml.tiny"))) / "weights" / EMBEDDED[name]
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        path = Path(name)  # "~nobody": there is no such home
    if path.is_dir():
        _check_files(name, path)
        return path
    if path.is_file():
        return path
    if path.suffix == ".gguf" or path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise ModelError(f"There is no model file or folder {name}.")
    patterns = HUB_FILES + HUB_WEIGHTS if weights else HUB_FILES
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except GatedRepoError as error:
        raise ModelError(
            f"{name} is gated: accept its terms on its Hub page, then log in with `hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{name} has no revision {revision!r} on the Hub.") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelError(
            f"No model {name!r}: it is not embedded ({', '.join(EMBEDDED)}), no folder, and not on the Hub "
            "(or private: log in with `hf auth login`)."
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelError(
            f"No model {name!r} on this machine (embedded: {', '.join(EMBEDDED)}), and the Hub can't be reached. "
            "Give a folder or .gguf file, or try again with network."
        ) from error


def find_weight_files(name: str, source: Path) -> list[Path]:
    """List the files that hold a model's weights.

    Raises:
        ModelError: the folder has none in a safe format, or is no model folder.
    """
    if source.is_file():
        if source.suffix != ".gguf":
            raise ModelError(f"{name} is a file, but no .gguf file. Give a model folder, a .gguf file or a Hub name.")
        return [source]
    if not (source / "config.json").is_file():
        raise ModelError(f"{name} is no model folder: it has no config.json.")
    if (source / "adapter_config.json").is_file():
        raise ModelError(f"{name} is an adapter (adapter_config.json), no whole model. Merge it into its base first.")
    if (source / SINGLE).is_file():
        return [source / SINGLE]  # what transformers takes first, whatever an index beside it says
    if (source / INDEX).is_file():
        return _list_shards(name, source)
    pickled = sorted(p.name for p in source.iterdir() if p.suffix in PICKLE_SUFFIXES)
    if pickled:
        raise ModelError(
            f"{name} has only pickled weights ({pickled[0]}), which can run any code when read. "
            "Convert them to safetensors first."
        )
    raise ModelError(f"{name} has no weights: there is neither {SINGLE} nor {INDEX} in it (pickled ones are not read).")


def _list_shards(name: str, source: Path) -> list[Path]:
    """List the files that the index of a sharded model names; each must be a safetensors file of the same folder."""
    try:
        shards = sorted(set(json.loads(read_plain(source / INDEX))["weight_map"].values()))
        files = [source / shard for shard in shards]
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise ModelError(f"{name}: {INDEX} is no index of weights.") from error
    for shard, file in zip(shards, files, strict=True):
        if Path(shard).name != shard or file.suffix != ".safetensors" or not file.is_file():
            raise ModelError(f"{name}: {INDEX} names {shard!r}, which is no safetensors file of this folder.")
    return files


def check_configurations(name: str, source: Path) -> None:
    """Refuse configurations that are damaged, or ask for absurdly many layers: lists of them come before any weight.

    Raises:
        ModelError: one is no JSON object, or asks for that.
    """
    for file in (source / "config.json", source / "generation_config.json"):
        if file.name != "config.json" and not file.exists():
            continue
        try:
            config = json.loads(read_plain(file))
        except OSError as error:
            raise ModelError(f"{name}: {file.name} can't be read: {error.strerror}.") from error
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{name}: {file.name} is no JSON object.") from error
        if not isinstance(config, dict):
            raise ModelError(f"{name}: {file.name} is no JSON object.")
        for key, value in _walk(config):
            if COUNTS.search(key) and value > MOST_BLOCKS:
                raise ModelError(f"{name}: {file.name} has {key} {value:,}; {MOST_BLOCKS:,} is the most that is read.")


def hash_config(source: Path) -> str:
    """SHA-256 over what decides a model's behaviour besides its weights: configuration and tokenizer files.

    Fields of the configuration that say who wrote it, not what it does, are left out.
    """
    config = json.loads(read_plain(source / "config.json"))
    kept = {key: value for key, value in config.items() if key not in CONFIG_REMARKS}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
    for file in sorted(path for path in source.iterdir() if path.name in TOKENIZER_FILES):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def hash_weights(files: Sequence[Path]) -> str:
    """SHA-256 over the bytes of weight files in name order."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()


def _check_files(name: str, source: Path) -> None:
    """Refuse a folder with pipes and the like, which whoever reads them would wait for.

    Raises:
        ModelError: there is one.
    """
    for path in sorted(source.iterdir()):
        if path.suffix in READ_SUFFIXES and path.exists() and not path.is_dir():
            try:
                check_plain(path)
            except OSError as error:
                raise ModelError(f"{name}: {path.name} can't be read: {error.strerror}.") from error


def _walk(config: Any) -> Iterator[tuple[str, float]]:  # noqa: ANN401 - any JSON
    """List the numbers of a configuration with their names, at any depth."""
    if isinstance(config, list):
        for one in config:
            yield from _walk(one)
    elif isinstance(config, dict):
        for key, value in config.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield key, value
            else:
                yield from _walk(value)
