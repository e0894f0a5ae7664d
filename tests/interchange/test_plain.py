import pytest

from raml.errors import DataError
from raml.interchange import read_plain


def test_rows_of_one_question_share_it(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"question": "1 + 1?", "answer": "2", "trajectory": "it is \\\\boxed{2}"}\n'
        '{"question": "1 + 1?", "answer": "2", "trajectory": "it is \\\\boxed{3}"}\n'
        '{"question": "1 + 2?", "answer": "3", "trajectory": "it is \\\\boxed{3}"}\n'
    )
    rows = read_plain(path)
    assert [row.text[-2] for row in rows] == ["2", "3", "3"]
    assert rows[0].question is rows[1].question
    assert rows[0].question.id != rows[2].question.id


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "a", "answer": "1"}', "line 1: field 'trajectory' is missing"),
        ('{"question": "a", "answer": "1", "trajectory": ""}', "line 1: field 'trajectory' is empty"),
        ('{"question": "a", "answer": "", "trajectory": "t"}', "line 1: field 'answer' is empty"),
        ("", "has no trajectories"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path, line, message):
    path = tmp_path / "mine.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        read_plain(path)


def test_one_id_for_two_questions_is_refused(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"id": "x", "question": "a", "answer": "1", "trajectory": "t"}\n'
        '{"id": "x", "question": "b", "answer": "1", "trajectory": "t"}\n'
    )
    with pytest.raises(DataError, match="line 2: question id 'x' belongs to another question"):
        read_plain(path)
