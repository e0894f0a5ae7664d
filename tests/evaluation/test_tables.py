import csv
import io
import json

import msgspec
import pytest

from raml.evaluation import (
    choose_metrics,
    collect_cells,
    evaluate,
    list_comparisons,
    list_scores,
    list_verdicts,
    write_csv,
    write_json,
    write_markdown,
)
from raml.records import Evaluation


@pytest.fixture
def result(make_run):
    runs = [make_run("1100", "110?", "1111"), make_run("1111", "1111", "0111", model="b|<i>", weights="bb")]
    cells = collect_cells(runs)
    return evaluate(cells, choose_metrics(cells, ks=(2,)), n_resamples=99)


def test_a_score_shows_percent_with_its_interval(result):
    headings, rows = list_scores(result)
    assert headings == ["benchmark", "model", "questions", "n", "Pass@1", "Pass@2", "mG-Pass@2"]
    value = result.scores[0].estimates[0]
    assert rows[0][:4] == ["bench", "a", "3", "3–4"]
    assert rows[0][4] == f"72.2 [{100 * value.low:.1f}, {100 * value.high:.1f}]"  # (1/2 + 2/3 + 1)/3


def test_wrong_answers_parsing_and_time_outs_are_counts_of_their_own(result):
    headings, rows = list_verdicts(result)
    assert headings[2:] == [
        "right", "wrong", "no answer", "unparsed", "timed out", "undecided", "cut off", "tokens",
    ]  # fmt: skip
    assert rows[0] == ["bench", "a", "8", "3", "0", "0", "0", "1", "0", "3"]


def test_a_difference_shows_its_sign_and_both_p_values(result):
    headings, rows = list_comparisons(result)
    assert headings[-3:] == ["difference", "p", "p (Holm)"]
    assert rows[0][:5] == ["bench", "b|<i>", "a", "3", "Pass@1"]
    assert rows[0][5].startswith("+19.4 [")  # (1/2 + 1/3 - 1/4)/3
    assert 0 < float(rows[0][6]) <= float(rows[0][7]) <= 1


def test_markdown_has_a_row_a_line_and_lets_no_label_out_of_its_cell(result):
    text = write_markdown(result)
    rows = [line for line in text.splitlines() if line.startswith("| bench |")]
    assert len(rows) == 2 + 2 + 3
    assert "b\\|&lt;i>" in text
    assert "<i>" not in text
    assert "* Percent; in brackets 95 % intervals" in text


def test_csv_has_a_row_an_estimate_and_loses_no_digit(result):
    rows = list(csv.DictReader(io.StringIO(write_csv(result))))
    assert len(rows) == 2 * 3 + 3
    assert float(rows[0]["value"]) == result.scores[0].estimates[0].value
    assert (rows[0]["right"], rows[0]["undecided"], rows[0]["timed_out"]) == ("8", "1", "0")
    assert rows[-1]["baseline"] == "a"
    assert float(rows[-1]["p_holm"]) == result.comparisons[-1].p_holm


def test_json_is_the_record_and_reads_back(result):
    assert msgspec.json.decode(write_json(result).encode(), type=Evaluation) == result
    assert json.loads(write_json(result))["undecided"] == "leave-out"
