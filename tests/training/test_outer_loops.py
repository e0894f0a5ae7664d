"""The three techniques from beginning to end on the embedded model: labels, resume, what is left behind."""

import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from raml.errors import DataError, ModelError, NumericsError, RunError
from raml.models import load_model
from raml.records import Trajectory
from raml.tiny import WEIGHTS
from raml.training import DpoSettings, GrpoSettings, SftSettings, train_dpo, train_grpo, train_sft
from raml.training.arguments import Batching, cut_batches, make_arguments
from raml.training.sft import collect_examples, make_supervised_trainer

COMMON = {"model": "tiny-base", "device": "cpu", "threads": 1, "learning_rate": 1e-3, "save_every": 2}


class Interrupted(Exception):
    pass


def respond(value, thought):
    return f"<think>\n{thought}\n</think>\n\n**Final Answer**\n\\boxed{{{value}}}"


@pytest.fixture
def run(train_questions, answer, write_run):
    """Twelve questions with two right and two wrong trajectories each."""
    trajectories: list[Trajectory] = []
    for question in train_questions:
        wrong = str(int(question.answer) + 1)
        texts = [respond(question.answer, "So"), respond(question.answer, "Then so")]
        texts += [respond(wrong, "So"), respond(wrong, "Then so")]
        trajectories += [answer(question, text, i) for i, text in enumerate(texts)]
    return write_run(train_questions, trajectories)


def make_settings(technique, run):
    if technique == "sft":
        return SftSettings(**COMMON, trajectories=(run,), batch_size=8, epochs=2, optimizer="muon")
    if technique == "dpo":
        return DpoSettings(**COMMON, trajectories=(run,), batch_size=4, n=1, epochs=2)
    return GrpoSettings(
        **COMMON,
        questions=(str(run),),
        format="boxed",
        group_size=4,
        n_update=2,
        batch_size=16,
        micro_batch_size=8,
        epochs=2,
        max_completion_length=100,
    )


TRAIN = {"sft": train_sft, "dpo": train_dpo, "grpo": train_grpo}


def read_weights(folder):
    return load_file(folder / "model.safetensors")


def read_metrics(folder):
    timed = ("seconds", "sampling_s", "scoring_s", "update_s")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in timed} for row in rows]


