"""What vLLM is told and what is made of its answers, with a stand-in that takes the arguments which vLLM takes.

The names are those of `vllm.SamplingParams`, `vllm.LLM` and `vllm.TokensPrompt` in vLLM's source (2026).
"""

import math
import sys
from dataclasses import dataclass, field, replace
from types import ModuleType, SimpleNamespace

import pytest
import torch

from raml.errors import DataError, MissingExtra, ModelError
from raml.models import find_source, load_tokenizer
from raml.prompts import encode_text
from raml.records import PromptSettings, SamplingSettings
from raml.sampling import VLLM, check_vllm, fix_dtype, plan_samples, stream_from_vllm
from raml.tiny import make_questions

SETTINGS = SamplingSettings(temperature=0.8, max_new_tokens=60)
TEXT = "<think>\n3+4=7 so 7\n</think>\n\n**Final Answer**\n\\boxed{7}"


@dataclass
class SamplingParams:
    """The fields of vLLM's class that a caller may set and this package could want."""

    n: int = 1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    min_tokens: int = 0
    logprobs: int | None = None
    detokenize: bool = True
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True


@dataclass
class LLM:
    """The arguments of vLLM's class that this package could want; writes the same response to every prompt."""

    model: str
    tokenizer: str | None = None
    trust_remote_code: bool = False
    tensor_parallel_size: int = 1
    dtype: str = "auto"
    revision: str | None = None
    gpu_memory_utilization: float = 0.92
    enforce_eager: bool = False
    max_model_len: int | None = None
    generation_config: str = "auto"
    logprobs_mode: str = "raw_logprobs"
    calls: list = field(default_factory=list)

    def __post_init__(self):
        made.append(self)

    def generate(self, prompts, sampling_params=None, *, use_tqdm=True, lora_request=None, priority=None):
        assert len(prompts) == len(sampling_params)
        self.calls.append((prompts, sampling_params))
        return [SimpleNamespace(outputs=[write(params)]) for params in sampling_params]


made = []
response: list[int] = []


def write(params):
    token_ids = response[: params.max_tokens]
    logprobs = [{token: SimpleNamespace(logprob=-0.25), 0: SimpleNamespace(logprob=-3.0)} for token in token_ids]
    reason = "stop" if token_ids == response else "length"
    return SimpleNamespace(token_ids=tuple(token_ids), logprobs=logprobs, finish_reason=reason, stop_reason=None)


@pytest.fixture(scope="module")
def loaded():
    return fix_dtype(load_tokenizer("tiny"))


@pytest.fixture
def vllm(monkeypatch, loaded):
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams, module.TokensPrompt = LLM, SamplingParams, dict
    monkeypatch.setitem(sys.modules, "vllm", module)
    made.clear()
    response[:] = [*encode_text(loaded.tokenizer, TEXT), loaded.stop_ids[0]]
    return module


@pytest.fixture
def units(loaded):
    questions = make_questions(3, split="test", seed=5)
    return plan_samples(loaded, questions, 2, prompt=PromptSettings(), settings=SETTINGS, engine=VLLM)


def sample(loaded, units, settings=SETTINGS, **options):
    return [t for batch in stream_from_vllm(loaded, units, settings=settings, **options) for t in batch]


def test_vllm_gets_ids_and_every_setting(vllm, loaded, units):
    sample(loaded, units, tensor_parallel=2, trust_remote_code=True)
    (engine,) = made
    assert (engine.model, engine.dtype) == (str(find_source("tiny")), "float32")
    assert (engine.tensor_parallel_size, engine.trust_remote_code) == (2, True)
    assert (engine.generation_config, engine.logprobs_mode) == ("vllm", "raw_logprobs")
    assert engine.max_model_len == max(len(unit.prompt_ids) for unit in units) + 60
    ((prompts, params),) = engine.calls
    assert prompts == [{"prompt_token_ids": list(unit.prompt_ids)} for unit in units]
    for one in params:
        assert (one.n, one.temperature, one.top_p, one.top_k, one.min_p) == (1, 0.8, 0.95, 40, 0.0)
        assert (one.max_tokens, one.stop_token_ids, one.logprobs) == (60, loaded.stop_ids, 0)
    assert len({one.seed for one in params}) == len(units)


