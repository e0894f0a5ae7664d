"""Load a causal language model by name, folder or GGUF file, with its tokenizer and identity.

Weights are read as safetensors or GGUF, never unpickled. Code that comes with a model is not run unless asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from raml.errors import DataError, ModelError
from raml.records import ModelIdentity

EMBEDDED = {"tiny": "sft", "tiny-base": "base", "tiny-grpo": "grpo"}
"""Models inside the package, and their folders below raml/tiny/weights."""

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
CONFIG_REMARKS = {"transformers_version", "_name_or_path", "torch_dtype", "dtype"}
TOKENIZER_FILES = {"tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "vocab.txt", "added_tokens.json"}
PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
SMALL_MODEL = 10_000_000
"""Parameters below which threads wait for each other longer than they work; on a busy machine twenty times longer."""
HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", "*.py"]


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run, its tokenizer, and what identifies it on records."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    identity: ModelIdentity

    @property
    def device(self) -> torch.device:
        """Where token ids must be put."""
        return self.model.device

    @property
    def context_len(self) -> int | None:
        """Most tokens that prompt and response may have together; None where the architecture sets no limit."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    @property
    def stop_ids(self) -> list[int]:
        """Tokens that end a response: the generation configuration's, else the tokenizer's.

        Raises:
            ModelError: the model names none.
        """
        config = self.model.generation_config
        configured = config.eos_token_id if config is not None else None
        if configured is None:
            configured = self.tokenizer.eos_token_id
        if configured is None:
            raise ModelError(f"{self.identity.name} names no end-of-sequence token, so its responses would never end.")
        return [configured] if isinstance(configured, int) else [int(token) for token in configured]


def load_model(
    name: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    revision: str | None = None,
    chat_template: Path | None = None,
    trust_remote_code: bool = False,
) -> LoadedModel:
    """Load a model for inference.

    Args:
        name: "tiny", "tiny-base", "tiny-grpo", a Hugging Face Hub name, a folder, or a .gguf file.
        dtype: "float32", "bfloat16", "float16", or "auto": float32 on a CPU, elsewhere what the weights are stored in.
        device: Such as "cpu" or "cuda:1"; "auto" takes an accelerator where there is one, "all" spreads the layers over
            all accelerators, for models that one does not hold.
        revision: Branch, tag or commit, for Hub names.
        chat_template: A Jinja file that replaces the tokenizer's chat template.
        trust_remote_code: Run Python code that comes with the model.

    Raises:
        ModelError: there is no such model, it can't be reached, it is no causal language model, it has only pickled
            weights, or it needs code of its own and `trust_remote_code` is off.
    """
    torch_device = _choose_device("auto" if device == "all" else device)
    source = find_source(name, revision)
    weight_files = find_weight_files(name, source)
    folder = source if source.is_dir() else source.parent
    _check_architecture(name, source, trust_remote_code)
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    placement: dict[str, Any] = {}  # none on a CPU: where weights are sharded by a launcher, it places them itself
    if torch_device.type != "cpu":
        placement["device_map"] = "auto" if device == "all" else {"": torch_device}
    if source.is_file():
        options["gguf_file"] = source.name
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    except Exception as error:
        raise ModelError(f"The tokenizer of {name} can't be loaded: {_first_line(error)}") from error
    model = _load_weights(name, folder, _choose_dtype(dtype, torch_device), placement, options)
    if chat_template is not None:
        tokenizer.chat_template = _read_template(chat_template)
    identity = ModelIdentity(
        name=name,
        revision=source.name if source.parent.name == "snapshots" else None,  # the Hub cache names folders by commit
        weights_sha256=hash_weights(weight_files),
        dtype=str(model.dtype).removeprefix("torch."),
        device="+".join(sorted({str(parameter.device) for parameter in model.parameters()})),
        config_sha256=hash_config(source) if source.is_dir() else None,
    )
    return LoadedModel(model, tokenizer, identity)


def set_threads(threads: int | None, model: PreTrainedModel) -> None:
    """Set the CPU threads of the arithmetic: what was asked for, else one for a small model, else leave them.

    Raises:
        DataError: fewer than one were asked for.
    """
    if threads is not None and threads < 1:
        raise DataError(f"--threads is {threads}; it must be at least 1.")
    if threads is not None or model.num_parameters() < SMALL_MODEL:
        torch.set_num_threads(threads or 1)


