import pytest
import torch
import transformers

from raml.errors import ModelError
from raml.scoring import Job, choose_chunk_tokens, memory, one_pass, plan_batches, score_in_one_pass
from raml.scoring.memory import count_position_bytes, estimate_need
from tests.scoring.conftest import CONFIGS


def make_job(prompt=(5, 6, 7), n=10):
    return Job(prompt, tuple(range(3, 3 + n)), (8, 9), ((10, 11),), tuple(range(n + 1)))


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3", "gpt-oss", "deepseek-v3"])
def test_a_positions_bytes_are_those_that_a_pass_stores(models, name, monkeypatch):
    passes = []
    prefill = one_pass.prefill
    monkeypatch.setattr(one_pass, "prefill", lambda *args: (passes.append(args[1]), prefill(*args))[1])
    job = make_job()
    score_in_one_pass(models(name), [job])
    stored = sum(part.numel() * part.element_size() for pair in passes[0].stored.values() for part in pair)
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
    assert choose_chunk_tokens(model, jobs, memory=need.stored + memory.FIXED_BYTES + 100 * need.per_row) == 64
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
    assert plan_batches(models("llama"), jobs) == [[0, 2, 1]]


def test_a_batch_ends_where_much_has_been_read_and_equal_prompts_count_once(models, monkeypatch):
    """A job reads 3 + 10 tokens and 11 branches of 3: 46; the second one of a prompt 43."""
    jobs = [make_job() for _ in range(4)]
    monkeypatch.setattr(memory, "READ_IN_A_BATCH", 46 + 43)
    assert plan_batches(models("llama"), jobs) == [[0, 1], [2, 3]]
    monkeypatch.setattr(memory, "READ_IN_A_BATCH", 46 + 43 - 1)
    assert plan_batches(models("llama"), jobs) == [[0], [1], [2], [3]]


def test_a_batch_fits_the_memory_that_may_be_used(models):
    """A job of 3 + 10 positions stores 13 x 768 bytes; beside them there is room for twice the fewest rows."""
    jobs = [make_job() for _ in range(5)]
    model, rows = models("llama"), 2 * memory.FEWEST_CHUNK_TOKENS
    rest = memory.FIXED_BYTES + rows * estimate_need(model, jobs).per_row
    assert plan_batches(model, jobs, memory=rest + 2 * 13 * 768) == [[0, 1], [2, 3], [4]]
    for batch in plan_batches(model, jobs, memory=rest + 2 * 13 * 768):
        assert choose_chunk_tokens(model, [jobs[i] for i in batch], memory=rest + 2 * 13 * 768) >= rows
    assert plan_batches(model, jobs, memory=1) == [[0], [1], [2], [3], [4]]


def test_a_branch_longer_than_a_chunk_counts_whole(models):
    job = Job((5,), (6,), (7,), (tuple(range(3, 150)) * 10,), (0, 1))
    need = estimate_need(models("llama"), [job])
    just_short = need.stored + memory.FIXED_BYTES + 1469 * need.per_row
    with pytest.raises(ModelError, match="allowed"):
        choose_chunk_tokens(models("llama"), [job], memory=just_short)


def test_a_size_that_differs_between_layers_is_estimated():
    """Gemma 4 refuses to name one head dimension."""
    config = transformers.Gemma4TextConfig()
    with pytest.raises(RuntimeError):
        _ = config.head_dim
    assert memory._read_size(config, "head_dim") == config.to_dict()["head_dim"]


@pytest.mark.parametrize(("limit", "free"), [("1000", 1000 - 700 + 300), ("600", 200), ("max", None)])
def test_a_containers_limit_counts_and_cached_files_are_free(tmp_path, limit, free):
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 400\nfile 300\nkernel 0\n")
    assert memory._find_free_in_container(tmp_path) == free
    assert memory._find_free_in_container(tmp_path / "nothing") is None


def test_without_jobs_there_are_no_batches(models):
    assert plan_batches(models("llama"), []) == []


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt-oss"])
def test_nothing_in_a_pass_asks_the_device_for_a_number(name):
    """On the meta device numbers have no values: whatever asks for one, for which a GPU would have to wait, fails."""
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(CONFIGS[name]()).bfloat16().eval()
    scores = score_in_one_pass(model, [make_job(), make_job((9,), n=40)], chunk_tokens=50)
    assert [tuple(score.nll[0].shape) for score in scores] == [(11, 2), (41, 2)]
