"""What we write is read by the other tools' own code, where that is installed."""

import json
import warnings
from dataclasses import replace

import datasets
import pytest
from transformers import TrainingArguments

from raml.errors import DataError
from raml.interchange import (
    write_inspect,
    write_openai_chat,
    write_rollouts,
    write_trl,
    write_trl_completions,
    write_trl_preference,
    write_verifiers,
    write_verl,
    write_verl_rollouts,
)
from raml.interchange.files import write_rows
from raml.prompts import find_turn_end


@pytest.fixture
def load(tmp_path):
    """Load a file as TRL and verl do."""
    datasets.disable_progress_bars()

    def load_file(path):
        kind = "parquet" if path.suffix == ".parquet" else "json"
        found = datasets.load_dataset(kind, data_files=str(path), cache_dir=str(tmp_path / "cache"))
        return found["train"]

    yield load_file
    datasets.enable_progress_bars()


def make_arguments(kind, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TRL's own defaults are deprecated in transformers
        found = kind(output_dir=str(folder), report_to="none", use_cpu=True, bf16=False, max_length=None)
    assert isinstance(found, TrainingArguments)
    return found


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_trls_supervised_trainer_sees_the_very_token_ids(tiny, sampled, load, tmp_path, suffix):
    from trl import SFTConfig, SFTTrainer
    from trl.data_utils import is_conversational

    write_trl(tmp_path / f"rows{suffix}", sampled)
    rows = load(tmp_path / f"rows{suffix}")
    assert all(is_conversational(row) for row in rows)
    arguments = make_arguments(SFTConfig, tmp_path / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = SFTTrainer(tiny.model, args=arguments, train_dataset=rows, processing_class=tiny.tokenizer)
    end = find_turn_end(tiny.tokenizer, tiny.stop_ids)
    for row, response in zip(trainer.train_dataset, sampled, strict=True):
        trajectory = response.trajectory
        known = [*trajectory.prompt_ids, *trajectory.token_ids, end]
        assert row["input_ids"][: len(known)] == known
        n_read = len(trajectory.prompt_ids)
        assert row["labels"][:n_read] == [-100] * n_read
        assert row["labels"][n_read : len(known)] == known[n_read:]


@pytest.mark.parametrize("chat", [True, False])
def test_trls_preference_trainer_takes_the_pairs(tiny, sampled, load, tmp_path, chat):
    from trl import DPOConfig, DPOTrainer

    right = next(r for r in sampled if r.trajectory.correct)
    wrong = next(r for r in sampled if r.trajectory.correct is False and r.question == right.question)
    write_trl_preference(tmp_path / "pairs.parquet", [(right, wrong)], chat=chat)
    rows = load(tmp_path / "pairs.parquet")
    arguments = make_arguments(DPOConfig, tmp_path / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = DPOTrainer(tiny.model, args=arguments, train_dataset=rows, processing_class=tiny.tokenizer)
    (row,) = trainer.train_dataset
    decoded = {name: tiny.tokenizer.decode(row[name]) for name in ("prompt_ids", "chosen_ids", "rejected_ids")}
    assert right.message in decoded["prompt_ids"]
    assert decoded["chosen_ids"].startswith(right.trajectory.text)
    assert decoded["rejected_ids"].startswith(wrong.trajectory.text)


def test_text_rows_need_no_chat_template(sampled, load, tmp_path):
    from trl.data_utils import is_conversational

    write_trl(tmp_path / "rows.jsonl", sampled, chat=False, records=False)
    rows = load(tmp_path / "rows.jsonl")
    assert rows.column_names == ["prompt", "completion", "answer"]
    assert not any(is_conversational(row) for row in rows)
    assert rows[0]["prompt"] == f"{sampled[0].message}\n\n"
    assert rows[0]["completion"] == sampled[0].trajectory.text


def test_the_table_of_completions_has_trls_columns_in_its_order(sampled, tmp_path):
    pandas = pytest.importorskip("pandas")
    write_trl_completions(tmp_path / "log.parquet", sampled, records=False)
    table = pandas.read_parquet(tmp_path / "log.parquet")
    assert list(table.columns) == ["step", "prompt", "completion", "correct", "answer", "advantage"]
    assert table["advantage"].isna().all()
    assert list(table["correct"]) == [float(r.trajectory.correct) for r in sampled]


def test_a_chat_file_without_records_has_messages_alone(tiny, sampled, load, tmp_path):
    write_openai_chat(tmp_path / "chat.jsonl", sampled, records=False)
    for line, response in zip((tmp_path / "chat.jsonl").read_text().splitlines(), sampled, strict=True):
        row = json.loads(line)
        assert list(row) == ["messages"]
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        rendered = tiny.tokenizer.apply_chat_template(row["messages"], tokenize=False)
        known = (*response.trajectory.prompt_ids, *response.trajectory.token_ids)
        assert rendered.startswith(tiny.tokenizer.decode(known))
    assert len(load(tmp_path / "chat.jsonl")) == len(sampled)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_verls_training_rows_have_what_its_data_set_and_reward_managers_read(tiny, sampled, load, tmp_path, suffix):
    """RLHFDataset: prompt through the chat template, extra_info's index; reward managers: data_source, ground_truth."""
    pairs = {r.question.id: (r.question, r.message) for r in sampled}
    write_verl(tmp_path / f"train{suffix}", list(pairs.values()))
    for index, row in enumerate(load(tmp_path / f"train{suffix}")):
        question, message = list(pairs.values())[index]
        ids = tiny.tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False)
        assert message in ids
        assert row["extra_info"]["index"] == index
        assert row["extra_info"]["split"] == "train"
        assert row["reward_model"] == {"style": "rule", "ground_truth": question.answer}
        assert row["data_source"] == "tiny"
        assert isinstance(row["ability"], str)


def test_a_dump_has_verls_keys_first(sampled, tmp_path):
    write_verl_rollouts(tmp_path / "1.jsonl", sampled)
    row = json.loads((tmp_path / "1.jsonl").read_text().splitlines()[0])
    assert list(row) == ["input", "output", "gts", "score", "step", "raml"]


def test_results_have_the_keys_that_verifiers_requires(sampled, tmp_path):
    """Required by its RolloutOutput, whose loader makes one of each line."""
    write_verifiers(tmp_path / "results.jsonl", sampled)
    required = {"example_id", "prompt", "completion", "reward", "timing", "is_completed", "is_truncated", "metrics"}
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert all(required <= set(row) for row in rows)
    assert [row["example_id"] for row in rows] == [0] * 6 + [1] * 6
    assert {row["reward"] for row in rows} == {0.0, 1.0}


def test_a_data_set_of_rollouts_has_a_row_a_question(sampled, load, tmp_path):
    write_rollouts(tmp_path / "all.parquet", sampled)
    rows = load(tmp_path / "all.parquet")
    assert [len(row["generations"]) for row in rows] == [6, 6]
    assert [row["correctness_count"] for row in rows] == [sum(row["correctness_math_verify"]) for row in rows]
    assert rows.features["correctness_math_verify"].feature.dtype == "bool"
    assert rows.features["finish_reasons"].feature.dtype == "string"


@pytest.mark.parametrize("suffix", [".eval", ".json"])
def test_inspect_reads_the_log_its_scores_and_its_tables(sampled, tmp_path, suffix):
    from inspect_ai.log import list_eval_logs, read_eval_log

    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / f"2025-01-01T00-00-00+00-00_raml_made{suffix}"  # as inspect names its own
    write_inspect(path, sampled)
    log = read_eval_log(path)
    assert log.status == "success"
    assert log.eval.model == "tiny"
    assert log.eval.config.epochs == 6
    n_right = sum(r.trajectory.correct is True for r in sampled)
    assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(n_right / len(sampled))
    assert len(list_eval_logs(str(folder))) == 1
    by_key = {(sample.id, sample.epoch): sample for sample in log.samples}
    assert len(by_key) == len(sampled)
    first, response = by_key[sampled[0].question.id, 1], sampled[0]
    assert first.scores["raml"].value == ("C" if response.trajectory.correct else "I")
    assert first.output.choices[0].logprobs.content[0].token == response.trajectory.pieces[0]
    reasoning, text = first.messages[1].content
    assert f"<think>{reasoning.reasoning}</think>{text.text}" == response.trajectory.text
    pytest.importorskip("pandas")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # inspect's own use of pandas
        from inspect_ai.analysis import evals_df, samples_df

        samples, evals = samples_df(str(folder), quiet=True), evals_df(str(folder), quiet=True)
    assert len(samples) == len(sampled)
    assert sorted(samples["score_raml"]) == sorted("C" if r.trajectory.correct else "I" for r in sampled)
    assert list(evals["score_raml_accuracy"]) == pytest.approx([n_right / len(sampled)])


def test_a_log_is_about_one_model_and_is_not_half_written(sampled, tmp_path):
    other = replace(sampled[0].trajectory, model=replace(sampled[0].trajectory.model, name="other"))
    mixed = [*sampled, replace(sampled[0], trajectory=other)]
    with pytest.raises(DataError, match="about one model; here are other, tiny"):
        write_inspect(tmp_path / "log.eval", mixed)
    with pytest.raises(DataError, match="no \\.eval or \\.json file"):
        write_inspect(tmp_path / "log.jsonl", sampled)
    with pytest.raises(DataError, match="no \\.jsonl or \\.parquet file"):
        write_rows(tmp_path / "rows.csv", [])
    assert list(tmp_path.iterdir()) == []
