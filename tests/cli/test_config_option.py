"""`raml --config`: flags from a file of one's own, or from one that comes with raml."""

from pathlib import Path

import pytest

from raml.store import Run


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder that one works in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def count_questions(raml, config):
    """Make as many tiny questions as a config file says, 8 where it says nothing."""
    assert raml("--config", config, "questions", "tiny", "--out", "run")[0] == 0
    return len(Run(Path("run")).read_questions())


@pytest.mark.parametrize("name", ["tiny/sft", "tiny/sft.toml"])
def test_a_file_on_disk_comes_before_a_packaged_one(raml, elsewhere, name):
    assert count_questions(raml, name) == 8
    (elsewhere / "tiny").mkdir()
    (elsewhere / name).write_text("[questions]\nlimit = 3\n")
    assert count_questions(raml, name) == 3


@pytest.mark.parametrize("name", ["tiny/sfd", "none.toml", "paper/chatml", "configs/tiny/sft.toml", "tiny"])
def test_a_missing_config_file_is_one_line_with_what_there_is(raml, elsewhere, name):
    (elsewhere / "tiny").mkdir()
    code, out, error = raml("--config", name, "questions", "tiny", "--out", "run")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert f"Config file {name} can't be read: " in error
    assert (
        "one that comes with raml: paper/cold-start-grpo, paper/dapo, paper/dpo, paper/grpo, paper/sft, tiny/" in error
    )
    assert not (elsewhere / "run").exists()
