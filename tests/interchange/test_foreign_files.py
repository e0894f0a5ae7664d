"""Files as the other tools write them: columns, keys and shapes are theirs."""

import contextlib
import io
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError, MissingExtra
from raml.interchange import Columns, index_questions, log_size, stream_foreign
from raml.questions import read_rows
from raml.questions.files import BATCH
from raml.records import Question

USER = {"role": "user", "content": "What is 3+4?"}
SYSTEM = {"role": "system", "content": "Be brief."}
SEVEN = {"role": "assistant", "content": "\\boxed{7}"}


@pytest.fixture
def read(tmp_path, context):
    """Write rows to a file and read it as a format."""

    def read_rows(format, rows, *, name="rows.jsonl", **columns):
        path = tmp_path / name
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return list(stream_foreign(format, path, replace(context, columns=Columns(**columns))))

    return read_rows


def show(rows):
    return [(row.question.prompt, row.question.answer, r.text, r.label) for row in rows for r in row.responses]


SHOWN = ("What is 3+4?", "7", "\\boxed{7}")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
@pytest.mark.parametrize(
    ("prompt", "completion"), [("What is 3+4?", "\\boxed{7}"), ([USER], [SEVEN]), ([USER], "\\boxed{7}")]
)
@pytest.mark.parametrize("answer", ["answer", "ground_truth", "solution"])
def test_trl_rows_of_text_and_of_messages(read, name, prompt, completion, answer):
    row = {"prompt": prompt, "completion": completion, answer: "7", "level": 3}
    (found,) = read("trl", [row], name=name)
    assert show([found]) == [(*SHOWN, None)]
    assert found.question.meta == {"level": 3}


def test_trl_pairs_with_their_prompt_and_without(read):
    eight = {"role": "assistant", "content": "\\boxed{8}"}
    explicit = {"prompt": [USER], "chosen": [SEVEN], "rejected": [eight], "answer": 7}
    implicit = {"chosen": [USER, SEVEN], "rejected": [USER, eight], "answer": "7"}
    text = {"prompt": "What is 3+4?", "chosen": "\\boxed{7}", "rejected": "\\boxed{8}", "answer": "7"}
    for row in (explicit, implicit, text):
        assert show(read("trl-preference", [row])) == [(*SHOWN, 1.0), ("What is 3+4?", "7", "\\boxed{8}", 0.0)]
    with pytest.raises(DataError, match="line 1 has no column 'prompt'"):
        read("trl-preference", [{"chosen": "a", "rejected": "b", "answer": "7"}])


def test_the_table_that_trl_writes_with_pandas(tmp_path, context):
    """As in GRPOTrainer.log: step, prompt, completion, reward functions, logged extras, advantage."""
    pandas = pytest.importorskip("pandas")
    table = {
        "step": [1, 1],
        "prompt": [[USER], [USER]],
        "completion": [[SEVEN], [{"role": "assistant", "content": "8"}]],
        "accuracy_reward": [1.0, 0.0],
        "format_reward": [0.5, float("nan")],
        "solution": ["7", "7"],
        "advantage": [0.7, -0.7],
    }
    path = tmp_path / "completions_00001.parquet"
    pandas.DataFrame(table).to_parquet(path)
    found = list(stream_foreign("trl-completions", path, context))
    assert [label for *_, label in show(found)] == [None, None]
    named = replace(context, columns=Columns(label_column="accuracy_reward"))
    assert [label for *_, label in show(stream_foreign("trl-completions", path, named))] == [1.0, 0.0]
    wrong = replace(context, columns=Columns(label_column="accuracy"))
    with pytest.raises(
        DataError, match="no column 'accuracy'\\. Its columns: step, prompt, completion, accuracy_reward"
    ):
        list(stream_foreign("trl-completions", path, wrong))


