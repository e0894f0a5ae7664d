"""The way over the Hub: commits on record, and one message for each thing that can go wrong."""

import json
import sys
from pathlib import Path
from unittest.mock import Mock

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from raml.errors import DataError, MissingExtra
from raml.questions import DATA_SETS, SourceSettings, load_source
from raml.questions.sources import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = [{"problem": "What is $5 \\cdot 5$?", "answer": "25"}]


def write(path, rows=ROWS):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def snapshot(tmp_path, monkeypatch):
    """A folder as the Hub's cache has it, which is returned instead of a download, and what was asked for."""
    folder = tmp_path / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    asked = []

    def download(data, patterns, revision):
        asked.append((data.repository, patterns, revision))
        return folder

    monkeypatch.setattr(hub, "download_snapshot", download)
    return folder, asked


def test_the_commit_that_was_loaded_is_on_record(snapshot):
    folder, asked = snapshot
    write(folder / "test.jsonl")
    loaded = load_source("aime25", SourceSettings())
    pinned = DATA_SETS["aime25"].revision
    assert asked == [("math-ai/aime25", ["test.jsonl"], pinned)]
    assert loaded.questions[0].source == f"math-ai/aime25@{COMMIT}"
    assert loaded.config == {
        "repository": "math-ai/aime25",
        "config": [],
        "split": "test",
        "revision": pinned,
        "commit": COMMIT,
        "files": ["test.jsonl"],
        "wording": ("{problem}",),
        "terms": DATA_SETS["aime25"].terms,
    }
    load_source("aime25", SourceSettings(revision="main"))
    assert asked[-1][2] == "main"


@pytest.mark.parametrize("folder_name", ["data/202412", "v202412"])
@pytest.mark.parametrize(("language", "domains"), [("both", ["en", "cn"]), ("en", ["en"]), ("cn", ["cn"])])
def test_languages_are_found_in_whatever_folder_they_lie(snapshot, folder_name, language, domains):
    folder, asked = snapshot
    write(folder / folder_name / "hard_cn.jsonl", [{"question": "求 $2^6$。", "answer": "64"}])
    write(folder / folder_name / "hard_en.jsonl", [{"question": "What is $2^5$?", "answer": "32"}])
    loaded = load_source("livemathbench-hard", SourceSettings(language=language))
    assert [q.domain for q in loaded.questions] == domains
    assert loaded.config["config"] == [f"v202412_hard_{domain}" for domain in domains]
    assert loaded.config["language"] == language
    assert loaded.notes == (f"livemathbench-hard should have {45 * len(domains)} questions; here are {len(domains)}.",)
    assert asked[0][1] == [f"*202412*hard_{domain}*.jsonl" for domain in domains]


def test_a_release_is_read_in_the_order_of_its_updates(snapshot):
    folder, asked = snapshot
    rows = [
        {
            "question_content": f"Print {i}.",
            "contest_date": "2024-01-01",
            "starter_code": "",
            "public_test_cases": json.dumps([{"input": "", "output": str(i), "testtype": "stdin"}]),
            "private_test_cases": "[]",
            "metadata": "{}",
        }
        for i in range(4)
    ]
    for name, row in zip(("test.jsonl", "test2.jsonl", "test3.jsonl", "test6.jsonl"), rows, strict=True):
        write(folder / name, [row])
    loaded = load_source("livecodebench", SourceSettings(release="release_v3"))
    assert asked[0][1] == ["test.jsonl", "test2.jsonl", "test3.jsonl"]
    assert [q.tests.outputs for q in loaded.questions if q.tests] == [("0",), ("1",), ("2",)]
    assert loaded.config["config"] == ["release_v3"]
    assert loaded.notes == ("livecodebench should have 612 questions; here are 3.",)
    assert load_source("livecodebench", SourceSettings()).config["files"] == ["test6.jsonl"]


