from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

from raml.errors import DataError, ModelError, NumericsError
from raml.models import load_model
from raml.probes import key_trace, stream_probes, trace_trajectory
from raml.prompts import decode_tokens
from raml.records import Question, TraceSettings
from raml.sampling import make_imported
from tests.scoring.conftest import CONFIGS

RIGHT = "<think>\nFirst 3+4=7 so 7*2\nNext 7*2=14 so 14\n</think>\n\n**Final Answer**\n\\boxed{14}"
QUESTION = Question("q", "Calculate (3+4)*2.", "14")


@pytest.fixture(scope="module")
def right(tiny):
    return make_imported(tiny, QUESTION, RIGHT, 0)


def test_every_prefix_from_none_to_the_whole_reasoning_is_there(tiny, right):
    trace = trace_trajectory(tiny, right, "14")
    assert trace.prefix_lens.tolist() == list(range(right.reasoning_len + 1))
    assert trace.nll.shape == (right.reasoning_len + 1, len(trace.answer_ids))
    assert trace.scorer == "one-pass"
    assert tiny.tokenizer.decode(trace.bridge_ids) == "\n\n**Final Answer**\n\\boxed{"
    assert tiny.tokenizer.decode(trace.answer_ids) == "14"


def test_the_engine_and_the_definition_give_the_same_trace(tiny, right):
    fast = trace_trajectory(tiny, right, "14")
    slow = trace_trajectory(tiny, right, "14", scorer="definition")
    assert slow.scorer == "definition"
    np.testing.assert_allclose(fast.nll, slow.nll, atol=1e-4)


def test_an_entry_is_the_models_own_probability_of_the_answer_after_prompt_prefix_and_bridge(tiny, right):
    """Spelled out once without the library: one forward pass over the concatenated ids."""
    trace = trace_trajectory(tiny, right, "14")
    ids = right.prompt_ids + right.token_ids[:9] + trace.bridge_ids + trace.answer_ids
    with torch.inference_mode():
        logprobs = tiny.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(dim=-1)
    n = len(trace.answer_ids)
    expected = [-float(logprobs[len(ids) - n + j - 1, token]) for j, token in enumerate(trace.answer_ids)]
    np.testing.assert_allclose(trace.nll[9], expected, atol=1e-4)


def test_the_embedded_model_is_surer_of_the_answer_at_the_end_than_at_the_start(tiny, right):
    curve = trace_trajectory(tiny, right, "14").mean_nll
    assert curve[-1] < 0.5 < curve[0]


def test_the_span_can_go_through_the_answer_statement(tiny, right):
    trace = trace_trajectory(tiny, right, "14", TraceSettings(span="all"))
    assert trace.prefix_lens[-1] == len(right.token_ids)


@pytest.mark.parametrize("every", [4, 1000, "sentence"])
def test_a_coarser_trace_is_the_full_one_at_the_prefixes_it_names(tiny, right, every):
    full = trace_trajectory(tiny, right, "14")
    coarse = trace_trajectory(tiny, right, "14", TraceSettings(every=every))
    expected = {
        4: [*range(0, right.reasoning_len, 4), right.reasoning_len],
        1000: [0, right.reasoning_len],
        # "<think>\n", then the two lines of reasoning, the second of which ends the span.
        "sentence": [0, *(i + 1 for i in range(right.reasoning_len) if right.pieces[i] == "\n")],
    }
    assert coarse.prefix_lens.tolist() == sorted(set(expected[every]))
    np.testing.assert_allclose(coarse.nll, full.nll[coarse.prefix_lens], atol=1e-5)


def test_a_step_of_no_tokens_is_refused(tiny, right):
    with pytest.raises(DataError, match="every 0 tokens"):
        trace_trajectory(tiny, right, "14", TraceSettings(every=0))


def test_the_own_answer_is_scored_when_asked_for(tiny, right):
    wrong = replace(right, answer="15", correct=False)
    trace = trace_trajectory(tiny, wrong, "14", TraceSettings(target="own"))
    assert tiny.tokenizer.decode(trace.answer_ids) == "15"
    with pytest.raises(DataError, match="no answer of its own"):
        trace_trajectory(tiny, replace(right, answer=None), "14", TraceSettings(target="own"))


def test_an_empty_trajectory_has_the_one_prefix_zero(tiny, right):
    empty = replace(right, token_ids=(), token_ends=(), text="", reasoning_len=0)
    assert trace_trajectory(tiny, empty, "14").prefix_lens.tolist() == [0]