def test_verl_training_rows_and_those_with_responses(read):
    row = {
        "data_source": "openai/gsm8k",
        "prompt": [SYSTEM, USER],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "7"},
        "extra_info": {"split": "train", "index": 5},
    }
    for name in ("rows.parquet", "rows.jsonl"):
        (found,) = read("verl", [row], name=name)
        assert found.responses == ()
        assert (found.question.prompt, found.question.answer) == ("What is 3+4?", "7")
        assert found.question.meta["extra_info"] == {"split": "train", "index": 5}
        assert found.question.meta["system"] == "Be brief."
        (found,) = read("verl", [{**row, "responses": ["\\boxed{7}", "8"]}], name=name)
        assert [response.text for response in found.responses] == ["\\boxed{7}", "8"]
    with pytest.raises(DataError, match="no gold answer"):
        read("verl", [{**row, "reward_model": {"style": "model"}}])
    with pytest.raises(DataError, match="'reward_model' or 'extra_info' is no group of fields"):
        read("verl", [{**row, "reward_model": "7"}])


def test_verl_dumps_are_decoded_prompts_without_special_tokens(tiny, sampled, read):
    """As RayPPOTrainer does it: batch_decode(…, skip_special_tokens=True), and scores of the reward function."""
    rows = []
    for response in sampled:
        decode = tiny.tokenizer.decode
        t = response.trajectory
        rows.append(
            {
                "input": decode(t.prompt_ids, skip_special_tokens=True),
                "output": decode(t.token_ids, skip_special_tokens=True),
                "gts": response.question.answer,
                "score": 1.0 if t.correct else -1.0,
                "step": 3,
                "acc": t.correct,
            }
        )
    found = read("verl-rollouts", rows)
    expected = [(r.question.prompt, r.question.answer, r.trajectory.text, float(r.trajectory.correct)) for r in sampled]
    assert show(found) == expected


@pytest.mark.parametrize(
    ("rendered", "message", "system"),
    [
        ("system\nBe brief.\nuser\nWhat is 3+4?\nassistant\n", "What is 3+4?", "Be brief."),
        ("user\nWhat is\nassistant\n 3+4?\nassistant\n", "What is\nassistant\n 3+4?", None),
        ("What is 3+4?", "What is 3+4?", None),
    ],
)
def test_the_message_is_found_in_what_chatml_leaves(read, rendered, message, system):
    (found,) = read("verl-rollouts", [{"input": rendered, "output": "7", "gts": "7", "score": 0.1, "step": 1}])
    assert (found.question.prompt, found.question.meta.get("system")) == (message, system)
    assert found.responses[0].label == 0.1


def test_a_thinking_mark_that_the_template_opened_is_part_of_the_response(read):
    row = {"input": "user\n3+4?\nassistant\n<think>\n", "output": "hm\n</think>\n\n7", "gts": "7"}
    assert read("verl-rollouts", [row])[0].responses[0].text == "<think>\nhm\n</think>\n\n7"


def test_verifiers_results(read):
    """As state_to_output of verifiers 0.1 writes them: metrics are flattened, empty answer and info are left out."""
    row = {
        "example_id": 3,
        "prompt": [SYSTEM, USER],
        "completion": [{"role": "assistant", "content": "\\boxed{7}", "reasoning_content": "hm"}],
        "answer": "7",
        "info": {"level": 2},
        "task": "gsm8k",
        "reward": 1.1,
        "error": None,
        "timing": {"total": 1.0},
        "is_completed": True,
        "is_truncated": True,
        "stop_condition": None,
        "metrics": {"correct_answer": 1.0, "format": 0.0},
        "tool_defs": None,
        "correct_answer": 1.0,
        "format": 0.0,
    }
    (found,) = read("verifiers", [row])
    assert show([found]) == [("What is 3+4?", "7", "<think>\nhm\n</think>\n\n\\boxed{7}", 1.1)]
    assert found.responses[0].finish == "length"
    assert found.question.meta == {"task": "gsm8k", "example_id": 3, "level": 2, "system": "Be brief."}
    assert read("verifiers", [row], label_column="format")[0].responses[0].label == 0.0
    failed = {**row, "completion": None, "error": {"error": "ModelError"}}
    (found,) = read("verifiers", [failed])
    assert found.responses == ()
    assert "ended with an error and has no response" in found.notes
    tools = {**row, "completion": [SEVEN, {"role": "tool", "content": "x"}, SEVEN]}
    with pytest.raises(DataError, match="line 1: the completion has 3 messages"):
        read("verifiers", [tools])


