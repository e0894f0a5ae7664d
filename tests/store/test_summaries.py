"""Summaries that stages wrote as JSON, read again."""

import json
import math
from dataclasses import dataclass

import pytest

from raml.errors import RunError
from raml.records import Estimate
from raml.store import read_summary


@dataclass(frozen=True)
class Made:
    """Estimates at several depths, as summaries have them."""

    name: str
    means: dict[str, Estimate]
    rows: tuple[Estimate, ...]
    other: float | None


def write(path, *summaries):
    path.write_text(json.dumps(summaries))
    return path


def describe(low, high):
    made = {"name": "x", "value": 1.0, "low": low, "high": high, "level": 0.95, "method": "none", "n_questions": 1}
    return {"name": "model", "means": {"x": made}, "rows": [made], "other": None, "sentence": "Not a field."}


def test_intervals_without_ends_reach_to_infinity_and_what_is_unknown_stays_so(tmp_path):
    made = read_summary(write(tmp_path / "x.json", describe(None, None)), Made)
    for one in (made.means["x"], *made.rows):
        assert (one.low, one.high) == (-math.inf, math.inf)
    assert made.other is None
    closed = read_summary(write(tmp_path / "x.json", describe(0.5, 2)), Made)
    assert (closed.rows[0].low, closed.rows[0].high) == (0.5, 2)


@pytest.mark.parametrize("n", [0, 2])
def test_a_study_reads_one_model(tmp_path, n):
    path = write(tmp_path / "x.json", *[describe(0, 1)] * n)
    with pytest.raises(RunError, match=f"summaries of {n} models"):
        read_summary(path, Made)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"name": "model"}]', '[{"name": 3, "means": {}}]'])
def test_what_is_no_summary_is_refused_by_name(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(RunError, match=r"x\.json is no such summary"):
        read_summary(path, Made)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(RunError, match=r"x\.json can't be read: No such file"):
        read_summary(tmp_path / "x.json", Made)
