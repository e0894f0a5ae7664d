"""`raml report`: which readouts the page shows, and what is said where they are missing."""

from dataclasses import replace

import pytest

from raml.cli.report import choose_readouts
from raml.store import Journal, Run
from tests.report.conftest import make_read_run, make_readout, make_trace

PLACES = [0, 1, 2, 3]


def make_pair(prefix_lens, **changes):
    readout = make_readout("t", ["5"] * len(prefix_lens), "5", prefix_lens)
    return replace(readout, id=f"{prefix_lens} {list(changes)}", **changes)


@pytest.fixture
def trace():
    return make_trace("t", [3, 2, 1, 0.5], PLACES)


def test_the_readout_at_the_traces_places_is_chosen_wherever_it_is_listed(trace):
    fitting, coarse = make_pair(PLACES), make_pair([0, 3])
    assert choose_readouts([trace], [fitting, coarse]) == [fitting]
    assert choose_readouts([trace], [coarse, fitting]) == [fitting]


def test_of_two_that_fit_alike_the_last_listed_is_chosen(trace):
    first, second = make_pair([0, 3]), make_pair([0, 2])
    assert choose_readouts([trace], [first, second]) == [second]


def test_the_traces_bridge_decides_between_the_same_places(trace):
    same, other = make_pair(PLACES), make_pair(PLACES, bridge_ids=(9, 9))
    assert choose_readouts([trace], [same, other]) == [same]
    assert choose_readouts([trace], [make_pair([0, 3]), other]) == [other]


def test_answers_of_another_model_or_without_a_curve_are_never_chosen(trace):
    readout = make_pair(PLACES)
    foreign = replace(readout, model=replace(readout.model, weights_sha256="cd" * 32))
    renamed = replace(readout, model=replace(readout.model, name="another name"))
    assert choose_readouts([trace], [foreign]) == []
    assert choose_readouts([], [readout]) == []
    assert choose_readouts([trace], [renamed]) == [renamed]


@pytest.fixture
def folder(tmp_path):
    """A run on disk with three curves and no readouts."""
    run, made = Run(tmp_path / "run"), make_read_run()
    for path, records in (
        (run.questions_path, made.questions),
        (run.trajectories_path, made.trajectories),
        (run.traces_journal_path, made.traces),
    ):
        with Journal(path) as journal:
            journal.append(list(records))
    return run


def test_the_command_says_how_to_get_the_answers_and_then_shows_them(raml, folder):
    def make_page():
        code, out, _ = raml("report", folder.path)
        assert code == 0
        return out, folder.report_path.read_bytes()

    out, page = make_page()
    command = f"`raml trace {folder.path} --readout`"
    assert f"Of 3 curves, 3 are without the model's own answers along them. {command} reads those." in out
    assert b'"median_overthinking"' not in page
    with Journal(folder.readouts_journal_path) as journal:
        journal.append(
            [*make_read_run().readouts, make_readout("sum-0", ["9"], "5"), make_readout("sum-2", ["9"], "5")]
        )
    out, page = make_page()
    assert "Of 3 curves, 1 are without" in out
    assert "one readout a trace, by the same model; 2 others are left out" in out
    assert b'"median_overthinking"' in page
    assert make_page()[1] == page
    with Journal(folder.readouts_journal_path) as journal:
        journal.append([make_readout("product-0", ["8", "8", "8"], "8")])
    assert "without the model's own answers" not in make_page()[0]