def test_verifiers_traces(read):
    """An episode of verifiers 0.4, written with exclude_none: a root has no parent, unset fields are missing."""
    nodes = [
        {"message": USER, "sampled": False, "token_ids": [], "mask": []},
        {"message": {**SEVEN, "reasoning_content": "hm"}, "parent": 0, "sampled": True, "logprobs": [-0.1]},
    ]
    task = {"type": "T", "data": {"idx": 4, "prompt": "What is 3+4?", "answer": "7"}}
    trace = {
        "version": 1,
        "task": task,
        "nodes": nodes,
        "calls": [{"node": 1, "finish_reason": "stop"}],
        "rewards": {"right": {"score": 1.0, "weight": 1.0}, "form": {"score": 1.0, "weight": 0.1}},
        "metrics": {"length": 9.0},
    }
    episode = {"id": "e", "task": task, "ok": True, "traces": [trace, trace]}
    found = read("verifiers", [episode])
    assert show(found) == [("What is 3+4?", "7", "<think>\nhm\n</think>\n\n\\boxed{7}", 1.1)] * 2
    assert found[0].responses[0].finish == "stop"
    assert read("verifiers", [episode], label_column="form")[0].responses[0].label == 1.0
    branched = {**trace, "nodes": [*nodes, {"message": SEVEN, "parent": 0}]}
    with pytest.raises(DataError, match="trace 0 branches"):
        read("verifiers", [{**episode, "traces": [branched]}])
    failed = {**trace, "nodes": nodes[:1], "errors": [{"type": "E", "message": "m"}]}
    assert read("verifiers", [{**episode, "traces": [failed]}])[0].responses == ()


OPENR1 = {
    "problem": "What is 3+4?",
    "solution": "Add them. $\\boxed{7}$",
    "answer": "7",
    "problem_type": "Algebra",
    "question_type": "math-word-problem",
    "source": "olympiads",
    "uuid": "0",
    "is_reasoning_complete": [True, False],
    "generations": ["<think>\nhm\n</think>\n\n\\boxed{7}", "<think>\nhm"],
    "correctness_math_verify": [True, False],
    "correctness_llama": None,
    "finish_reasons": ["stop", "length"],
    "correctness_count": 1,
    "messages": [USER, SEVEN],
}


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_rows_of_openr1_math_220k(read, name):
    """Columns of its data set card."""
    (found,) = read("rollouts", [OPENR1], name=name)
    assert show([found]) == [
        ("What is 3+4?", "7", "<think>\nhm\n</think>\n\n\\boxed{7}", 1.0),
        ("What is 3+4?", "7", "<think>\nhm", 0.0),
    ]
    assert [response.finish for response in found.responses] == ["stop", "length"]
    assert [response.instruction for response in found.responses] == [None, None]
    assert found.question.meta["uuid"] == "0"
    assert "messages" not in found.question.meta


def test_rollouts_with_columns_of_their_own(read):
    row = {"q": "What is 3+4?", "gold": 7, "outs": ["\\boxed{7}", [SEVEN]], "ok": [1, 0]}
    found = read(
        "rollouts", [row], question_column="q", answer_column="gold", responses_column="outs", label_column="ok"
    )
    assert show(found) == [(*SHOWN, 1.0), (*SHOWN, 0.0)]


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"generations": "text"}, "'generations' holds no list"),
        ({"generations": [None, "x"]}, "generation 0: the completion is missing"),
        ({"correctness_math_verify": [True]}, "has 1 entries for 2 generations"),
        ({"answer": ["7", "8"]}, "is neither text nor a number"),
        ({"answer": {"a": 1}}, "is neither text nor a number"),
        ({"problem": ""}, "the question in column 'problem' is empty"),
        ({"source": 10**400}, None),
        ({"raml": ["{}"]}, "'raml' has 1 entries"),
        ({"raml": [None, "{}"]}, "the record of raml can't be read"),
    ],
)
def test_cells_of_another_shape(read, change, fragment):
    if fragment is None:
        assert len(read("rollouts", [OPENR1 | change])) == 1
        return
    with pytest.raises(DataError, match=fragment) as caught:
        read("rollouts", [OPENR1, OPENR1 | change])
    assert "line 2" in str(caught.value)