def test_a_row_of_another_shape_is_named_by_repository_and_file(snapshot):
    write(snapshot[0] / "test.jsonl", [{"question": "Why?"}])
    with pytest.raises(DataError, match=r"^math-ai/aime25 test\.jsonl line 1 has no column 'problem'"):
        load_source("aime25", SourceSettings())


def test_a_file_that_is_not_there_is_named(snapshot):
    write(snapshot[0] / "README.md")
    with pytest.raises(DataError, match=r"has no file 'test\.jsonl' at revision 0123.* --file test\.jsonl --out RUN`"):
        load_source("aime25", SourceSettings())


def test_without_network_the_message_says_where_to_get_the_file_and_what_to_type(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name, flags in {
        "math500": "--file test.jsonl",
        "aime24": "--file aime_2024_problems.parquet",
        "livemathbench-hard": "--file hard_en.jsonl --file hard_cn.jsonl",
        "gpqa-diamond": "--file gpqa_diamond.csv",
        "livecodebench": "--file test6.jsonl",
        "orz-math": "--file orz_math_57k_collection.json",
    }.items():
        with pytest.raises(DataError) as raised:
            load_source(name, SourceSettings())
        message = str(raised.value)
        assert "\n" not in message
        assert f"https://huggingface.co/datasets/{DATA_SETS[name].repository};" in message
        assert message.endswith(f"run `raml questions {name} {flags} --out RUN`.")


def refuse(error_type, monkeypatch):
    def info(*_, **__):
        raise error_type("refused", response=Mock(headers={}))

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", info)


def test_a_gated_data_set_says_how_to_get_in(monkeypatch):
    refuse(GatedRepoError, monkeypatch)
    with pytest.raises(DataError) as raised:
        load_source("gpqa-diamond", SourceSettings())
    message = str(raised.value)
    assert "accepted its terms: do so at https://huggingface.co/datasets/Idavidrein/gpqa" in message
    assert "`hf auth login`" in message
    assert "`raml questions gpqa-diamond --file gpqa_diamond.csv --out RUN`" in message


@pytest.mark.parametrize(
    ("error_type", "message"),
    [
        (RepositoryNotFoundError, "no data set HuggingFaceH4/MATH-500 on the Hub any more"),
        (RevisionNotFoundError, "HuggingFaceH4/MATH-500 has no revision 'v0'; choose another with --revision"),
        (HfHubHTTPError, "HuggingFaceH4/MATH-500 is not in the cache, and the Hub can't be reached"),
    ],
)
def test_each_refusal_of_the_hub_is_one_message(monkeypatch, error_type, message):
    refuse(error_type, monkeypatch)
    with pytest.raises(DataError, match=message):
        load_source("math500", SourceSettings(revision="v0"))


def test_the_commit_of_a_branch_is_what_gets_downloaded(monkeypatch, tmp_path):
    calls = []

    class Info:
        sha = COMMIT

    def download(repository, **settings):
        calls.append((repository, settings))
        write(tmp_path / COMMIT / "test.jsonl")
        return str(tmp_path / COMMIT)

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: Info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    loaded = load_source("aime25", SourceSettings(revision="main"))
    assert loaded.config["commit"] == COMMIT
    assert calls == [
        (
            "math-ai/aime25",
            {
                "repo_type": "dataset",
                "revision": COMMIT,
                "allow_patterns": ["test.jsonl"],
                "local_files_only": False,
            },
        )
    ]


def test_what_was_fetched_before_is_read_without_network(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    data = DATA_SETS["aime25"]
    write(tmp_path / "datasets--math-ai--aime25" / "snapshots" / data.revision / "test.jsonl")
    loaded = load_source("aime25", SourceSettings())
    assert loaded.questions[0].source == f"math-ai/aime25@{data.revision}"


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"pip install 'raml\[tasks\]'"):
        load_source("aime24", SourceSettings())


def test_the_catalogue_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "questions.md").read_text(encoding="utf-8")
    for data in DATA_SETS.values():
        assert f"`{data.name}`" in page
        assert data.repository in page
        assert data.revision == "main" or data.revision in page
        for wording in data.wording:
            assert wording in page
