import pytest
import torch
import transformers

from raml.errors import ModelError
from raml.scoring import Job, choose_chunk_tokens, memory, plan_batches, score_in_one_pass
from raml.scoring.attention import Pass
from raml.scoring.memory import Batch, count_position_bytes, estimate_need
from tests.scoring.conftest import CONFIGS


def make_job(prompt=(5, 6, 7), n=10):
    return Job(prompt, tuple(range(3, 3 + n)), (8, 9), ((10, 11),), tuple(range(n + 1)))


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3", "gpt-oss", "deepseek-v3"])
def test_a_positions_bytes_are_those_that_a_pass_stores(models, name):
    state = Pass()
    job = make_job()
    score_in_one_pass(models(name), [job], state=state)
    stored = sum(part.numel() * part.element_size() for pair in state.stored.values() for part in pair)
    counted = count_position_bytes(models(name)) * job.n_stored
    # DeepSeek's values are narrower than its keys; the estimate takes the wider of the two for both.
    assert stored <= counted <= 1.2 * stored


def test_a_positions_bytes_by_hand(models):
    """3 layers x (keys + values) x 2 heads x 16 numbers x 4 bytes."""
    assert count_position_bytes(models("llama")) == 768


def test_a_budget_limits_the_rows_and_a_large_one_leaves_the_usual_number(models):
    model, jobs = models("llama"), [make_job()]
    need = estimate_need(model, jobs)
    assert choose_chunk_tokens(model, jobs, memory=2**40) == 1024
    assert choose_chunk_tokens(model, jobs, memory=need.stored + memory.FIXED_BYTES + 100 * need.per_row) == 100
    assert estimate_need(model, jobs, max_new_tokens=50).per_row > need.per_row


def test_a_trajectory_that_does_not_fit_is_refused_with_the_numbers_before_anything_runs(models):
    jobs = [make_job(n=100)]
    with pytest.raises(ModelError, match=r"Scoring 103 tokens takes \d+ MB .* 32 MB are allowed.*--memory"):
        score_in_one_pass(models("llama"), jobs, memory=32 * 2**20)


def test_no_more_than_what_is_free_is_taken_by_default(models, monkeypatch):
    monkeypatch.setattr(memory, "find_free_memory", lambda model: 40 * 2**20)
    with pytest.raises(ModelError, match="32 MB are free"):
        choose_chunk_tokens(models("llama"), [make_job(n=100)])


def test_free_memory_can_be_asked_on_linux(models):
    free = memory.find_free_memory(models("llama"))
    assert free is None or 2**20 < free < 2**45


def test_small_jobs_share_a_batch_with_equal_prompts_next_to_each_other(models):
    jobs = [make_job((5,)), make_job((6,)), make_job((5,))]
    assert plan_batches(models("llama"), jobs) == [Batch((0, 2, 1), lasting=False)]


def test_a_prompt_too_large_for_a_batch_gets_batches_of_its_own(models):
    """A job of 3 + 10 positions takes 9,984 bytes; half of the memory is for keys and values."""
    jobs = [make_job((5, 6, 7)), make_job((6, 6, 6)), make_job((5, 6, 7)), make_job((5, 6, 7))]
    batches = plan_batches(models("llama"), jobs, memory=4 * 9984)
    assert batches == [Batch((0, 2), lasting=True), Batch((3,), lasting=True), Batch((1,), lasting=False)]
    one_each = plan_batches(models("llama"), jobs, memory=2)
    assert sorted(i for batch in one_each for i in batch.members) == [0, 1, 2, 3]
    assert all(len(batch.members) == 1 for batch in one_each)


def test_without_jobs_there_are_no_batches(models):
    assert plan_batches(models("llama"), []) == []


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt-oss"])
def test_nothing_in_a_pass_waits_for_the_device(name):
    """On the meta device numbers have no values: whatever asks for one, as a GPU would have to wait for, fails."""
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(CONFIGS[name]()).bfloat16().eval()
    scores = score_in_one_pass(model, [make_job(), make_job((9,), n=40)], chunk_tokens=50)
    assert [tuple(score.nll[0].shape) for score in scores] == [(11, 2), (41, 2)]
