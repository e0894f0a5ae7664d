"""Fig. 6: listed words beside controls and beside all tokens, by hand arithmetic."""

import math

import pytest

from raml.errors import RunError
from raml.influence import measure_influence, summarize_influences
from raml.influence.table import write_json
from raml.records import InfluenceSettings
from raml.store import Journal
from raml.studies import fig6
from raml.studies.plan import SCALES, load_setup
from raml.studies.verdict import judge

SETUP = load_setup("fig6", "tiny")


def measure(run, **settings):
    """What `raml influence` leaves behind."""
    trajectories = [t for t in run.read_trajectories() if t.mode == "think"]
    traces = [trace for trace in run.read_traces() if trace.trajectory_id in {t.id for t in trajectories}]
    by_id = {t.id: t for t in trajectories}
    made = [measure_influence(by_id[trace.trajectory_id], trace, InfluenceSettings(**settings)) for trace in traces]
    with Journal(run.influences_journal_path) as journal:
        journal.append(made)
    run.close_influences()
    summary = summarize_influences(trajectories, traces, made, n_resamples=99)
    (run.path / "influence.json").write_text(write_json([summary]))
    return summary


@pytest.fixture
def run(write_curves):
    """Steps of |ΔL̂|/L̂: a 1/2, wait 3, 3/4; b 1/4, wait 1, 1/2; without thinking one that must not count."""
    return write_curves(
        ("a", "think", True, (2, 1, 4, 1), "one wait two"),
        ("b", "think", False, (4, 3, 6, 3), "one wait two"),
        ("b", "nothink", False, (1, 900), "wait"),
    )


def test_words_are_compared_with_all_tokens_of_their_questions(run, tmp_path):
    """a: 3 − (1/2 + 3 + 3/4)/3 = 19/12; b: 1 − (1/4 + 1 + 1/2)/3 = 5/12; their mean is 1."""
    measure(run)
    made = fig6.conclude(SETUP, tmp_path).measures["paper's measure"].estimate
    assert made.value == pytest.approx(1)
    assert made.n_questions == 2


def test_the_size_is_that_beyond_a_control_of_the_same_place_and_frequency(write_curves, tmp_path):
    """Of eight tokens the first two are a quarter: wait, from 1 to 4, is beside one, from 2 to 1."""
    text = "one wait two three four five six seven"
    measure(write_curves(("a", "think", True, (2, 1, 4, 1, 1, 1, 1, 1, 1), text)))
    outcome = fig6.conclude(SETUP, tmp_path)
    expected = math.log(4.01 / 1.01) - math.log(2.01 / 1.01)
    assert outcome.measures["size"].estimate.value == pytest.approx(expected, abs=1e-6)
    assert set(outcome.figures) == {""}


def test_words_of_several_tokens_are_one_unit(write_curves, tmp_path):
    """hold on: from 1 to 4 is 3; all steps are 1/2, 1 and 1, so that 3 − (1/2 + 1 + 1)/3 = 13/6."""
    measure(write_curves(("a", "think", True, (2, 1, 2, 4), "one hold on")))
    made = fig6.conclude(SETUP, tmp_path).measures["paper's measure"].estimate
    assert made.value == pytest.approx(13 / 6)


def test_steps_from_a_loss_of_0_are_left_out(write_curves, tmp_path):
    """In a the word begins at 0, where the measure is infinite; b alone is left: 1 − (1/4 + 1 + 1/2)/3 = 5/12."""
    curves = ("a", "think", True, (2, 0, 4, 1), "one wait two"), ("b", "think", True, (4, 3, 6, 3), "one wait two")
    measure(write_curves(*curves))
    outcome = fig6.conclude(SETUP, tmp_path)
    made = outcome.measures["paper's measure"].estimate
    assert (made.value, made.n_questions) == (pytest.approx(5 / 12), 1)
    assert any("0 before 1 of 6 tokens, 1 listed words among them" in remark for remark in outcome.remarks)


def test_a_model_that_writes_none_of_the_words_decides_nothing(write_curves, tmp_path):
    measure(write_curves(("a", "think", True, (2, 1, 1), "one two")))
    outcome = fig6.conclude(SETUP, tmp_path)
    assert {one.note for one in outcome.measures.values()} == {"None of the words occurs in the trajectories."}
    assert judge(SETUP.rules, outcome.measures)[1] == "undecided"
    assert "Not written by this model: wait, retry" in " ".join(outcome.remarks)


def test_influences_that_are_gone_are_missed(run, tmp_path):
    measure(run)
    run.influences_path.unlink()
    with pytest.raises(RunError, match="no influences of the gold answer"):
        fig6.conclude(SETUP, tmp_path)


@pytest.mark.parametrize("scale", SCALES)
def test_influence_follows_the_traces(scale):
    *_, last = fig6.plan(load_setup("fig6", scale))
    assert last.words == ("influence", "probe", "--n-resamples", "9999")
    assert last.needs == ("probe/trace",)