def test_its_ids_become_graded_records_without_the_end_mark(vllm, loaded, units):
    trajectories = sample(loaded, units)
    assert [t.id for t in trajectories] == [unit.id for unit in units]
    for trajectory in trajectories:
        assert list(trajectory.token_ids) == response[:-1]
        assert (trajectory.text, trajectory.answer, trajectory.finish) == (TEXT, "7", "stop")
        assert trajectory.logprobs == (-0.25,) * len(trajectory.token_ids)
        assert (trajectory.engine, trajectory.model.dtype) == ("vllm", "float32")
        assert trajectory.model.weights_sha256 is not None


def test_a_response_that_was_cut_off_says_so(vllm, loaded, units):
    (trajectory,) = sample(loaded, units[:1], replace(SETTINGS, max_new_tokens=5))
    assert (trajectory.finish, len(trajectory.token_ids)) == ("length", 5)


def test_finished_batches_come_one_by_one_and_done_units_not_at_all(vllm, loaded, units):
    batches = stream_from_vllm(loaded, units, settings=SETTINGS, batch_size=2, done={units[0].id})
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert len(made[0].calls) == 3
    made.clear()
    assert sample(loaded, units, done={unit.id for unit in units}) == []
    assert made == []


def test_what_breaks_down_is_no_answer_and_what_is_broken_off_is_left_out(vllm, loaded, units, monkeypatch):
    changes, write_well = iter([{"logprob": math.nan}, {"finish_reason": "abort"}]), write

    def write_badly(params):
        change, output = next(changes), write_well(params)
        if "logprob" in change:
            output.logprobs[3][output.token_ids[3]].logprob = change["logprob"]
        output.finish_reason = change.get("finish_reason", output.finish_reason)
        return output

    monkeypatch.setattr(sys.modules[__name__], "write", write_badly)
    faults = []
    (trajectory,) = sample(loaded, units[:2], on_fault=lambda unit, reason: faults.append((unit.id, reason)))
    assert (trajectory.verdict, trajectory.finish, trajectory.logprobs) == ("undecided", None, None)
    assert "NaN" in trajectory.error
    assert faults == [(units[1].id, "vLLM broke it off (abort)")]


def test_ids_differ_from_those_of_other_engines(loaded, units):
    questions = [unit.question for unit in units[::2]]
    own = plan_samples(loaded, questions, 2, prompt=PromptSettings(), settings=SETTINGS)
    assert not {unit.id for unit in own} & {unit.id for unit in units}


def test_faults_of_vllm_are_one_line(vllm, loaded, units, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("CUDA out of memory\nmore")

    with monkeypatch.context() as patch:
        patch.setattr(LLM, "generate", fail)
        with pytest.raises(ModelError, match=r"vLLM stopped: CUDA out of memory\. The responses before are kept"):
            sample(loaded, units)
    monkeypatch.setattr(vllm, "LLM", fail)
    with pytest.raises(ModelError, match=r"vLLM can't load tiny: CUDA out of memory$"):
        sample(loaded, units)


def test_gpus_are_counted_and_must_be_there(vllm, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(ModelError, match="needs a GPU"):
        check_vllm("auto", None)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 4)
    assert [check_vllm("auto", None), check_vllm("all", None), check_vllm("all", 2)] == [1, 4, 2]
    with pytest.raises(DataError, match="--tensor-parallel is 8; there are 4 GPUs"):
        check_vllm("auto", 8)
    with pytest.raises(DataError, match="--device cuda:1 does not go with"):
        check_vllm("cuda:1", None)


def test_without_vllm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingExtra, match=r"raml\[vllm\]"):
        check_vllm("auto", None)