def find_source(name: str, revision: str | None = None) -> Path:
    """Find the local folder or GGUF file behind a model's name, fetching it from the Hub where the name means that.

    Raises:
        ModelError: nothing of that name is there, or the Hub can't be reached.
    """
    if name in EMBEDDED:
        return Path(str(resources.files("raml.tiny"))) / "weights" / EMBEDDED[name]
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        path = Path(name)  # "~nobody": there is no such home
    if path.is_dir() or path.is_file():
        return path
    if path.suffix == ".gguf" or path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise ModelError(f"There is no model file or folder {name}.")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=HUB_FILES))
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
        shards = sorted(set(json.loads((source / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
        files = [source / shard for shard in shards]
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise ModelError(f"{name}: {INDEX} is no index of weights.") from error
    for shard, file in zip(shards, files, strict=True):
        if Path(shard).name != shard or file.suffix != ".safetensors" or not file.is_file():
            raise ModelError(f"{name}: {INDEX} names {shard!r}, which is no safetensors file of this folder.")
    return files


def hash_config(source: Path) -> str:
    """SHA-256 over what decides a model's behaviour besides its weights: configuration and tokenizer files.

    Fields of the configuration that say who wrote it, not what it does, are left out.
    """
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
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


def _choose_device(device: str) -> torch.device:
    if device == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator if accelerator is not None else torch.device("cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"Device {device!r} can't be used here: {_first_line(error)}") from error
    return chosen


def _choose_dtype(dtype: str, device: torch.device) -> torch.dtype | str:
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    chosen = getattr(torch, dtype, None)
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise ModelError(f"Unknown dtype {dtype!r}; choose float32, bfloat16, float16 or auto.")
    return chosen


def _check_architecture(name: str, source: Path, trust_remote_code: bool) -> None:
    """Refuse what is no causal language model, or what needs its own code unasked, before anything of it is loaded."""
    if source.is_file():
        return  # GGUF files hold decoder models only; the loader names the architectures it does not know
    try:
        config = json.loads((source / "config.json").read_text(encoding="utf-8"))
        model_type, has_code = config.get("model_type"), "auto_map" in config
    except (ValueError, AttributeError, RecursionError) as error:
        raise ModelError(f"{name}: config.json is no JSON object.") from error
    if model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return
    if has_code:
        if not trust_remote_code:
            raise ModelError(
                f"{name} ({model_type}) needs Python code that comes with it. "
                "If you trust its authors, pass --trust-remote-code."
            )
        return
    try:
        AutoConfig.from_pretrained(source)
    except Exception as error:
        raise ModelError(
            f"{name} has model type {model_type!r}, which this transformers version does not know."
        ) from error
    raise ModelError(f"{name} ({model_type}) is not a causal language model.")


def _load_weights(
    name: str, folder: Path, dtype: torch.dtype | str, placement: dict[str, Any], options: dict[str, Any]
) -> PreTrainedModel:
    try:
        config = AutoConfig.from_pretrained(folder, **options)
        # Only eager attention applies Gemma 2's soft-capping; the other implementations leave it out.
        attention = {"attn_implementation": "eager"} if getattr(config, "attn_logit_softcapping", None) else {}
        with _without_progress_bars():
            model, report = AutoModelForCausalLM.from_pretrained(  # type: ignore[misc]
                folder,
                dtype=dtype,
                use_safetensors=True,
                output_loading_info=True,
                **placement,
                **attention,
                **options,
            )
    except Exception as error:
        raise ModelError(f"{name} can't be loaded: {_first_line(error)}") from error
    missing = sorted(report["missing_keys"]) + sorted(str(key) for key, *_ in report["mismatched_keys"])
    if missing:
        raise ModelError(f"{name} lacks {len(missing)} of its weights, such as {missing[0]}; they would be random.")
    stops = model.generation_config.eos_token_id if model.generation_config is not None else None
    # Many models bring penalties and filters of their own; what is sampled here is what the settings say and no more.
    model.generation_config = GenerationConfig(eos_token_id=stops)
    return model.eval()


@contextlib.contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Keep transformers' own bars off the screen, and leave its setting as it was."""
    was_on = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            transformers_logging.enable_progress_bar()


def _read_template(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"Chat template {path} can't be read: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