@pytest.mark.parametrize(
    ("format", "row"),
    [
        ("trl", {"prompt": [USER], "completion": [SEVEN], "answer": "7"}),
        ("rollouts", OPENR1),
        ("openai-chat", {"messages": [USER, SEVEN], "answer": "7"}),
    ],
)
def test_spare_columns_of_other_types_are_kept_as_text_and_bytes_are_counted(read, format, row):
    at = datetime(2025, 1, 31, 12, 30)
    (found,) = read(format, [{**row, "at": at, "day": date(2025, 1, 31), "picture": b"\x89PNG"}], name="rows.parquet")
    assert found.question.meta["at"] == "2025-01-31T12:30:00"
    assert found.question.meta["day"] == "2025-01-31"
    assert "picture" not in found.question.meta
    assert found.notes == ("has bytes, which are left out of the question's meta",)


def test_a_missing_column_is_named_with_those_that_are_there(read):
    with pytest.raises(DataError, match="line 1 has no column 'completion'\\. Its columns: prompt, text"):
        read("trl", [{"prompt": "x", "text": "y"}])


def test_parquet_is_read_a_batch_at_a_time(tmp_path, monkeypatch):
    path = tmp_path / "many.parquet"
    pq.write_table(pa.Table.from_pylist([{"n": i} for i in range(5 * BATCH)]), path)
    sizes = []
    original = pa.RecordBatch.to_pylist

    class Spy:
        def __init__(self, batch):
            self.batch = batch

        def to_pylist(self):
            sizes.append(self.batch.num_rows)
            return original(self.batch)

    class File(pq.ParquetFile):
        def iter_batches(self, **options):
            return (Spy(batch) for batch in super().iter_batches(**options))

    monkeypatch.setattr(pq, "ParquetFile", File)
    rows = read_rows(path)
    assert [next(rows)[1]["n"] for _ in range(BATCH + 1)] == list(range(BATCH + 1))
    assert sizes == [BATCH, BATCH]


def test_questions_with_one_prompt_and_two_answers_answer_nothing():
    a, b, c = Question("a", "x", "1"), Question("b", "x", "2"), Question("c", "y", "1")
    assert index_questions([a, b, c]) == {"y": c}


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Logs that inspect itself wrote, with its mock model: one of generate() and match(), one of multiple choice."""
    folder = tmp_path_factory.mktemp("logs")
    code = """
import sys
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageAssistant, ContentReasoning, ContentText, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import choice, match
from inspect_ai.solver import generate, multiple_choice, system_message

def open_model(*outputs):
    for output in outputs:  # else inspect fetches a tokenizer to count
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    return get_model("mockllm/model", custom_outputs=list(outputs))

apart = ChatMessageAssistant(content=[ContentReasoning(reasoning="hm"), ContentText(text="it is 7")])
outputs = [ModelOutput.from_content("m", "it is 8"), ModelOutput.from_message(apart)]
samples = [Sample(id="a", input="What is 3+4?", target="7", metadata={"level": 2})]
solver = [system_message("Be brief."), generate()]
task = Task(dataset=samples, solver=solver, scorer=match(), epochs=3, name="sums")
for kind in ("eval", "json"):
    eval(task, model=open_model(*outputs), log_dir=sys.argv[1] + "/" + kind, display="none", log_format=kind)
