"""Trajectories go to other tools' files and come back as they were; other tools' files come in."""

import json
import shutil

import msgspec
import pytest

from raml.records import SCHEMA_VERSION
from raml.store import Run

FILES = {
    "trl": "rows.parquet",
    "trl-completions": "log.parquet",
    "verl-rollouts": "dump.jsonl",
    "openai-chat": "chat.jsonl",
    "inspect": "log.eval",
    "verifiers": "results.jsonl",
    "rollouts": "rollouts.parquet",
}
ANSWERS = "--answers"


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """A run of the tiny model with right and wrong trajectories, made once."""
    from raml.cli import run

    path = tmp_path_factory.mktemp("sampled") / "run"
    assert run(["questions", "tiny", "--limit", "3", "--out", str(path)]) == 0
    settings = ["--n", "6", "--temperature", "1.2", "--max-new-tokens", "200"]
    assert run(["sample", "tiny", str(path), *settings]) == 0
    correct = [trajectory.correct for trajectory in Run(path).read_trajectories()]
    assert {True, False} <= set(correct)
    return path


def expect_error(result, *fragments):
    code, out, err = result
    assert code == 2, (out, err)
    assert len(err.strip().splitlines()) == 1, err
    for fragment in fragments:
        assert fragment in err, err


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def import_rows(raml, tmp_path, format, rows, *options):
    file = write_lines(tmp_path / "rows.jsonl", rows)
    code, out, err = raml("import", format, file, tmp_path / "run", "--model", "tiny", *options)
    assert code == 0, err
    return Run(tmp_path / "run"), out


@pytest.mark.parametrize(
    ("format", "name"), [*FILES.items(), ("trl", "rows.jsonl"), ("rollouts", "rows.jsonl"), ("inspect", "log.json")]
)
def test_an_export_that_is_read_again_gives_equal_records(raml, sampled, tmp_path, format, name):
    """Ids, token ids, log-probabilities, settings, grade: records are equal where all of it is."""
    file = tmp_path / name
    code, out, err = raml("export", format, sampled, file)
    assert code == 0, err
    assert f"Wrote 18 trajectories to {file}" in out
    code, out, err = raml("import", format, file, tmp_path / "back", "--model", "tiny")
    assert code == 0, err
    assert "Wrote 18 trajectories (0 were there)" in out
    assert "labels agree with our check" in out or format in ("trl", "openai-chat")
    assert Run(tmp_path / "back").read_questions() == Run(sampled).read_questions()
    assert Run(tmp_path / "back").read_trajectories() == Run(sampled).read_trajectories()
    again = raml("import", format, file, tmp_path / "back", "--model", "tiny")[1]
    assert "Wrote 0 trajectories (18 were there)" in again


@pytest.mark.parametrize("chat", ["--chat", "--no-chat"])
def test_pairs_give_back_the_trajectories_that_are_in_them(raml, sampled, tmp_path, chat):
    file = tmp_path / "pairs.parquet"
    code, out, err = raml("export", "trl-preference", sampled, file, chat, "--n", "2")
    assert code == 0, err
    assert raml("import", "trl-preference", file, tmp_path / "back", "--model", "tiny")[0] == 0
    back = Run(tmp_path / "back").read_trajectories()
    there = {trajectory.id: trajectory for trajectory in Run(sampled).read_trajectories()}
    assert len(back) >= 2
    assert all(trajectory == there[trajectory.id] for trajectory in back)
    assert {trajectory.correct for trajectory in back} == {True, False}
    assert f"Wrote {len(back)} trajectories" in out


def test_questions_without_responses_go_to_verl_and_back(raml, tmp_path):
    raml("questions", "tiny", "--limit", "4", "--out", tmp_path / "run")
    assert "Wrote 4 questions" in raml("export", "verl", tmp_path / "run", tmp_path / "train.parquet")[1]
    code, out, _ = raml("import", "verl", tmp_path / "train.parquet", tmp_path / "back", "--model", "tiny")
    assert code == 0
    assert "Wrote 4 questions and no trajectories" in out
    assert Run(tmp_path / "back").read_questions() == Run(tmp_path / "run").read_questions()


