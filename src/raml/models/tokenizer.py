"""Load what is needed of a model that runs elsewhere: tokenizer, chat template, end marks and identity, no weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PretrainedConfig, PreTrainedTokenizerBase

from raml.configs import find_config, list_configs
from raml.errors import ModelError
from raml.inputs import read_plain_text
from raml.models.files import check_configurations, find_source, find_weight_files, hash_config, hash_weights
from raml.models.gguf_header import measure_gguf
from raml.records import ModelIdentity

SERVED = "served"
"""Device of a model that this process does not hold."""


@dataclass(frozen=True)
class LoadedTokenizer:
    """What prompts and records need of a model that another process or engine runs."""

    tokenizer: PreTrainedTokenizerBase
    identity: ModelIdentity
    """`dtype` "auto" where it is not known in which arithmetic the weights run."""
    source: Path
    """The model's folder or .gguf file on this machine; a folder may lack the weights."""
    stored_dtype: str | None
    """What the weights are stored in, as far as the configuration says."""
    context_len: int | None
    """As in `LoadedModel`."""
    stop_ids: list[int]
    """As in `LoadedModel`."""


def load_tokenizer(
    name: str,
    *,
    dtype: str = "auto",
    revision: str | None = None,
    chat_template: Path | None = None,
    trust_remote_code: bool = False,
    fetch_weights: bool = False,
) -> LoadedTokenizer:
    """Load a model's tokenizer and configuration, and hash its weights where they are on this machine.

    Args:
        name: As in `load_model`.
        dtype: The arithmetic in which the weights run, as far as the caller knows it; goes on records as it stands.
        revision: As in `load_model`.
        chat_template: As in `load_model`.
        trust_remote_code: As in `load_model`.
        fetch_weights: Have the weights of a Hub name on this machine too. Without, those that are not are left there
            and `weights_sha256` is None.

    Raises:
        ModelError: there is no such model, or its tokenizer or configuration can't be read.
    """
    source = find_source(name, revision, weights=fetch_weights)
    if source.is_file() or fetch_weights:
        weight_files = find_weight_files(name, source)
    else:
        weight_files = _find_present_weights(name, source)
    if source.is_file():
        measure_gguf(name, source)
    else:
        check_configurations(name, source)
    tokenizer = read_tokenizer(name, source, chat_template, trust_remote_code)
    config, generation = _read_configuration(name, source, trust_remote_code)
    identity = ModelIdentity(
        name=name,
        revision=find_revision(source),
        weights_sha256=hash_weights(weight_files) if weight_files else None,
        dtype=dtype,
        device=SERVED,
        config_sha256=hash_config(source) if source.is_dir() else None,
    )
    return LoadedTokenizer(
        tokenizer=tokenizer,
        identity=identity,
        source=source,
        stored_dtype=None if config.dtype is None else str(config.dtype).removeprefix("torch."),
        context_len=find_context_len(config),
        stop_ids=list_stop_ids(name, generation, tokenizer, config),
    )


def read_tokenizer(
    name: str, source: Path, chat_template: Path | None, trust_remote_code: bool
) -> PreTrainedTokenizerBase:
    """Read a tokenizer from a model folder or GGUF file; a chat template given replaces its own.

    Raises:
        ModelError: tokenizer or template can't be read.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(**locate_files(source, trust_remote_code))
    except Exception as error:
        raise ModelError(f"The tokenizer of {name} can't be loaded: {first_line(error)}") from error
    if chat_template is not None:
        try:
            tokenizer.chat_template = read_plain_text(find_config(chat_template, ".jinja"))
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(
                f"Chat template {chat_template} can't be read: {first_line(error)}. "
                f"Give a Jinja file, or one that comes with raml: {', '.join(list_configs('.jinja'))}."
            ) from error
    return tokenizer


def locate_files(source: Path, trust_remote_code: bool) -> dict[str, Any]:
    """Arguments by which transformers finds a model folder or GGUF file."""
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if source.is_dir():
        return {"pretrained_model_name_or_path": source, **options}
    return {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name, **options}


def find_context_len(config: PretrainedConfig) -> int | None:
    """Most tokens that prompt and response may have together; None where the architecture sets no limit."""
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def list_stop_ids(
    name: str, generation: GenerationConfig | None, tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig
) -> list[int]:
    """List the tokens that end a response: the generation configuration's, else the tokenizer's.

    Raises:
        ModelError: the model names none, or what it names are no tokens of its vocabulary.
    """
    configured: Any = generation.eos_token_id if generation is not None else None
    if configured is None:
        configured = tokenizer.eos_token_id
    if configured is None:
        raise ModelError(f"{name} names no end-of-sequence token, so its responses would never end.")
    stops: list[Any] = list(configured) if isinstance(configured, list | tuple) else [configured]
    vocab_size = getattr(config.get_text_config(), "vocab_size", len(tokenizer))
    if not stops or not all(type(stop) is int and 0 <= stop < vocab_size for stop in stops):
        raise ModelError(
            f"{name} names {str(configured)[:40]!r} as end-of-sequence token; it must be one token or more of its "
            f"vocabulary of {vocab_size:,}, by number."
        )
    return stops


def find_revision(source: Path) -> str | None:
    """Commit on the Hub that a folder holds; None for a local one. The Hub's cache names folders by commit."""
    return source.name if source.parent.name == "snapshots" else None


def first_line(error: BaseException) -> str:
    """What an error says, short enough for a message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _find_present_weights(name: str, source: Path) -> list[Path]:
    """List the weight files of a folder; none where any is missing. It must be a model folder all the same."""
    if not (source / "config.json").is_file():
        return find_weight_files(name, source)  # says what is wrong with it
    try:
        return find_weight_files(name, source)
    except ModelError:
        return []


def _read_configuration(name: str, source: Path, trust_remote_code: bool) -> tuple[PretrainedConfig, GenerationConfig]:
    try:
        config = AutoConfig.from_pretrained(**locate_files(source, trust_remote_code))
        if (source / "generation_config.json").is_file():
            generation = GenerationConfig.from_pretrained(source)
        else:
            generation = GenerationConfig.from_model_config(config)
    except Exception as error:
        raise ModelError(f"The configuration of {name} can't be read: {first_line(error)}") from error
    return config, generation
