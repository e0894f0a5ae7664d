from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from raml.errors import DataError, NumericsError
from raml.records import Manifest, TraceSettings
from raml.report import build_report
from raml.report.overview import summarize_run
from raml.report.payload import find_change_scale

ELEMENT = re.compile(r"<(script|style)([^>]*)>(.*?)</\1>", re.DOTALL)


def read_elements(html):
    """The page's inline scripts, styles and data by kind."""
    kinds = {"style": [], "script": [], "data": []}
    for name, attributes, text in ELEMENT.findall(html):
        kinds["data" if "application/json" in attributes else name].append(text)
    return kinds


def read_payload(html):
    (text,) = read_elements(html)["data"]
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def decode(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype=dtype)


# Names of kinds of elements, which nothing is fetched from.
NAMESPACES = re.compile(r"http://www\.w3\.org/(?:1999/xhtml|1999/xlink|2000/svg|2000/xmlns/|XML/1998/namespace)")


def test_page_names_no_address_outside_its_data_and_the_licence_line_of_d3(run):
    html = build_report(*run.records)
    (data,) = read_elements(html)["data"]
    assert "// https://d3js.org v7.9.2 Copyright" in html
    rest = NAMESPACES.sub("", html.replace(data, "").replace("// https://d3js.org v7.9.2 Copyright", ""))
    assert not re.findall(r"https?://|//[a-z]+\.[a-z]|@import|url\(", rest)


def test_page_loads_nothing_by_element(run):
    html = build_report(*run.records)
    assert re.findall(r'\s(?:src|href|action)="([^"]*)"', ELEMENT.sub("", html)) == [
        "data:,",
        "#main",
        "#v=explorer",
        "#v=overview",
        "#v=manifest",
    ]


def test_content_policy_allows_exactly_the_inline_scripts_and_styles(run):
    html = build_report(*run.records)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.replace("&#39;", "'").split("; ")}
    elements = read_elements(html)
    for kind in ("script", "style"):
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in elements[kind]]
        assert rules[f"{kind}-src"] == [f"'sha256-{digest}'" for digest in digests]
    assert (len(elements["script"]), len(elements["style"])) == (2, 1)
    assert rules["default-src"] == ["'none'"]
    assert "'unsafe-inline'" not in policy


def test_same_records_give_the_same_bytes(read_run):
    first, second = (build_report(*read_run.records, readouts=read_run.readouts) for _ in range(2))
    assert first == second


def test_nll_and_prefix_lengths_in_the_page_equal_the_traces(run):
    payload = read_payload(build_report(*run.records))
    shown = {t["id"]: t["trace"] for t in payload["trajectories"]}
    for trace in run.traces:
        in_page = shown[trace.trajectory_id]
        np.testing.assert_array_equal(decode(in_page["mean_nll"], "<f4"), trace.mean_nll.astype(np.float32))
        np.testing.assert_array_equal(decode(in_page["prefix_lens"], "<i4"), trace.prefix_lens)
        assert in_page["scorer"] == trace.scorer


def test_text_fields_in_the_page_equal_the_records(run):
    payload = read_payload(build_report(*run.records, title="My run"))
    assert payload["title"] == "My run"
    assert [(q["id"], q["prompt"], q["answer"]) for q in payload["questions"]] == [
        (q.id, q.prompt, q.answer) for q in run.questions
    ]
    for in_page, trajectory in zip(payload["trajectories"], run.trajectories, strict=True):
        assert tuple(in_page["pieces"]) == trajectory.pieces
        for name in ("id", "question_id", "repeat", "answer", "correct", "error", "finish", "reasoning_len"):
            assert in_page[name] == getattr(trajectory, name)
    assert payload["manifest"]["stages"][-1]["outputs"][0]["sha256"] == "ef" * 32


def test_nan_in_a_config_becomes_null(run):
    payload = read_payload(build_report(*run.records))
    assert payload["manifest"]["stages"][-1]["config"] == {"target": "gold", "ratio": None}