def test_an_empty_bridge_is_refused(tiny, right):
    with pytest.raises(DataError, match="bridge has no tokens"):
        trace_trajectory(tiny, right, "14", TraceSettings(bridge=""))


def test_a_trajectory_longer_than_the_context_is_left_out_and_the_others_go_on(tiny, right):
    long = replace(right, id="long", token_ids=right.token_ids * 40, reasoning_len=1000)
    refused, scored = (outcome for batch in stream_probes(tiny, [long, right], {"q": QUESTION}) for outcome in batch)
    with pytest.raises(ModelError, match=r"Trajectory long: .* tokens with its prompt; tiny accepts 1024"):
        raise refused.errors[0]
    assert scored.traces[0].trajectory_id == right.id


def test_bridge_and_answer_count_towards_the_context(tiny, right):
    room = 1024 - len(right.prompt_ids)
    brim = replace(right, id="brim", token_ids=(right.token_ids * 40)[:room], reasoning_len=room)
    brim = replace(brim, text=decode_tokens(tiny.tokenizer, brim.token_ids)[0])
    with pytest.raises(ModelError, match=r"needs 10\d\d tokens"):
        trace_trajectory(tiny, brim, "14")
    fitting = replace(brim, token_ids=brim.token_ids[:900], reasoning_len=900)
    fitting = replace(fitting, text=decode_tokens(tiny.tokenizer, fitting.token_ids)[0])
    assert trace_trajectory(tiny, fitting, "14").prefix_lens[-1] == 900


def test_ids_of_another_tokenizer_are_refused(tiny, right):
    shifted = replace(right, token_ids=tuple(token + 1 for token in right.token_ids))
    for other in (replace(right, token_ids=(50_000,), reasoning_len=1), shifted):
        with pytest.raises(ModelError, match="its token ids mean something else to tiny"):
            trace_trajectory(tiny, other, "14")


def test_a_trajectory_of_an_unknown_question_is_refused(tiny, right):
    with pytest.raises(DataError, match="answers question q, which is not here"):
        next(stream_probes(tiny, [right], {}))


def test_an_error_of_one_trajectory_does_not_stop_the_others(tiny, right):
    silent = replace(right, id="silent", answer=None)
    batches = stream_probes(tiny, [silent, right], {"q": QUESTION}, TraceSettings(target="own"))
    refused, scored = (outcome for batch in batches for outcome in batch)
    assert isinstance(refused.errors[0], DataError)
    assert scored.traces[0].trajectory_id == right.id


def test_a_model_that_gives_nan_is_an_error_that_names_trajectory_and_prefix(right):
    broken = load_model("tiny", device="cpu")
    with torch.no_grad():
        broken.model.get_output_embeddings().weight[5] = torch.nan
    with pytest.raises(NumericsError, match=f"Trajectory {right.id}: the loss after prefix 0"):
        trace_trajectory(broken, right, "14", scorer="one-pass")


def test_the_key_changes_with_settings_model_and_trajectory_and_not_with_the_device(tiny, right):
    key = key_trace(tiny.identity, right, "14", TraceSettings())
    assert key == trace_trajectory(tiny, right, "14").id
    assert key == key_trace(replace(tiny.identity, device="cuda:0", name="elsewhere"), right, "14", TraceSettings())
    others = {
        key_trace(tiny.identity, right, "14", TraceSettings(target="own")),
        key_trace(replace(tiny.identity, dtype="bfloat16"), right, "14", TraceSettings()),
        key_trace(replace(tiny.identity, weights_sha256="11"), right, "14", TraceSettings()),
        key_trace(tiny.identity, replace(right, id="other"), "14", TraceSettings()),
        key_trace(tiny.identity, right, "15", TraceSettings()),
    }
    assert len(others | {key}) == 6


@pytest.mark.parametrize("name", ["mamba", "llama-dynamic-rope", "bloom"])
def test_a_model_the_engine_cannot_serve_is_traced_by_the_definition(tiny, right, name):
    torch.manual_seed(0)
    config = CONFIGS[name]()
    config.vocab_size = len(tiny.tokenizer)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    trace = trace_trajectory(replace(tiny, model=model), right, "14")
    assert trace.scorer == "definition"
    ids = right.prompt_ids + right.token_ids[:9] + trace.bridge_ids + trace.answer_ids
    with torch.inference_mode():
        logprobs = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(dim=-1)
    n = len(trace.answer_ids)
    expected = [-float(logprobs[len(ids) - n + j - 1, token]) for j, token in enumerate(trace.answer_ids)]
    np.testing.assert_allclose(trace.nll[9], expected, atol=1e-5)
