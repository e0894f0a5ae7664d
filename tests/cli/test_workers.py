"""Command lines that share their work among workers."""

import shutil

import pytest

from tests.scale.test_stages import hash_records


def test_two_processes_trace_the_same_bytes_as_one(raml, tmp_path):
    alone, two = tmp_path / "alone", tmp_path / "two"
    raml("questions", "tiny", "--limit", "2", "--out", alone)
    raml("sample", "tiny", alone, "--n", "2", "--max-new-tokens", "60")
    shutil.copytree(alone, two)
    assert raml("trace", alone)[0] == 0
    code, out, _ = raml("trace", two, "--workers", "2")
    assert code == 0
    assert "Wrote 4 traces" in out
    assert len(hash_records(two)) == 2
    assert hash_records(two) == hash_records(alone)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("trace", "RUN", "--workers", "0"), "--workers is 0; it must be at least 1"),
        (("trace", "RUN", "--workers", "2", "--device", "all"), "--device all spreads one model over all devices"),
        (("update", "RUN", "--ray", "nowhere"), "must be auto or HOST:PORT"),
        (("sample", "tiny", "RUN", "--engine", "http://localhost:1/v1", "--workers", "2"), "--workers and --ray share"),
    ],
)
def test_workers_that_can_not_be_had_are_refused_before_anything_is_made(raml, tmp_path, words, message):
    run = tmp_path / "run"
    raml("questions", "tiny", "--limit", "1", "--out", run)
    if words[0] != "sample":
        raml("sample", "oracle", run, "--n", "1")
    before = sorted(path.name for path in run.iterdir())
    code, _, err = raml(*(run if word == "RUN" else word for word in words))
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in run.iterdir()) == before


@pytest.mark.parametrize(("flags", "told"), [((), 0), (("--workers", "1"), 0), (("--workers", "2"), 1)])
def test_a_plan_says_that_it_is_for_one_of_several_workers(raml, tmp_path, flags, told):
    run = tmp_path / "run"
    raml("questions", "tiny", "--limit", "1", "--out", run)
    code, out, _ = raml("sample", "tiny", run, "--n", "1", "--max-new-tokens", "8", *flags, "--plan")
    assert code == 0
    assert out.count("This is for one worker;") == told


STAGES = ("sample tiny", "trace", "update", "align", "adapt", "landscape", "faithfulness", "evaluate")


@pytest.mark.parametrize("stage", STAGES)
def test_a_plan_refuses_workers_as_its_command_does(raml, tmp_path, stage):
    run = tmp_path / "run"
    raml("questions", "tiny", "--limit", "1", "--out", run)
    raml("sample", "oracle", run, "--n", "1")
    code, _, err = raml(*stage.split(), run, "--workers", "0", "--plan")
    assert code == 2
    assert "--workers is 0; it must be at least 1" in err