def test_trajectory_without_trace_is_in_the_page_with_its_error(run):
    payload = read_payload(build_report(*run.records))
    untraced = payload["trajectories"][2]
    assert untraced["trace"] is None
    assert untraced["error"] == "The comparison of 5 and V took over 5 s."


def test_hostile_text_can_end_no_element_and_start_no_tag(hostile_run):
    title = hostile_run.questions[0].prompt + "{{ 7 * 7 }}"
    html = build_report(*hostile_run.records, readouts=hostile_run.readouts, title=title)
    (data,) = read_elements(html)["data"]
    assert not re.search(r"[<>&\u2028\u2029\x00-\x1f]", data)
    assert "<img" not in html
    assert "\x00" not in html
    assert html.encode("utf-8").decode("utf-8") == html
    assert "{{ 7 * 7 }}" in re.findall(r"<title>(.*?)</title>", html)[0]


def test_hostile_text_comes_back_unchanged_but_for_lone_surrogates(hostile_run):
    payload = read_payload(build_report(*hostile_run.records))
    pieces = hostile_run.trajectories[0].pieces
    expected = [re.sub("[\ud800-\udfff]", "\ufffd", piece) for piece in pieces]
    assert payload["trajectories"][0]["pieces"] == expected
    assert expected != list(pieces)


def test_run_without_questions_is_refused(run):
    with pytest.raises(DataError, match=r"no questions.*raml questions"):
        build_report((), (), (), run.manifest)


def test_run_without_trajectories_is_refused(run):
    with pytest.raises(DataError, match=r"2 questions and no trajectories.*raml sample"):
        build_report(run.questions, (), (), run.manifest)


def test_trajectory_of_an_unknown_question_is_refused(run):
    with pytest.raises(DataError, match="product-0 answers question q-product"):
        build_report(run.questions[:1], run.trajectories, run.traces, run.manifest)


def test_trace_of_an_unknown_trajectory_is_refused(run):
    with pytest.raises(DataError, match="trace-product-0 belongs to trajectory product-0"):
        build_report(run.questions, run.trajectories[:3], run.traces, run.manifest)


@pytest.mark.parametrize("kind", ["questions", "trajectories"])
def test_repeated_id_is_refused(run, kind):
    records = getattr(run, kind)
    with pytest.raises(DataError, match="is there twice"):
        build_report(*run.but(**{kind: (*records, records[0])}).records)


def test_second_trace_of_a_trajectory_is_refused(run):
    with pytest.raises(DataError, match="sum-0 has more than one trace"):
        build_report(*run.but(traces=(*run.traces, replace(run.traces[0], id="again"))).records)


def test_traces_of_different_settings_are_refused(run):
    other = replace(run.traces[1], settings=TraceSettings(target="own"))
    with pytest.raises(DataError, match="trace-sum-0 and trace-sum-1 were made with different settings"):
        build_report(*run.but(traces=(run.traces[0], other)).records)


@pytest.mark.parametrize(
    ("n_values", "lens"), [(3, [0, 2, 1]), (3, [0, 5, 10]), (3, [1, 2, 3]), (3, [0, 1]), (0, [])], ids=str
)
def test_prefixes_that_do_not_fit_the_trajectory_are_refused(run, retrace, n_values, lens):
    trace = retrace("sum-0", np.ones(n_values), lens)
    with pytest.raises(DataError, match="trace-sum-0 does not fit trajectory sum-0 of 9 tokens"):
        build_report(*run.but(traces=(trace,)).records)


@pytest.mark.parametrize("ends", [(), (3, 7, 13, 18, 23, 24, 26, 30, 41), (3, 2, 13, 18, 23, 24, 26, 30, 40)])
def test_token_ends_that_do_not_fit_the_text_are_refused(run, ends):
    assert len(run.trajectories[0].text) == 40
    broken = replace(run.trajectories[0], token_ends=ends)
    with pytest.raises(DataError, match="sum-0 has 9 tokens and 40 characters"):
        build_report(*run.but(trajectories=(broken, *run.trajectories[1:])).records)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_loss_that_is_not_finite_is_refused(run, retrace, value):
    with pytest.raises(NumericsError, match="trace-sum-0 of trajectory sum-0"):
        build_report(*run.but(traces=(retrace("sum-0", [1.0, value]),)).records)


