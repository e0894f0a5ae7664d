from dataclasses import replace

import numpy as np
import pytest
import torch

from raml.errors import DataError, ModelError, NumericsError
from raml.models import load_model
from raml.probes import key_readout, read_out_trajectory, stream_probes, trace_trajectory
from raml.prompts import decode_tokens
from raml.records import Question, ReadoutSettings, TraceSettings
from raml.sampling import make_imported

RIGHT = "<think>\nFirst 3+4=7 so 7*2\nNext 7*2=14 so 14\n</think>\n\n**Final Answer**\n\\boxed{14}"
QUESTION = Question("q", "Calculate (3+4)*2.", "14")


@pytest.fixture(scope="module")
def right(tiny):
    return make_imported(tiny, QUESTION, RIGHT, 0)


@pytest.fixture(scope="module")
def readout(tiny, right):
    return read_out_trajectory(tiny, right, "14")


def test_the_model_knows_the_answer_at_the_end(readout, right):
    assert readout.prefix_lens.tolist() == list(range(right.reasoning_len + 1))
    assert (readout.answers[-1], readout.correct[-1]) == ("14", True)
    assert 0 < readout.find_settled() <= right.reasoning_len
    assert readout.correct[0] is False


def test_one_pass_and_generate_give_the_same_readout(tiny, right, readout):
    slow = read_out_trajectory(tiny, right, "14", scorer="definition")
    assert (slow.scorer, readout.scorer) == ("definition", "one-pass")
    assert slow.token_ids == readout.token_ids
    assert slow.answers == readout.answers
    assert slow.correct == readout.correct
    np.testing.assert_allclose(slow.mean_logprob, readout.mean_logprob, atol=2e-5)
    np.testing.assert_allclose(slow.margin, readout.margin, atol=2e-5)


def test_the_numbers_are_those_of_the_tokens_written(tiny, right, readout):
    """Spelled out once without the library: one forward pass over the concatenated ids."""
    i = 9
    written = readout.token_ids[i]
    ids = right.prompt_ids + right.token_ids[:i] + readout.bridge_ids + written
    with torch.inference_mode():
        logprobs = tiny.model(input_ids=torch.tensor([ids])).logits[0, -len(written) - 1 : -1].log_softmax(dim=-1)
    best, second = logprobs.topk(2, dim=-1).values.unbind(dim=-1)
    assert logprobs.argmax(dim=-1).tolist() == list(written)
    assert readout.mean_logprob[i] == pytest.approx(float(best.mean()), abs=1e-4)
    assert readout.margin[i] == pytest.approx(float((best - second).min()), abs=1e-4)


def test_the_answer_is_what_stands_before_the_closing_brace(tiny, readout):
    for ids, answer in zip(readout.token_ids, readout.answers, strict=True):
        text = tiny.tokenizer.decode(list(ids))
        assert text.startswith(answer + "}")
        assert "}" not in tiny.tokenizer.decode(list(ids[:-1]))


def test_an_answer_that_does_not_end_is_none_and_its_tokens_are_kept(tiny, right):
    short = read_out_trajectory(tiny, right, "14", ReadoutSettings(max_new_tokens=1))
    assert {len(ids) for ids in short.token_ids} == {1}
    assert set(short.answers) == {None}
    assert set(short.correct) == {False}


def test_stop_texts_replace_the_brace(tiny, right):
    stopped = read_out_trajectory(tiny, right, "14", ReadoutSettings(stop=("4", "9")))
    assert stopped.answers[-1] == "1"


def test_coarser_readouts_name_their_prefixes(tiny, right, readout):
    coarse = read_out_trajectory(tiny, right, "14", ReadoutSettings(every=5))
    assert coarse.prefix_lens.tolist() == [*range(0, right.reasoning_len, 5), right.reasoning_len]
    assert coarse.answers == tuple(readout.answers[n] for n in coarse.prefix_lens)


def test_trace_and_readout_of_one_pass_are_those_of_two(tiny, right, readout):
    [[outcome]] = stream_probes(tiny, [right], {"q": QUESTION}, readout=ReadoutSettings())
    np.testing.assert_allclose(outcome.traces[0].nll, trace_trajectory(tiny, right, "14").nll, atol=2e-5)
    assert outcome.readout.token_ids == readout.token_ids
    assert outcome.readout.id == readout.id == key_readout(tiny, right, "14", ReadoutSettings())
    assert outcome.n_read < outcome.n_read_by_definition / 5


def test_trace_and_readout_of_one_pass_need_the_same_prefixes(tiny, right):
    [[outcome]] = stream_probes(tiny, [right], {"q": QUESTION}, readout=ReadoutSettings(every=2))
    assert isinstance(outcome.errors[0], DataError)
    assert "same bridge, span and prefixes" in str(outcome.errors[0])


