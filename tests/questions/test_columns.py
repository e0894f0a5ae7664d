"""The columns that a source says it needs are those that it reads, and they are found without reading all of it."""

import io
import json
from unittest.mock import Mock

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from raml.errors import DataError
from raml.questions import DATA_SETS, SourceSettings, load_source
from raml.questions.sources import check, check_columns, hub
from raml.questions.sources.check import read_columns

COMMIT = "0123456789abcdef0123456789abcdef01234567"
VALUES = {
    **{
        name: "1 + 1"
        for names in (("problem", "Problem"), ("answer", "Answer"), ("question", "Question"))
        for name in names
    },
    "level": 5,
    "0": {"value": "1 + 1"},
    "1": {"ground_truth": {"value": "2"}},
    "Correct Answer": "2",
    **{f"Incorrect Answer {i}": str(i) for i in (1, 2, 3)},
    "Record ID": "r",
    "contest_date": "2025-02-01T00:00:00",
    "question_content": "Print 2.",
    "starter_code": "",
    "metadata": "{}",
    "public_test_cases": "[]",
    "private_test_cases": "",
}


def make_rows(name):
    """A row for each way to write the columns: in their first spellings, and in their last."""
    columns = DATA_SETS[name].columns
    return [{names[which]: VALUES[names[which]] for names in columns} for which in (0, -1)]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_row_with_the_listed_columns_and_no_others_is_a_question(tmp_path, name):
    for row in make_rows(name):
        path = write(tmp_path / "rows.jsonl", [row])
        assert len(load_source(name, SourceSettings(files=(path,))).questions) == 1


@pytest.mark.parametrize("name", DATA_SETS)
def test_without_any_of_them_there_is_none_and_the_check_says_so_too(tmp_path, name):
    for names in DATA_SETS[name].columns:
        row = {key: value for key, value in make_rows(name)[0].items() if key not in names}
        settings = SourceSettings(files=(write(tmp_path / "rows.jsonl", [row]),))
        for look in (load_source, check_columns):
            with pytest.raises(DataError, match=f"has no column '{names[0]}'"):
                look(name, settings)


@pytest.mark.parametrize("name", DATA_SETS)
def test_given_files_are_looked_at_and_named(tmp_path, name):
    path = write(tmp_path / "rows.jsonl", make_rows(name))
    found = check_columns(name, SourceSettings(files=(path,)))
    assert found.seen_in == (str(path),)
    assert found.expected == DATA_SETS[name].columns


def test_each_of_several_files_is_looked_at(tmp_path):
    good, bad = (write(tmp_path / f"{i}.jsonl", [row]) for i, row in enumerate([make_rows("math500")[0], {"x": 1}]))
    with pytest.raises(DataError, match=r"1\.jsonl has no column 'problem'; its columns are x\."):
        check_columns("math500", SourceSettings(files=(good, bad)))
    bad.write_text("")
    with pytest.raises(DataError, match="has no rows"):
        check_columns("math500", SourceSettings(files=(bad,)))


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "json"])
def test_columns_are_read_from_the_beginning_of_any_kind_of_file(kind):
    rows = [{"problem": 'a,\n"b"', "answer": "ü"}, {"problem": "c", "answer": "d"}]
    file = io.BytesIO()
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif kind == "csv":
        file.write("\ufeffproblem,answer\na,b\n".encode())
    elif kind == "json":
        file.write(("\ufeff [\n" + json.dumps(rows)[1:]).encode())
    else:
        file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
    file.seek(0)
    assert read_columns(file, f"data/rows.{kind}") == ["problem", "answer"]


def test_no_more_than_the_beginning_is_read():
    first = json.dumps({"problem": "p", "answer": "a"})
    for kind, start in (("jsonl", first + "\n"), ("json", f"[{first},")):
        file = io.BytesIO((start + "x" * (3 << 20)).encode())
        assert read_columns(file, f"rows.{kind}") == ["problem", "answer"]
        assert file.tell() <= check.PEEK_BYTES


def test_conversations_have_their_places_as_columns():
    assert read_columns(io.BytesIO(b'[[{"value": "q"}, {"ground_truth": {}}], []]'), "orz.json") == ["0", "1"]


RUBBISH = [
    *(("a.jsonl", content) for content in (b"", b"[1]x", b"3")),
    *(("a.json", content) for content in (b"[]", b"[3]")),
    *(("a.csv", content) for content in (b"", b"\xff\xfe\x00")),
    *(("a.parquet", content) for content in (b"", b"PAR1")),
    ("a.txt", b"problem"),
]


@pytest.mark.parametrize(("name", "content"), RUBBISH)
def test_rubbish_is_named(name, content):
    with pytest.raises(DataError, match=name):
        read_columns(io.BytesIO(content), name)


@pytest.fixture
def remote(monkeypatch):
    """A Hub whose data sets have these files."""
    files = {}

    def open_file(self, path, mode):
        start = f"datasets/{DATA_SETS['aime25'].repository}@{COMMIT}/"
        content = files[path.removeprefix(start)]
        if isinstance(content, Exception):
            raise content
        return io.BytesIO(content)

    monkeypatch.setattr(check, "find_commit", lambda repository, revision: COMMIT)
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda self, repository, **options: list(files))
    monkeypatch.setattr(huggingface_hub.HfFileSystem, "open", open_file)
    return files


def test_on_the_hub_the_beginning_of_the_file_is_enough(remote):
    remote["test.jsonl"] = (json.dumps(make_rows("aime25")[0]) + "\n").encode()
    remote["README.md"] = b""
    found = check_columns("aime25", SourceSettings())
    assert found.seen_in == ("math-ai/aime25 test.jsonl at 01234567, on the Hub",)


def test_a_column_or_file_that_is_not_on_the_hub_is_a_fault(remote):
    with pytest.raises(DataError, match=r"math-ai/aime25 has no file 'test\.jsonl'"):
        check_columns("aime25", SourceSettings())
    remote["test.jsonl"] = b'{"problem": "1 + 1"}\n'
    with pytest.raises(DataError, match="on the Hub has no column 'answer' or 'Answer'; its columns are problem"):
        check_columns("aime25", SourceSettings())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (GatedRepoError("gated", response=Mock(headers={}, status_code=403)), "terms have to be accepted"),
        (HfHubHTTPError("down", response=Mock(headers={}, status_code=500)), "broke off"),
        (TimeoutError("slow"), "broke off"),
    ],
)
def test_what_the_hub_does_not_show_is_not_checked_and_says_why(remote, error, told):
    remote["test.jsonl"] = error
    found = check_columns("aime25", SourceSettings())
    assert found.seen_in == ()
    assert told in found.reason
    assert found.list_expected() == "problem or Problem, answer or Answer"


def test_a_data_set_that_has_gone_is_a_fault(monkeypatch):
    gone = RepositoryNotFoundError("gone", response=Mock(headers={}, status_code=404))
    monkeypatch.setattr(check, "find_commit", Mock(side_effect=gone))
    with pytest.raises(DataError, match="no math-ai/aime25 at 'main' on the Hub"):
        check_columns("aime25", SourceSettings(revision="main"))


def test_what_is_in_the_cache_is_looked_at_without_the_hub(tmp_path, monkeypatch):
    folder = tmp_path / COMMIT
    folder.mkdir()
    write(folder / "test.jsonl", make_rows("aime25"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *given, **options: str(folder))
    assert check_columns("aime25", SourceSettings()).seen_in == ("math-ai/aime25 test.jsonl, cached",)
    assert hub.find_cached(DATA_SETS["aime25"], ["test.jsonl", "other.jsonl"], "main") == []