def test_empty_title_is_refused(run):
    with pytest.raises(DataError, match="title is empty"):
        build_report(*run.records, title=" ")


def test_overview_counts_what_its_definitions_say(run):
    figures = {f.key: f for f in summarize_run(run.questions, run.trajectories, run.traces)}
    # Right: sum-0 and product-0 of three decided. Both fell; the wrong one rose from 3 to 4.
    # Starts of the right ones 3 and 2, ends 0.125 and 0.25.
    values = {key: figure.value for key, figure in figures.items()}
    assert values == {
        "n_questions": 2,
        "n_trajectories": 4,
        "share_right": pytest.approx(2 / 3),
        "share_right_fallen": 1.0,
        "share_wrong_fallen": 0.0,
        "mean_end_right": pytest.approx(0.1875),
        "mean_end_wrong": 4.0,
    }
    assert figures["n_trajectories"].detail == "3 traced, 1 with an error"
    assert figures["mean_end_right"].detail == "from 2.50 nats"
    assert figures["share_right"].detail == "2 of 3, 1 undecided"
    assert all(figure.definition for figure in figures.values())


def test_overview_tells_wrong_answers_from_missing_and_unreadable_ones(run):
    verdicts = ("no answer", "unparsed", "timed out", "wrong")
    trajectories = [
        replace(t, correct=False, verdict=v, answer=None) for t, v in zip(run.trajectories, verdicts, strict=True)
    ]
    figures = {f.key: f for f in summarize_run(run.questions, trajectories, [])}
    assert figures["share_right"].detail == "0 of 4, 1 no answer, 1 unparsed, 1 timed out"


def test_overview_of_an_untraced_undecided_run_is_unknown_not_zero(run):
    figures = summarize_run(run.questions, run.trajectories[2:3], ())
    assert [f.value for f in figures] == [2, 1, None, None, None, None, None]
    html = build_report(run.questions, run.trajectories[2:3], (), Manifest({}))
    assert read_payload(html)["overview"][2]["value"] is None


def test_colour_scale_is_the_95th_percentile_of_change_a_token(retrace):
    # Changes: 19 of size 0.5, one of −1 a token (3 tokens in one step). Sorted places 0…19; 0.95 · 19 = 18.05.
    values = [*(np.arange(20) % 2 * 0.5), -2.5]
    trace = retrace("any", values, [*range(20), 22])
    assert find_change_scale([trace]) == pytest.approx(0.5 + 0.05 * 0.5)
    assert find_change_scale([]) == 0.0


def test_a_withheld_question_leaves_no_word_of_it_in_the_page(run):
    first = run.questions[0]
    secret = {"text": "SECRET-TEXT more", "token_ids": (1, 2), "token_ends": (12, 16), "reasoning_len": 2}
    secret |= {"answer": "SECRET-OWN", "error": "SECRET-ERROR"}
    questions = (replace(first, prompt="SECRET-PROMPT", answer="SECRET-ANSWER", redacted=True), *run.questions[1:])
    trajectories = [replace(t, **secret) if t.question_id == first.id else t for t in run.trajectories]
    withheld = {t.id for t in trajectories if t.question_id == first.id}
    html = build_report(
        questions, trajectories, [t for t in run.traces if t.trajectory_id not in withheld], run.manifest
    )
    assert "SECRET" not in html
    payload = read_payload(html)
    assert f"Question {first.id}: text withheld" in payload["questions"][0]["prompt"]
    assert [len(t["pieces"]) for t in payload["trajectories"] if t["id"] in withheld] == [2] * len(withheld)
    assert withheld