samples = [Sample(input="What is 3+4?", choices=["8", "7"], target="B")]
task = Task(dataset=samples, solver=multiple_choice(), scorer=choice(), name="letters")
model = open_model(ModelOutput.from_content("m", "ANSWER: B"))
eval(task, model=model, log_dir=sys.argv[1] + "/choice", display="none")
"""
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("kind", ["eval", "json"])
def test_logs_that_inspect_wrote(logs, context, kind):
    """Two epochs have a response; the third ended with an error, because the mock model had no more to say."""
    (path,) = (logs / kind).glob(f"*.{kind}")
    found = list(stream_foreign("inspect", path, context))
    assert show(found) == [
        ("What is 3+4?", "7", "it is 8", 0.0),
        ("What is 3+4?", "7", "<think>\nhm\n</think>\n\nit is 7", 1.0),
    ]
    assert [len(row.responses) for row in found] == [1, 1, 0]
    assert "ended with an error and has no response" in found[2].notes
    assert found[0].question.meta == {"sample_id": "a", "level": 2, "system": "Be brief."}
    assert found[0].responses[0].finish == "stop"
    named = replace(context, columns=Columns(label_column="match"))
    assert [r.label for row in stream_foreign("inspect", path, named) for r in row.responses] == [0.0, 1.0]


LOG = {"version": 2, "status": "success"}


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("[" * 100_000, "nests lists and objects more than 200 deep"),
        ('{"version": 2, "samples": ' + '[{"a":' * 50_000, "nests lists and objects more than 200 deep"),
        (json.dumps(LOG), "can't be read as a log of inspect"),
        (json.dumps({**LOG, "eval": None}), "can't be read as a log of inspect"),
        (json.dumps({**LOG, "status": "?", "eval": {}}), "can't be read as a log of inspect: AssertionError"),
        ("[]", "can't be read as a log of inspect"),
    ],
)
def test_a_json_file_that_is_no_log_is_refused_without_filling_the_memory(tmp_path, context, content, fragment):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(DataError, match=fragment):
        list(stream_foreign("inspect", path, context))


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b" " * 50_000_000, "unpacks to 50,000,002 bytes"),
        (b"[" * 3_000 + b"1", "nests lists and objects more than 200 deep"),
    ],
)
def test_a_log_that_would_fill_the_memory_is_refused_before_it_is_unpacked(tmp_path, context, content, fragment):
    path = tmp_path / "a.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", "{}")
        archive.writestr("samples/a_epoch_1.json", content)
    with pytest.raises(DataError, match=fragment):
        list(stream_foreign("inspect", path, context))


def test_a_log_may_not_unpack_to_more_than_a_bound_in_all(logs, context, monkeypatch):
    (path,) = (logs / "eval").glob("*.eval")
    monkeypatch.setattr("raml.interchange.log_size.MAX_BYTES", 100)
    with pytest.raises(DataError, match="a log may take 100, and each of its members"):
        list(stream_foreign("inspect", path, context))


@given(content=st.lists(st.sampled_from(list('"\\[]{}a'))).map("".join), block=st.sampled_from([1, 2, 5, 100]))
def test_nesting_is_counted_outside_of_texts_wherever_a_block_ends(content, block):
    deepest = depth = 0
    for bracket in re.findall(r"[][{}]", re.sub(r'"(?:[^"\\]|\\.)*(?:"|\\?$)', "", content, flags=re.DOTALL)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_size, "BLOCK", block)
        patch.setattr(log_size, "MAX_DEPTH", 1)
        with pytest.raises(DataError) if deepest > 1 else contextlib.nullcontext():
            log_size._check_depth(io.BytesIO(content.encode()), Path("a.json"))


def test_a_multiple_choice_log_asks_what_the_model_was_shown(logs, context):
    (path,) = (logs / "choice").glob("*.eval")
    (found,) = stream_foreign("inspect", path, context)
    assert (found.question.kind, found.question.answer) == ("choice", "B")
    assert "B) 7" in found.question.prompt
    assert found.responses[0].label == 1.0


def test_without_inspect_the_message_says_what_to_install(tmp_path, context, monkeypatch):
    path = tmp_path / "a.eval"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(MissingExtra, match=r"pip install 'raml\[inspect\]'"):
        list(stream_foreign("inspect", path, context))