@pytest.mark.parametrize("format", FILES)
def test_without_our_records_prompt_text_and_grade_survive(raml, sampled, tmp_path, format):
    file = tmp_path / FILES[format]
    assert raml("export", format, sampled, file, "--no-records")[0] == 0
    options = (ANSWERS, sampled) if format == "openai-chat" else ()
    code, _, err = raml("import", format, file, tmp_path / "back", "--model", "tiny", *options)
    assert code == 0, err
    before, after = Run(sampled).read_trajectories(), Run(tmp_path / "back").read_trajectories()
    assert [t.text for t in after] == [t.text for t in before]
    assert [t.prompt_ids for t in after] == [t.prompt_ids for t in before]
    assert [(t.answer, t.correct) for t in after] == [(t.answer, t.correct) for t in before]
    assert all(t.logprobs is None and t.sampling is None for t in after)
    prompts = [(question.prompt, question.answer) for question in Run(sampled).read_questions()]
    assert [(question.prompt, question.answer) for question in Run(tmp_path / "back").read_questions()] == prompts


def test_a_row_that_was_edited_elsewhere_is_read_as_it_stands_and_counted(raml, sampled, tmp_path):
    file = tmp_path / "chat.jsonl"
    raml("export", "openai-chat", sampled, file, "--limit", "1")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[0]["messages"][1]["content"] = "<think>\nedited\n</think>\n\n\\boxed{-1}"
    run, out = import_rows(raml, tmp_path, "openai-chat", rows)
    assert "1 × changed since raml wrote it" in out
    edited = [t for t in run.read_trajectories() if "edited" in t.text]
    assert [(t.engine, t.answer, t.correct) for t in edited] == [(None, "-1", False)]
    assert len(run.read_trajectories()) == 6


def test_another_tokenizers_records_are_read_as_text(raml, sampled, tmp_path):
    """The same ids mean another text there, and its configuration is another one: nothing is damaged."""
    file = tmp_path / "chat.jsonl"
    raml("export", "openai-chat", sampled, file, "--limit", "1")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows:
        record = json.loads(row["raml"])
        record["trajectory"]["token_ids"] = [9] * len(record["trajectory"]["token_ids"])
        record["trajectory"]["model"]["config_sha256"] = "of another tokenizer"
        row["raml"] = json.dumps(record)
    run, out = import_rows(raml, tmp_path, "openai-chat", rows)
    assert "6 × another tokenizer than MODEL's made its record" in out
    assert {t.text for t in run.read_trajectories()} == {row["messages"][1]["content"] for row in rows}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["trajectory"]["token_ids"].append(5), "token_ends does not fit"),
        (lambda r: r["trajectory"]["token_ends"].reverse(), "token_ends does not fit"),
        (lambda r: r["trajectory"]["logprobs"].pop(), " logprobs for "),
        (lambda r: r["trajectory"]["logprobs"].__setitem__(0, 1.0), "logprobs are not numbers of 0 or less"),
        (lambda r: r["trajectory"].update(reasoning_len=10**6), "reasoning_len is 1000000"),
        (lambda r: r["trajectory"]["token_ids"].__setitem__(0, 10**30), "raml can't be read"),
        (lambda r: r["trajectory"]["token_ids"].__setitem__(0, -1), "a token id is negative"),
        (lambda r: r["trajectory"]["token_ids"].__setitem__(0, 10**6), "has a token id of 1000000, beyond"),
        (lambda r: r["trajectory"]["token_ids"].__setitem__(0, 9), "says another text; it is damaged"),
        (lambda r: r["trajectory"].update(question_id="x"), "it answers question 'x'"),
        (lambda r: r.update(v=SCHEMA_VERSION + 1), "newer version of raml"),
        (lambda r: r.pop("question"), "raml can't be read"),
        (lambda r: r.update(question=[]), "raml can't be read"),
        (lambda r: r["trajectory"].update(correct="yes"), "raml can't be read"),
    ],
)
def test_a_damaged_record_is_refused_with_its_place(raml, sampled, tmp_path, change, message):
    file = tmp_path / "chat.jsonl"
    raml("export", "openai-chat", sampled, file, "--limit", "1")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    record = json.loads(rows[1]["raml"])
    change(record)
    rows[1]["raml"] = msgspec.json.encode(record).decode()
    write_lines(file, rows)
    result = raml("import", "openai-chat", file, tmp_path / "run", "--model", "tiny")
    expect_error(result, "chat.jsonl line 2", message)
    assert not (tmp_path / "run").exists()


