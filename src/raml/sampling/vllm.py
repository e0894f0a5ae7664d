"""Sample responses with vLLM in this process, on one or several GPUs.

vLLM reads the prompt's token ids and returns the response's, so nothing is split again. Its random numbers are its own:
each response has a seed, but other responses in the batch may change a logit's last bits and with them a token.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from raml.errors import DataError, MissingExtra, ModelError
from raml.models import LoadedTokenizer, first_line
from raml.records import SamplingSettings, Trajectory
from raml.sampling.plan import SampleUnit, derive_seed, make_trajectory

VLLM = ("vllm",)
"""What units' ids say about this engine."""
VLLM_BATCH = 256
"""Responses between two writes to disk; vLLM makes up its own batches of them."""


def check_vllm(device: str, tensor_parallel: int | None) -> int:
    """Find over how many GPUs a model is spread: as many as asked for; all of them for "all", else one.

    Raises:
        DataError: the device or the number is none that vLLM can have.
        MissingExtra: vLLM is not installed.
        ModelError: there are no or not enough GPUs.
    """
    _import_vllm()
    if device not in ("auto", "all", "cuda"):
        raise DataError(
            f"vLLM chooses its GPUs itself, so --device {device} does not go with --engine vllm. Hide the other GPUs "
            "from it (CUDA_VISIBLE_DEVICES), or use --device all."
        )
    n_gpus = torch.accelerator.device_count() if torch.accelerator.is_available() else 0
    if n_gpus == 0:
        raise ModelError("vLLM needs a GPU, and there is none here. Use --engine transformers, or a server's URL.")
    wanted = tensor_parallel if tensor_parallel is not None else n_gpus if device == "all" else 1
    if not 1 <= wanted <= n_gpus:
        raise DataError(f"--tensor-parallel is {wanted}; there are {n_gpus} GPUs here.")
    return wanted


def fix_dtype(loaded: LoadedTokenizer) -> LoadedTokenizer:
    """Let records and vLLM have the arithmetic that the weights are stored in, where none was asked for."""
    if loaded.identity.dtype != "auto" or loaded.stored_dtype is None:
        return loaded
    return replace(loaded, identity=replace(loaded.identity, dtype=loaded.stored_dtype))


def stream_from_vllm(
    loaded: LoadedTokenizer,
    units: Sequence[SampleUnit],
    *,
    settings: SamplingSettings,
    tensor_parallel: int = 1,
    batch_size: int = VLLM_BATCH,
    done: Collection[str] = (),
    allow_code: bool = False,
    trust_remote_code: bool = False,
    on_fault: Callable[[SampleUnit, str], None] | None = None,
) -> Iterator[list[Trajectory]]:
    """Load the model into vLLM and make the planned responses batch by batch.

    Args:
        loaded: The model's tokenizer and identity; its folder must hold the weights.
        units: From `plan_samples`, with the same settings and `VLLM` as engine.
        settings: As in the plan.
        tensor_parallel: GPUs over which each layer is spread.
        batch_size: Responses between two yields.
        done: Ids of units to leave out.
        allow_code: As in `raml.answers.grade_response`.
        trust_remote_code: Run Python code that comes with the model.
        on_fault: Told of each response that vLLM broke off, and why.

    Raises:
        ModelError: vLLM can't load the model or can't go on.
    """
    if batch_size < 1:
        raise DataError(f"Batch size {batch_size} is no positive number.")
    missing = [unit for unit in units if unit.id not in done]
    if not missing:
        return
    engine = _start_engine(loaded, units, settings, tensor_parallel, trust_remote_code)
    for start in range(0, len(missing), batch_size):
        made = []
        batch = missing[start : start + batch_size]
        for unit, output in zip(batch, _generate(engine, loaded, batch, settings), strict=True):
            if output.finish_reason in ("stop", "length"):
                made.append(_read_output(loaded, unit, output, settings, allow_code))
            elif on_fault is not None:
                on_fault(unit, f"vLLM broke it off ({output.finish_reason})")
        yield made


def _start_engine(
    loaded: LoadedTokenizer,
    units: Sequence[SampleUnit],
    settings: SamplingSettings,
    tensor_parallel: int,
    trust_remote_code: bool,
) -> Any:  # noqa: ANN401 - vllm.LLM, which may not be installed
    assert settings.max_new_tokens is not None, "settings come from resolve_sampling"
    try:
        return _import_vllm().LLM(
            model=str(loaded.source),
            tensor_parallel_size=tensor_parallel,
            dtype=loaded.identity.dtype,
            trust_remote_code=trust_remote_code,
            max_model_len=max(len(unit.prompt_ids) for unit in units) + settings.max_new_tokens,
            generation_config="vllm",  # no penalties and filters of the model's own
            logprobs_mode="raw_logprobs",  # at temperature 1, unfiltered
        )
    except Exception as error:
        raise ModelError(f"vLLM can't load {loaded.identity.name}: {first_line(error)}") from error


def _generate(
    engine: Any,  # noqa: ANN401
    loaded: LoadedTokenizer,
    units: Sequence[SampleUnit],
    settings: SamplingSettings,
) -> list[Any]:
    """Make a batch of responses, vLLM's own records of them."""
    vllm = _import_vllm()
    prompts = [vllm.TokensPrompt(prompt_token_ids=list(unit.prompt_ids)) for unit in units]
    try:
        params = [
            vllm.SamplingParams(
                n=1,
                temperature=settings.temperature,
                top_p=settings.top_p,
                top_k=settings.top_k,
                min_p=settings.min_p,
                seed=derive_seed(settings, unit),
                max_tokens=settings.max_new_tokens,
                stop_token_ids=loaded.stop_ids,
                logprobs=0,  # the written token's alone
                skip_special_tokens=False,
                detokenize=False,
            )
            for unit in units
        ]
        outputs = engine.generate(prompts, params, use_tqdm=False)
    except Exception as error:
        raise ModelError(
            f"vLLM stopped: {first_line(error)}. The responses before are kept; run the same command again to go on."
        ) from error
    return [output.outputs[0] for output in outputs]


def _read_output(
    loaded: LoadedTokenizer,
    unit: SampleUnit,
    output: Any,  # noqa: ANN401
    settings: SamplingSettings,
    allow_code: bool,
) -> Trajectory:
    """Cut a response at its end mark."""
    token_ids = list(output.token_ids)
    length = next((i for i, token in enumerate(token_ids) if token in loaded.stop_ids), len(token_ids))
    logprobs = None
    if output.logprobs is not None:
        logprobs = tuple(
            float(step[token].logprob)
            for token, step in zip(token_ids[:length], list(output.logprobs)[:length], strict=True)
        )
    sound = logprobs is None or all(map(math.isfinite, logprobs))
    return make_trajectory(
        loaded,
        unit,
        token_ids[:length],
        settings=settings,
        engine="vllm",
        finish=output.finish_reason if sound else None,
        logprobs=logprobs if sound else None,
        allow_code=allow_code,
        fault=None if sound else "The model's probabilities are NaN or infinite.",
    )


def _import_vllm() -> Any:  # noqa: ANN401 - a module
    try:
        import vllm  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtra("--engine vllm needs the package vllm: pip install 'raml[vllm]'.") from error
    return vllm