def assert_same_weights(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("technique", ["sft", "dpo", "grpo"])
def test_an_interrupted_run_ends_with_the_weights_of_an_undisturbed_one(technique, run, tmp_path, caplog):
    settings = make_settings(technique, run)
    whole = TRAIN[technique](settings, tmp_path / "whole")
    assert whole.n_updates == whole.n_new == 6
    start = read_weights(tmp_path / "whole" / "checkpoints" / "checkpoint-6")
    assert_same_weights(start, read_weights(tmp_path / "whole"))
    base = load_file(WEIGHTS / "base" / "model.safetensors")
    assert any(not torch.equal(base[name], value) for name, value in start.items())

    def stop(done, total, metrics):
        if done == 5:  # the last checkpoint is at 4, in the second epoch
            raise Interrupted

    torn = tmp_path / "torn"
    with pytest.raises(Interrupted):
        TRAIN[technique](settings, torn, progress=stop)
    assert not (torn / "model.safetensors").exists()
    resumed = TRAIN[technique](settings, torn)
    assert resumed.n_new == 2
    assert not caplog.records
    assert_same_weights(read_weights(tmp_path / "whole"), read_weights(torn))
    assert read_metrics(torn) == read_metrics(tmp_path / "whole")
    assert [row["step"] for row in read_metrics(torn)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("technique", ["sft", "dpo", "grpo"])
def test_a_finished_run_is_a_model_folder_and_trains_nothing_more(technique, run, tmp_path):
    settings = replace(make_settings(technique, run), max_steps=2)
    out = tmp_path / "out"
    TRAIN[technique](settings, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name not in (".lock", "training.json")}
    again = TRAIN[technique](settings, out)
    assert (again.n_updates, again.n_new) == (2, 0)
    assert len(again.metrics) == 2
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name not in (".lock", "training.json")}
    assert after == before
    assert not list(out.rglob("*.bin"))
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= {p.name for p in before}
    assert {"trainer_state.json", "training.png", "metrics.jsonl", "manifest.json"} <= {p.name for p in before}
    (stage,) = json.loads((out / "manifest.json").read_text())["stages"]
    assert stage["stage"] == f"train-{technique}"
    assert stage["config"]["settings"]["learning_rate"] == 1e-3
    assert stage["model"]["name"] == "tiny-base"
    trained, base = load_model(str(out), device="cpu"), load_model("tiny-base", device="cpu")
    assert trained.identity.weights_sha256 != base.identity.weights_sha256
    assert trained.stop_ids == base.stop_ids
    assert trained.tokenizer.chat_template == base.tokenizer.chat_template


def test_training_goes_in_the_right_direction(run, tmp_path):
    settings = make_settings("sft", run)
    rows = train_sft(replace(settings, epochs=8), tmp_path / "sft").metrics
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    settings = replace(make_settings("dpo", run), learning_rate=1e-4, epochs=8)
    rows = train_dpo(settings, tmp_path / "dpo").metrics
    assert rows[0]["loss"] == pytest.approx(math.log(2), abs=1e-4)  # policy and reference are still the same
    assert rows[-1]["loss"] < 0.9 * math.log(2)
    assert rows[-1]["reward_margin"] > 0


@pytest.mark.parametrize("loss_on", ["response", "answer"])
def test_the_label_tensor_has_the_response_alone(base, run, tmp_path, loss_on):
    settings = replace(make_settings("sft", run), loss_on=loss_on)
    examples, _ = collect_examples(base, settings)
    loaded = load_model("tiny-base", device="cpu")
    arguments = make_arguments(settings, tmp_path, Batching(8, 1, 1))
    trainer = make_supervised_trainer(loaded, settings, arguments, examples)
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape
    for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
        text = base.tokenizer.decode(ids[mask.bool()])
        learnt = base.tokenizer.decode(ids[labels != -100])
        prompt, opening, response = text.partition("<think>")
        expected = opening + response if loss_on == "response" else "</think>" + response.partition("</think>")[2]
        assert learnt == expected
        assert learnt.endswith("}<|im_end|>")
        assert "Calculate" in prompt
        assert torch.equal(labels[labels != -100], ids[labels != -100])
        assert (labels[~mask.bool()] == -100).all()


def test_a_cold_start_comes_before_grpo_and_is_made_once(run, tmp_path):
    cold = replace(make_settings("sft", run), max_steps=2)
    settings = replace(make_settings("grpo", run), max_steps=2, cold_start=cold)
    out = tmp_path / "out"

    def stop(done, total, metrics):
        if "reward" in metrics:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_grpo(settings, out, progress=stop)
    sft = read_weights(out / "cold-start")
    made = (out / "cold-start" / "manifest.json").stat().st_mtime_ns
    result = train_grpo(settings, out)
    assert (out / "cold-start" / "manifest.json").stat().st_mtime_ns == made
    assert result.n_updates == 2
    separate = replace(settings, cold_start=None, model=str(out / "cold-start"))
    train_grpo(separate, tmp_path / "separate")
    assert_same_weights(read_weights(out), read_weights(tmp_path / "separate"))
    assert any(not torch.equal(sft[name], value) for name, value in read_weights(out).items())


def test_other_settings_do_not_touch_a_run_that_is_there(run, tmp_path):
    settings = replace(make_settings("sft", run), max_steps=2)
    train_sft(settings, tmp_path / "out")
    weights = read_weights(tmp_path / "out")
    with pytest.raises(RunError, match="batch_size was 8, now 4"):
        train_sft(replace(settings, batch_size=4), tmp_path / "out")
    assert_same_weights(weights, read_weights(tmp_path / "out"))


def test_everything_too_long_is_an_error_and_leaves_nothing(run, tmp_path):
    settings = make_settings("sft", run)
    with pytest.raises(DataError, match="examples are longer than 10 tokens"):
        train_sft(replace(settings, max_length=10), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="trajectories are longer than 10 tokens"):
        train_dpo(replace(make_settings("dpo", run), max_length=10), tmp_path / "out")


def test_some_too_long_are_counted(base, run):
    lens = [len(example.input_ids) for example in collect_examples(base, make_settings("sft", run))[0]]
    limit = sorted(lens)[len(lens) // 2]
    examples, notes = collect_examples(base, replace(make_settings("sft", run), max_length=limit))
    n_left_out = sum(length > limit for length in lens)
    assert 0 < n_left_out < len(lens)
    assert len(examples) == len(lens) - n_left_out
    assert f"{n_left_out} of {len(lens)} examples left out: longer than {limit} tokens." in notes


def test_a_loss_that_breaks_down_stops_the_run_and_keeps_its_checkpoints(run, tmp_path):
    settings = replace(make_settings("sft", run), optimizer="adamw", learning_rate=1e38, max_grad_norm=0.0)
    with pytest.raises(NumericsError, match="of update"):
        train_sft(settings, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_weights_that_break_down_are_no_model_and_no_checkpoint(run, tmp_path):
    settings = replace(make_settings("sft", run), optimizer="adamw", save_every=1, weight_decay=1e44)
    with pytest.raises(NumericsError, match=r"After update \d+ the weight .* is not finite"):
        train_sft(settings, tmp_path / "out")
    assert not (tmp_path / "out" / "model.safetensors").exists()
    assert not list((tmp_path / "out" / "checkpoints").glob("*/plan.json"))


def test_a_model_that_was_changed_after_its_run_is_made_again(run, tmp_path):
    settings = replace(make_settings("sft", run), max_steps=2)
    train_sft(settings, tmp_path / "out")
    weights = (tmp_path / "out" / "model.safetensors").read_bytes()
    (tmp_path / "out" / "model.safetensors").write_bytes(weights[:1000])
    train_sft(settings, tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == weights


def test_intervals_may_change_on_the_way(run, tmp_path):
    settings = make_settings("sft", run)

    def stop(done, total, metrics):
        if done == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_sft(settings, tmp_path / "out", progress=stop)
    train_sft(replace(settings, save_every=3, log_every=2, keep_checkpoints=9), tmp_path / "out")
    kept = sorted(path.name for path in (tmp_path / "out" / "checkpoints").glob("checkpoint-*"))
    assert kept == ["checkpoint-2", "checkpoint-3", "checkpoint-6"]
    assert [row["step"] for row in read_metrics(tmp_path / "out")] == [1, 2, 3, 4, 6]


def test_rollouts_used_for_two_updates_are_resumed_in_between_generations(run, tmp_path):
    settings = replace(
        make_settings("grpo", run), updates_per_generation=2, save_every=2, kl=0.05, dynamic_sampling=1, max_steps=4
    )
    train_grpo(settings, tmp_path / "whole")

    def stop(done, total, metrics):
        if done == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_grpo(settings, tmp_path / "torn", progress=stop)
    train_grpo(settings, tmp_path / "torn")
    assert_same_weights(read_weights(tmp_path / "whole"), read_weights(tmp_path / "torn"))
    assert any(row["kl"] > 0 for row in read_metrics(tmp_path / "whole"))


def test_an_id_of_two_different_questions_is_refused(run, train_questions, write_run, tmp_path):
    other = write_run([replace(train_questions[0], prompt="Calculate 1+1.", answer="2")], name="other")
    with pytest.raises(DataError, match="belongs to another question of an earlier source"):
        train_sft(replace(make_settings("sft", run), trajectories=(run, other)), tmp_path / "out")
    with pytest.raises(DataError, match="belongs to another question of an earlier source"):
        train_grpo(replace(make_settings("grpo", run), questions=(str(run), str(other))), tmp_path / "out")


def test_what_is_too_long_makes_room_for_what_is_not(base, train_questions, answer, write_run):
    question = train_questions[0]
    texts = [respond(question.answer, "Then " * n) for n in (200, 2, 150, 3)]
    path = write_run([question], [answer(question, text, i) for i, text in enumerate(texts)], name="lengths")
    settings = SftSettings(**COMMON, trajectories=(path,), n=2, max_length=120)
    examples, notes = collect_examples(base, settings)
    assert len(examples) == 2  # as often as it has right ones that fit
    assert all(len(example.input_ids) <= 120 for example in examples)
    assert "2 of 4 examples left out: longer than 120 tokens." in notes


def test_an_example_without_loss_is_left_out(base, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {"input_ids": [[1, 2], [3, 4]], "labels": [[-100, -100], [-100, 4]]}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    examples, notes = collect_examples(base, SftSettings(**COMMON, rows=(tmp_path / "rows.parquet",)))
    assert len(examples) == 1
    assert "1 examples left out: no token that loss is taken on." in notes
    pq.write_table(pa.table({name: column[:1] for name, column in rows.items()}), tmp_path / "none.parquet")
    with pytest.raises(DataError, match="None of 1 examples has a token that loss is taken on"):
        collect_examples(base, SftSettings(**COMMON, rows=(tmp_path / "none.parquet",)))


def test_a_tokenizer_without_pad_token_is_no_obstacle(run, tmp_path):
    loaded = load_model("tiny-base", device="cpu")
    loaded.tokenizer.pad_token = None
    loaded.model.save_pretrained(tmp_path / "unpadded")
    loaded.tokenizer.save_pretrained(tmp_path / "unpadded")
    settings = make_settings("sft", run)
    train_sft(replace(settings, max_steps=2), tmp_path / "with")
    train_sft(replace(settings, max_steps=2, model=str(tmp_path / "unpadded")), tmp_path / "without")
    assert_same_weights(read_weights(tmp_path / "with"), read_weights(tmp_path / "without"))


def test_a_config_without_architectures_serves_dpo_and_says_what_the_divergence_lacks(run, tmp_path):
    loaded = load_model("tiny-base", device="cpu")
    loaded.tokenizer.save_pretrained(tmp_path / "bare")
    loaded.model.save_pretrained(tmp_path / "bare")
    config = json.loads((tmp_path / "bare" / "config.json").read_text())
    del config["architectures"]
    (tmp_path / "bare" / "config.json").write_text(json.dumps(config))
    bare = {"model": str(tmp_path / "bare"), "max_steps": 1}
    assert train_dpo(replace(make_settings("dpo", run), **bare), tmp_path / "dpo").n_new == 1
    with pytest.raises(ModelError, match="names no architectures, which --kl needs"):
        train_grpo(replace(make_settings("grpo", run), **bare, kl=0.1), tmp_path / "grpo")


def test_batches_are_cut_evenly_or_refused(run):
    settings = make_settings("sft", run)
    assert cut_batches(settings, 3) == Batching(8, 1, 3)
    assert cut_batches(replace(settings, micro_batch_size=2), 3) == Batching(2, 4, 3)
    assert cut_batches(replace(settings, micro_batch_size=99), 3) == Batching(8, 1, 3)
    with pytest.raises(DataError, match="batch_size 8 is no multiple of 1 processes times micro_batch_size 3"):
        cut_batches(replace(settings, micro_batch_size=3), 3)


def test_muon_is_refused_where_matrices_are_cut_up(run, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(DataError, match="Muon needs whole matrices"):
        cut_batches(make_settings("sft", run), 3)


def test_micro_batches_change_no_more_than_the_last_digits(run, tmp_path):
    settings = replace(make_settings("sft", run), optimizer="adamw", max_steps=3)
    train_sft(settings, tmp_path / "whole")
    train_sft(replace(settings, micro_batch_size=2), tmp_path / "cut")
    first, second = read_weights(tmp_path / "whole"), read_weights(tmp_path / "cut")
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-4
