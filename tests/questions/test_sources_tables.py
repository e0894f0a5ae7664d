"""Mathematical data sets: rows of the shape they have, in every kind of file they come in."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raml.errors import DataError
from raml.questions import DATA_SETS, SourceSettings, clean_questions, load_source, read_rows
from raml.questions.sources import open_source, read_plain_rows

ROWS = {
    "aime24": [
        {"ID": "2024-I-1", "Problem": "What is $5 \\cdot 5$?", "Solution": "It is 25.", "Answer": 25},
        {"ID": "2024-I-2", "Problem": " What is $6 \\cdot 6$? ", "Solution": "It is 36.", "Answer": 36},
    ],
    "aime25": [
        {"problem": "What is $5 \\cdot 5$?", "answer": "025", "id": "0"},
        {"problem": "What is $6 \\cdot 6$?", "answer": "36", "id": "1"},
    ],
    "math500": [
        {
            "problem": "What is $\\frac{1}{2} \\cdot \\frac{1}{2}$?",
            "solution": "Multiply.",
            "answer": "\\frac{1}{4}",
            "subject": "Prealgebra",
            "level": 5,
            "unique_id": "test/prealgebra/1.json",
        },
        {
            "problem": "What is $1 + 1$?",
            "solution": "Add.",
            "answer": "2",
            "subject": "Algebra",
            "level": 1,
            "unique_id": "test/algebra/2.json",
        },
    ],
    "livemathbench-hard": [
        {"question": "What is $2^5$?", "answer": "$32$", "question_type": "problem-solving"},
        {"question": "求 $2^6$ 的值。", "answer": "$64$", "question_type": "问答"},
    ],
}


def write(path, rows):
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def load(name, path, **changes):
    return load_source(name, SourceSettings(files=(path,), **changes))


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
@pytest.mark.parametrize("name", list(ROWS))
def test_each_format_gives_the_same_questions(tmp_path, name, suffix):
    first, second = load(name, write(tmp_path / f"rows{suffix}", ROWS[name])).questions
    other = load(name, write(tmp_path / "other.jsonl", ROWS[name])).questions
    assert [(q.id, q.prompt, q.answer) for q in (first, second)] == [(q.id, q.prompt, q.answer) for q in other]
    assert first.kind == "math"
    assert first.redacted is False
    assert first.source == f"{DATA_SETS[name].repository} from rows{suffix}"


def test_aime_keeps_the_problem_alone_and_an_answer_without_leading_zeros(tmp_path):
    for name in ("aime24", "aime25"):
        first, second = load(name, write(tmp_path / "rows.jsonl", ROWS[name])).questions
        assert (first.prompt, first.answer) == ("What is $5 \\cdot 5$?", "25")
        assert (second.prompt, second.answer) == ("What is $6 \\cdot 6$?", "36")
        assert first.instruction is None
    assert first.meta == {"id": "0"}
    for given, kept in (("336^\\circ", "336^\\circ"), ("000", "0"), ("0" + "7" * 5000, "7" * 5000)):
        (odd,) = load("aime25", write(tmp_path / "odd.jsonl", [{"problem": "An angle?", "answer": given}])).questions
        assert odd.answer == kept


def test_math_has_its_subject_as_domain_and_its_level_among_the_notes(tmp_path):
    first, second = load("math500", write(tmp_path / "rows.jsonl", ROWS["math500"])).questions
    assert (first.domain, first.answer) == ("Prealgebra", "\\frac{1}{4}")
    assert first.meta == {"unique_id": "test/prealgebra/1.json", "level": 5}
    assert second.meta["level"] == 1


@pytest.mark.parametrize("level", [5, "5", "Level 5"])
def test_only_level_5_is_taken_for_math500_l5(tmp_path, level):
    rows = [ROWS["math500"][1], ROWS["math500"][0] | {"level": level}]
    (question,) = load("math500-l5", write(tmp_path / "rows.jsonl", rows)).questions
    assert question.answer == "\\frac{1}{4}"
    assert question.id == load("math500", write(tmp_path / "rows.jsonl", rows)).questions[1].id


def test_no_question_of_level_5_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no row is a question that math500-l5 asks for"):
        load("math500-l5", write(tmp_path / "rows.jsonl", ROWS["math500"][1:]))


def test_a_chinese_question_has_an_instruction_in_chinese(tmp_path):
    english, chinese = load("livemathbench-hard", write(tmp_path / "rows.jsonl", ROWS["livemathbench-hard"])).questions
    assert (english.domain, english.instruction) == ("en", None)
    assert (chinese.domain, chinese.instruction) == ("cn", "请逐步推理，并把最终答案写在 \\boxed{} 中。")
    assert chinese.meta == {"question_type": "问答", "language": "cn"}
    assert (english.prompt, english.answer) == ("What is $2^5$?", "$32$")


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("aime24", {"ID": "1", "Answer": 3}, r"line 1 has no column 'problem' or 'Problem'; its columns are 'ID', 'An"),
        ("aime24", {"Problem": "Why?"}, "has no column 'answer' or 'Answer'"),
        ("aime25", {"problem": "", "answer": "3"}, "column 'problem' is empty"),
        ("aime25", {"problem": ["Why?"], "answer": "3"}, "column 'problem' is no text"),
        ("aime25", {"problem": "Why?", "answer": True}, "column 'answer' is no text"),
        ("math500", {"problem": "Why?", "answer": "3"}, "has no column 'level'; its columns are 'problem', 'answer'"),
        ("math500", {"problem": "Why?", "answer": "3", "level": 6}, "level '6' is no number from 1 to 5"),
        ("livemathbench-hard", {"problem": "Why?", "answer": "3"}, "has no column 'question'"),
        ("orz-math", {"problem": "Why?", "answer": "3"}, "has no column '0'; its columns are 'problem', 'answer'"),
        ("orz-math", {str(i): i for i in range(1, 30)}, "'11', '12', …"),
        ("gpqa-diamond", {"Question": "Why?"}, "has no column 'Correct Answer'"),
        ("livecodebench", {"question_content": "Why?"}, "has no column 'contest_date'"),
    ],
)
def test_a_row_of_another_shape_is_named_with_what_is_missing(tmp_path, name, row, message):
    path = write(tmp_path / "rows.jsonl", [row])
    with pytest.raises(DataError, match=message) as raised:
        load(name, path)
    assert str(raised.value).startswith(f"{path} line 1")


def test_another_number_of_questions_is_loaded_with_a_note(tmp_path):
    path = write(tmp_path / "rows.jsonl", ROWS["math500"])
    assert load("math500", path).notes == ("math500 should have 500 questions; here are 2.",)
    assert load("math500", path, limit=1).notes == ()
    rows = [{"problem": f"What is ${i}$?", "answer": str(i)} for i in range(30)]
    assert load("aime25", write(tmp_path / "all.jsonl", rows)).notes == ()


def test_the_limit_takes_the_first_and_rows_behind_it_are_not_looked_at(tmp_path):
    path = write(tmp_path / "rows.jsonl", [*ROWS["aime25"], {"problem": "no answer"}])
    assert [q.answer for q in load("aime25", path, limit=2).questions] == ["25", "36"]


def test_several_files_follow_one_another_and_an_error_names_its_own(tmp_path):
    one, two = (write(tmp_path / f"{i}.jsonl", [row]) for i, row in enumerate(ROWS["aime25"]))
    loaded = load_source("aime25", SourceSettings(files=(one, two)))
    assert [q.answer for q in loaded.questions] == ["25", "36"]
    assert loaded.questions[0].source == "math-ai/aime25 from 0.jsonl, 1.jsonl"
    with pytest.raises(DataError, match=r"1\.jsonl line 1 has the same question and answer as .*1\.jsonl line 1\.$"):
        load_source("aime25", SourceSettings(files=(two, two)))


PAIRS = [
    [
        {"from": "human", "value": "Calculate $3 + 4$."},
        {"from": "assistant", "ground_truth": {"value": "7", "pass_at_n": 0.5}},
    ],
    [
        {"from": "human", "value": "In the figure, what is the angle at $P$?"},
        {"from": "assistant", "ground_truth": {"value": "30", "pass_at_n": None}},
    ],
    [{"from": "human", "value": "Show that 2 is prime."}, {"from": "assistant", "ground_truth": {"value": None}}],
    [
        {"from": "human", "value": "What is a half of a third?"},
        {"from": "assistant", "ground_truth": {"value": "\\frac{1}{6}"}},
    ],
]


def write_pairs(tmp_path, suffix):
    rows = PAIRS if suffix == ".json" else [{"0": asked, "1": solved} for asked, solved in PAIRS]
    return write(tmp_path / f"orz{suffix}", rows)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_conversations_become_problem_and_answer(tmp_path, suffix):
    path = write_pairs(tmp_path, suffix)
    loaded = load("orz-math", path, limit=2)
    assert [(q.prompt, q.answer) for q in loaded.questions] == [
        ("Calculate $3 + 4$.", "7"),
        ("In the figure, what is the angle at $P$?", "30"),
    ]
    with pytest.raises(DataError, match=r"(row|line) 3: column 'answer' is empty"):
        load("orz-math", path)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_conversations_can_be_cleaned(tmp_path, suffix):
    path = write_pairs(tmp_path, suffix)
    files = open_source("orz-math", SourceSettings(files=(path,)))
    cleaned = clean_questions(read_plain_rows(files), source=files.source)
    assert [q.answer for q in cleaned.kept] == ["7", "\\frac{1}{6}"]
    assert cleaned.count_reasons() == {"no answer": 1, "needs a picture": 1}
    assert cleaned.kept[0].id == load("orz-math", path, limit=1).questions[0].id


@pytest.mark.parametrize(
    "pair",
    [
        [{"from": "human", "value": "Why?"}, {"from": "assistant", "value": "3"}],
        [{"from": "human"}, {"from": "assistant", "ground_truth": {"value": "3"}}],
        ["Why?", "3"],
    ],
)
def test_what_is_no_conversation_is_an_error(tmp_path, pair):
    with pytest.raises(DataError, match="row 1 is no pair of turns"):
        load("orz-math", write(tmp_path / "orz.json", [pair]))


def test_the_same_conversation_twice_is_an_error_that_names_cleaning(tmp_path):
    with pytest.raises(DataError, match=r"row 2 has the same .* row 1\. --clean keeps the first\.$"):
        load("orz-math", write(tmp_path / "orz.json", [PAIRS[0], PAIRS[0]]))


def test_items_of_listed_rows_are_named_by_their_numbers(tmp_path):
    path = write(tmp_path / "rows.json", [["a", 1], {"b": 2}])
    assert list(read_rows(path)) == [(f"{path} row 1", {"0": "a", "1": 1}), (f"{path} row 2", {"b": 2})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"prompt": "a"}', "is no JSON list of rows"),
        ("[1", "is no JSON list of rows"),
        ('["a"]', "row 1 is neither a JSON object nor a list"),
        (b'["\xff"]', "is no JSON list of rows"),
    ],
)
def test_a_json_file_that_is_no_list_of_rows_is_an_error(tmp_path, content, message):
    path = tmp_path / "rows.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        list(read_rows(path))


def test_a_parquet_file_is_read_in_batches_and_its_rows_are_counted_through(tmp_path):
    rows = list(read_rows(write(tmp_path / "rows.parquet", [{"n": i} for i in range(150)])))
    assert [row["n"] for _, row in rows] == list(range(150))
    assert rows[-1][0].endswith("rows.parquet row 150")