def test_a_forged_grade_is_not_believed(raml, sampled, tmp_path):
    file = tmp_path / "chat.jsonl"
    raml("export", "openai-chat", sampled, file)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows:
        record = json.loads(row["raml"])
        record["trajectory"].update(correct=True, verdict="right")
        row["raml"] = json.dumps(record)
    run, _ = import_rows(raml, tmp_path, "openai-chat", rows)
    assert run.read_trajectories() == Run(sampled).read_trajectories()


def test_another_model_with_the_same_tokenizer_keeps_the_writers_name(raml, sampled, tmp_path):
    file = tmp_path / "chat.jsonl"
    raml("export", "openai-chat", sampled, file)
    assert raml("import", "openai-chat", file, tmp_path / "back", "--model", "tiny-base")[0] == 0
    assert Run(tmp_path / "back").read_trajectories() == Run(sampled).read_trajectories()


def test_a_response_that_was_broken_off_is_not_scored_as_wrong(raml, sampled, tmp_path):
    run = shutil.copytree(sampled, tmp_path / "run")
    lines = [json.loads(line) for line in (run / "trajectories.jsonl").read_text().splitlines()]
    lines[0].update(answer=None, correct=None, verdict="undecided", error="The server went away.")
    write_lines(run / "trajectories.jsonl", lines)
    raml("export", "inspect", run, tmp_path / "log.eval")
    assert raml("import", "inspect", tmp_path / "log.eval", tmp_path / "back", "--model", "tiny")[0] == 0
    assert Run(tmp_path / "back").read_trajectories() == Run(run).read_trajectories()


def test_programs_are_run_only_if_asked_and_their_tests_travel_with_the_record(raml, tmp_path):
    question = {
        "id": "double",
        "prompt": "Print twice the number.",
        "answer": "",
        "kind": "code",
        "tests": {"inputs": ["3\n"], "outputs": ["6\n"], "function": None},
    }
    write_lines(tmp_path / "questions.jsonl", [question])
    (tmp_path / "run").mkdir()
    shutil.move(tmp_path / "questions.jsonl", tmp_path / "run")
    program = "```python\nprint(2 * int(input()))\n```"
    message = "Print twice the number.\n\nThink!"
    run, out = import_rows(
        raml, tmp_path, "trl", [{"prompt": message, "completion": program}], "--answers", tmp_path / "run"
    )
    assert "needs --allow-code-execution" in out
    assert [t.correct for t in run.read_trajectories()] == [None]


def test_redacted_questions_stay_here_unless_asked_for(raml, sampled, tmp_path):
    run = shutil.copytree(sampled, tmp_path / "run")
    lines = [json.loads(line) for line in (run / "questions.jsonl").read_text().splitlines()]
    lines[0]["redacted"] = True
    write_lines(run / "questions.jsonl", lines)
    code, out, _ = raml("export", "rollouts", run, tmp_path / "open.jsonl")
    assert code == 0
    assert "Left out 1 questions that must not be shown in public" in out
    assert lines[0]["prompt"] not in (tmp_path / "open.jsonl").read_text()
    out = raml("export", "rollouts", run, tmp_path / "all.jsonl", "--include-redacted")[1]
    assert "Left out" not in out
    assert lines[0]["prompt"] in (tmp_path / "all.jsonl").read_text()


