"""`raml update` as a user runs it."""

import json

import pytest

from raml.store import Run
from tests.cli.test_resume import count_lines, kill_when, start

N = ("--n-prefixes", "9", "--n-others", "2", "--threads", "1")
RECORDS = ("questions.jsonl", "trajectories.jsonl", "manifest.json")


def copy_run(source, target):
    target.mkdir()
    for name in RECORDS:
        (target / name).write_bytes((source / name).read_bytes())
    return target


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    from raml.cli import run

    folder = tmp_path_factory.mktemp("update") / "run"
    assert run(["questions", "tiny", "--limit", "4", "--out", str(folder)]) == 0
    assert run(["sample", "oracle", str(folder), "--n", "2"]) == 0
    return folder


@pytest.fixture
def folder(sampled, tmp_path):
    return copy_run(sampled, tmp_path / "run")


def test_paths_certificates_figure_and_adapter(raml, folder, tmp_path):
    code, out, err = raml("update", folder, "--model", "tiny", "--adapter", tmp_path / "a", *N)
    assert (code, err) == (0, "")
    updates = Run(folder).read_updates()
    assert len(updates) == 8
    assert "Wrote 8 updates (0 were there)" in out
    assert "logit gap at most" in out
    assert (folder / "figures" / "updates.png").stat().st_size > 10_000
    certificate = json.loads((tmp_path / "a" / "certificate.json").read_text())
    assert certificate["largest_logit_difference"] < 1e-3
    assert certificate["trajectory_id"] == Run(folder).read_trajectories()[0].id
    stage = Run(folder).read_manifest().find_last("update")
    assert (stage.n_units, stage.n_new, stage.n_errors) == (8, 8, 0)
    assert {entry.path for entry in stage.outputs} >= {"updates.parquet", "figures/updates.svg"}
    for update in updates:
        n_prefixes, n_layers = len(update.prefix_lens), len(update.weight_norm)
        assert update.residual.shape == update.norm.shape == update.condition.shape == (n_prefixes, n_layers)
        assert update.gram.shape == (n_prefixes, n_prefixes)
        assert update.gram.dtype == "float64"
        assert len(update.other_ids) == len(update.other_change) == 2
    code, out, _ = raml("update", folder, "--model", "tiny", *N)
    assert "Wrote 0 updates (8 were there)" in out
    assert max(len(line) for line in out.splitlines() if "/" not in line) <= 80


def test_a_limit_asks_for_no_other_records(raml, folder):
    raml("update", folder, "--model", "tiny", *N)
    _, out, _ = raml("update", folder, "--model", "tiny", "--limit", "3", *N)
    assert "Wrote 0 updates (3 were there)" in out
    assert len(Run(folder).read_updates()) == 8


def test_what_can_t_be_followed_or_asked_is_left_out_and_the_rest_goes_on(raml, folder):
    """One trajectory without reasoning, one whose ids another tokenizer made, one question without an answer."""
    lines = [json.loads(line) for line in (folder / "trajectories.jsonl").read_text().splitlines()]
    lines[0]["reasoning_len"] = 0
    lines[2]["prompt_ids"] = [99_999, *lines[2]["prompt_ids"]]
    (folder / "trajectories.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    questions = [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
    questions[3]["answer"] = " "
    (folder / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in questions))
    code, out, err = raml("update", folder, "--model", "tiny", *N)
    assert (code, err) == (0, "")
    assert out.count("Left out") == 3
    updates = Run(folder).read_updates()
    assert len(updates) == 5
    assert not any(questions[3]["id"] in update.other_ids for update in updates)
    assert (folder / "figures" / "updates.png").exists()


def test_two_writers_are_told_apart(raml, folder):
    raml("sample", "tiny-base", folder, "--n", "1", "--max-new-tokens", "60", "--threads", "1")
    raml("sample", "tiny", folder, "--n", "1", "--max-new-tokens", "60", "--threads", "1")
    kept = [json.loads(line) for line in (folder / "trajectories.jsonl").read_text().splitlines()]
    kept = [line for line in kept if line["model"]["name"] in ("tiny", "tiny-base")]
    (folder / "trajectories.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    code, out, _ = raml("update", folder, *N)
    assert code == 0
    assert {"tiny", "tiny-base"} <= set(out.splitlines())
    assert (folder / "figures" / "updates-2.png").exists()
    assert len({update.model.key() for update in Run(folder).read_updates()}) == 2


def test_one_trajectory_can_be_chosen_by_how_its_id_begins(raml, folder, tmp_path):
    chosen = Run(folder).read_trajectories()[3].id
    adapter = ("--trajectory", chosen[:10], "--adapter", tmp_path / "a")
    code, out, _ = raml("update", folder, "--model", "tiny", *adapter, *N)
    assert code == 0
    assert [update.trajectory_id for update in Run(folder).read_updates()] == [chosen]
    assert f"stands for trajectory {chosen}" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--trajectory", "zzz"), "No trajectory has an id that begins with 'zzz'"),
        (("--trajectory", ""), "No trajectory has an id that begins with ''"),
        (("--n-prefixes", "1"), "--n-prefixes is 1; it must be at least 2"),
        (("--n-others", "-1"), "--n-others is -1; it must be at least 0"),
        (("--limit", "0"), "--limit is 0"),
        (("--memory", "soup"), "no size in bytes"),
    ],
)
def test_what_makes_no_sense_is_one_line(raml, folder, arguments, message):
    code, out, err = raml("update", folder, "--model", "tiny", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not (folder / "updates.parquet").exists()


def test_a_full_folder_is_no_place_for_an_adapter(raml, folder, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "photo.jpg").write_bytes(b"x")
    code, _, err = raml("update", folder, "--model", "tiny", "--limit", "1", "--adapter", tmp_path / "a", *N)
    assert code == 2
    assert "no adapter" in err
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["photo.jpg"]


def test_killed_and_run_again_it_ends_with_the_same_records(raml, folder, sampled, tmp_path):
    reference = copy_run(sampled, tmp_path / "reference")
    raml("update", reference, "--model", "tiny", *N)
    journal = folder / "updates.journal.jsonl"
    n_kills, kept = 0, 0
    for n_lines in (1, 4):
        n_kills += kill_when(start("update", folder, "--model", "tiny", *N), journal, n_lines, 0.0)
        assert count_lines(journal) >= kept, "a finished record was lost"
        kept = count_lines(journal)
    assert n_kills > 0, "the stage was always faster than the kill"
    assert raml("update", folder, "--model", "tiny", *N)[0] == 0
    assert (folder / "updates.parquet").read_bytes() == (reference / "updates.parquet").read_bytes()