def test_room_for_the_longest_answer_counts_towards_the_context(tiny, right):
    with pytest.raises(ModelError, match="tiny accepts 1024"):
        read_out_trajectory(tiny, right, "14", ReadoutSettings(max_new_tokens=1000))


def test_an_answer_of_no_tokens_is_refused(tiny, right):
    with pytest.raises(DataError, match="answer of 0 tokens"):
        read_out_trajectory(tiny, right, "14", ReadoutSettings(max_new_tokens=0))


def test_a_model_that_gives_nan_is_an_error_that_names_trajectory_and_prefix(right):
    broken = load_model("tiny", device="cpu")
    with torch.no_grad():
        broken.model.get_output_embeddings().weight[5] = torch.nan
    with pytest.raises(NumericsError, match=f"Trajectory {right.id}: the loss after prefix 0"):
        read_out_trajectory(broken, right, "14")


def test_both_answers_are_scored_in_one_pass_and_are_the_traces_of_each(tiny, right):
    wrong = replace(right, answer="15", correct=False)
    [[outcome]] = stream_probes(tiny, [wrong], {"q": QUESTION}, TraceSettings(target="both"))
    assert [trace.settings.target for trace in outcome.traces] == ["gold", "own"]
    for trace, target in zip(outcome.traces, ("gold", "own"), strict=True):
        alone = trace_trajectory(tiny, wrong, "14", TraceSettings(target=target))
        assert trace.id == alone.id
        np.testing.assert_allclose(trace.nll, alone.nll, atol=2e-5)
    with pytest.raises(DataError, match="one answer"):
        trace_trajectory(tiny, wrong, "14", TraceSettings(target="both"))


def test_without_an_own_answer_the_gold_one_is_still_scored(tiny, right):
    silent = replace(right, answer=None)
    [[outcome]] = stream_probes(tiny, [silent], {"q": QUESTION}, TraceSettings(target="both"))
    assert "no answer of its own" in str(outcome.errors[0])
    assert [trace.settings.target for trace in outcome.traces] == ["gold"]


def test_a_readout_without_room_does_not_take_the_trace_with_it(tiny, right):
    """The readout needs room for its longest answer; the others get theirs."""
    brim = replace(right, id="brim", token_ids=(right.token_ids * 40)[:940], reasoning_len=940)
    brim = replace(brim, text=decode_tokens(tiny.tokenizer, brim.token_ids)[0])
    asked = ReadoutSettings(every=100, max_new_tokens=100)
    batches = stream_probes(tiny, [brim, right], {"q": QUESTION}, TraceSettings(every=100), readout=asked)
    outcomes = {outcome.trajectory.id: outcome for batch in batches for outcome in batch}
    assert "accepts 1024" in str(outcomes["brim"].errors[0])
    assert (len(outcomes["brim"].traces), outcomes["brim"].readout) == (1, None)
    assert outcomes[right.id].readout is not None


def test_other_end_marks_make_another_readout(tiny, right):
    other = load_model("tiny", device="cpu")
    other.model.generation_config.eos_token_id = [1, 2]
    assert key_readout(other, right, "14", ReadoutSettings()) != key_readout(tiny, right, "14", ReadoutSettings())


def test_an_empty_stop_text_is_refused(tiny, right):
    with pytest.raises(DataError, match="empty stop text"):
        read_out_trajectory(tiny, right, "14", ReadoutSettings(stop=("",)))


def test_what_is_done_already_is_left_out_and_the_rest_has_the_same_bits(tiny, right):
    """A batch is computed as a whole, whatever is missing of it."""
    others = [replace(right, id=f"r{i}", token_ids=right.token_ids, repeat=i) for i in range(3)]
    [whole] = stream_probes(tiny, others, {"q": QUESTION}, readout=ReadoutSettings())
    done = {whole[0].traces[0].id, whole[0].readout.id, whole[2].traces[0].id}
    [rest] = stream_probes(tiny, others, {"q": QUESTION}, readout=ReadoutSettings(), done=done)
    assert [len(outcome.traces) for outcome in rest] == [0, 1, 0]
    assert [outcome.readout is None for outcome in rest] == [True, False, False]
    assert np.array_equal(rest[1].traces[0].nll, whole[1].traces[0].nll)
    everything = done | {r.id for o in whole for r in (*o.traces, o.readout)}
    assert list(stream_probes(tiny, others, {"q": QUESTION}, readout=ReadoutSettings(), done=everything)) == []


def test_a_memory_that_does_not_suffice_is_an_error_of_the_trajectory(tiny, right):
    [[outcome]] = stream_probes(tiny, [right], {"q": QUESTION}, memory=2**20)
    assert isinstance(outcome.errors[0], ModelError)
    assert f"Trajectory {right.id}: Scoring" in str(outcome.errors[0])