def test_only_right_ones_and_those_of_one_writer(raml, sampled, tmp_path):
    right = [t for t in Run(sampled).read_trajectories() if t.correct]
    out = raml("export", "trl", sampled, tmp_path / "a.jsonl", "--only-right", "--writer", "tiny")[1]
    assert f"Wrote {len(right)} trajectories" in out
    expect_error(raml("export", "trl", sampled, tmp_path / "b.jsonl", "--writer", "x"), "They are by tiny")
    assert not (tmp_path / "b.jsonl").exists()


def test_a_file_is_replaced_only_if_asked(raml, sampled, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text("mine")
    expect_error(raml("export", "trl", sampled, file), "exists", "--overwrite")
    assert file.read_text() == "mine"
    assert raml("export", "trl", sampled, file, "--overwrite")[0] == 0
    assert len(file.read_text().splitlines()) == 18


@pytest.mark.parametrize("format", ["trl", "verl"])
def test_the_folder_of_an_export_is_made_but_never_in_the_place_of_a_file(raml, sampled, tmp_path, format):
    assert raml("export", format, sampled, tmp_path / "new" / "inner" / "a.jsonl")[0] == 0
    assert (tmp_path / "new" / "inner" / "a.jsonl").read_text()
    expect_error(
        raml("export", format, sampled, tmp_path / "new" / "inner" / "a.jsonl" / "b.jsonl"), "can't be written"
    )
    expect_error(raml("export", "trl", sampled, tmp_path / "other" / "b.jsonl", "--writer", "x"), "They are by tiny")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(("format", "name"), [("trl", "a.txt"), ("inspect", "a.jsonl"), ("rollouts", "a.eval")])
def test_a_file_that_can_not_be_written_leaves_nothing(raml, sampled, tmp_path, format, name):
    expect_error(raml("export", format, sampled, tmp_path / name), name)
    assert list(tmp_path.iterdir()) == []


def test_labels_that_differ_from_our_check_are_counted(raml, tmp_path):
    row = {
        "problem": "What is 3+4?",
        "answer": "7",
        "generations": ["\\boxed{7}", "\\boxed{8}", "\\boxed{9}"],
        "correctness_math_verify": [True, True, None],
        "correctness_llama": [False, False, False],
    }
    run, out = import_rows(raml, tmp_path, "rollouts", [row])
    assert "1 of 3 labels differ from our check, e.g." in out
    assert "is labelled right, and we find wrong (wrong; answer '8')" in out
    assert [t.correct for t in run.read_trajectories()] == [True, False, False]


def test_gold_answers_come_from_another_file_or_from_the_run(raml, tmp_path):
    rows = [{"prompt": "What is 3+4?", "completion": "\\boxed{7}"}]
    file = write_lines(tmp_path / "rows.jsonl", rows)
    command = ("import", "trl", file, tmp_path / "run", "--model", "tiny")
    expect_error(raml(*command), "rows.jsonl line 1 has no gold answer for 'What is 3+4?'", "--answers")
    gold = write_lines(tmp_path / "gold.jsonl", [{"id": "mine", "prompt": "What is 3+4?", "answer": "7"}])
    assert raml(*command, ANSWERS, gold)[0] == 0
    assert [(t.question_id, t.correct) for t in Run(tmp_path / "run").read_trajectories()] == [("mine", True)]
    rows = [{"prompt": "What is 3+4?", "completion": "\\boxed{8}"}]
    write_lines(file, rows)
    assert raml(*command)[0] == 0
    assert [t.correct for t in Run(tmp_path / "run").read_trajectories()] == [True, False]
    assert len(Run(tmp_path / "run").read_questions()) == 1


def test_rows_that_can_not_be_used_are_left_out_on_demand(raml, tmp_path):
    good = {"messages": [{"role": "user", "content": "3+4?"}, {"role": "assistant", "content": "7"}], "answer": "7"}
    turns = {**good, "messages": good["messages"] * 2}
    long = {**good, "messages": [good["messages"][0], {"role": "assistant", "content": "so 1+1 " * 2000}]}
    file = write_lines(tmp_path / "rows.jsonl", [turns, good, long, {**good, "answer": None}])
    command = ("import", "openai-chat", file, tmp_path / "run", "--model", "tiny")
    expect_error(raml(*command), "line 1 has messages of user, assistant, user, assistant")
    code, out, _ = raml(*command, "--skip-unusable")
    assert code == 0
    assert "Left out 3 that can't be used, e.g." in out
    assert {t.text for t in Run(tmp_path / "run").read_trajectories()} == {"7"}


def test_the_limit_stops_reading(raml, tmp_path):
    row = {"problem": "3+4?", "answer": "7", "generations": ["\\boxed{7}"] * 3}
    file = write_lines(tmp_path / "rows.jsonl", [row])
    file.write_text(file.read_text() + "{broken\n")
    command = ("import", "rollouts", file, tmp_path / "run", "--model", "tiny")
    expect_error(raml(*command), "line 2 is no JSON object")
    code, out, _ = raml(*command, "--limit", "2")
    assert code == 0
    assert "Wrote 2 trajectories" in out
    expect_error(raml(*command, "--limit", "0"), "--limit is 0")


def test_what_followed_the_question_in_the_file_is_in_the_prompt_and_no_more(raml, tmp_path):
    instruction = "Please reason step by step, and put your final answer within \\boxed{}."
    messages = [f"What is 3+4?\n\n{instruction}", "What is 3+4?", "What is 3+4?\nThink!"]
    rows = [{"prompt": text, "completion": f"\\boxed{{{7}}} {i}", "answer": "7"} for i, text in enumerate(messages)]
    run, _ = import_rows(raml, tmp_path, "trl", rows)
    assert [question.prompt for question in run.read_questions()] == ["What is 3+4?", "What is 3+4?\nThink!"]
    by_end = {t.text[-1]: t for t in run.read_trajectories()}
    assert [by_end[i].prompt.instruction for i in "012"] == [instruction, "", ""]


def test_a_system_message_is_kept_aside_and_said(raml, tmp_path):
    chat = [{"role": "user", "content": "3+4?"}, {"role": "assistant", "content": "\\boxed{7}"}]
    rows = [
        {"messages": [{"role": "system", "content": f"Be {how}."}, *chat], "answer": "7"} for how in ("brief", "kind")
    ]
    run, out = import_rows(raml, tmp_path, "openai-chat", rows)
    assert "2 × has a system message, which is kept in the question's meta" in out
    assert [question.meta["system"] for question in run.read_questions()] == ["Be brief.", "Be kind."]
    _, out = import_rows(raml, tmp_path, "openai-chat", rows)
    assert "Wrote 0 trajectories (2 were there)" in out


@pytest.mark.parametrize("format", ["trl", "inspect"])
@pytest.mark.parametrize("content", [b"", b"PAR1", b"\xff\xfe\x00", b"{}\n", b"[1]\n", b'{"a": ' * 10_000])
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".eval", ".json", ".csv"])
def test_a_file_of_another_kind_is_one_line(raml, tmp_path, format, content, suffix):
    file = tmp_path / f"bad{suffix}"
    file.write_bytes(content)
    expect_error(raml("import", format, file, tmp_path / "run", "--model", "tiny"), "bad")
    assert not (tmp_path / "run").exists()


def test_a_truncated_parquet_file_and_a_missing_one(raml, sampled, tmp_path):
    file = tmp_path / "rows.parquet"
    raml("export", "trl", sampled, file)
    file.write_bytes(file.read_bytes()[:-100])
    expect_error(raml("import", "trl", file, tmp_path / "run", "--model", "tiny"), "rows.parquet is no parquet file")
    expect_error(raml("import", "trl", tmp_path / "none.parquet", tmp_path / "run", "--model", "tiny"), "no file")
    expect_error(raml("import", "inspect", tmp_path / "none.eval", tmp_path / "run", "--model", "tiny"), "no file")


def test_options_that_a_format_has_no_use_for_are_refused(raml, tmp_path):
    command = ("import", "plain", tmp_path / "a.jsonl", tmp_path / "run", "--model", "tiny")
    expect_error(raml(*command, "--answer-column", "gold"), "plain has columns of its own")
    expect_error(raml("import", "trl", *command[2:], "--question-column", "q"), "are for rollouts")
