"""Small made-up runs: enough to draw, with values that are easy to recognise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import pytest

from raml.records import (
    FileEntry,
    Manifest,
    ModelIdentity,
    Question,
    Readout,
    ReadoutSettings,
    StageManifest,
    Trace,
    TraceSettings,
    Trajectory,
)
from raml.report import build_report

MODEL = ModelIdentity(name="tiny", revision=None, weights_sha256="ab" * 32, dtype="float32", device="cpu")


@dataclass(frozen=True)
class Run:
    questions: tuple[Question, ...]
    trajectories: tuple[Trajectory, ...]
    traces: tuple[Trace, ...]
    manifest: Manifest
    readouts: tuple[Readout, ...] = ()

    @property
    def records(self):
        """The arguments of `build_report`, but for the readouts."""
        return self.questions, self.trajectories, self.traces, self.manifest

    def but(self, **changes):
        return replace(self, **changes)


def make_trajectory(identity, question_id, pieces, reasoning_len, **others):
    return Trajectory(
        id=identity,
        question_id=question_id,
        repeat=int(identity[-1]) if identity[-1].isdigit() else 0,
        model=MODEL,
        mode="think",
        prompt_ids=(1, 2),
        token_ids=tuple(range(len(pieces))),
        reasoning_len=reasoning_len,
        text="".join(pieces),
        token_ends=tuple(accumulate(len(piece) for piece in pieces)),
        **others,
    )


def make_trace(trajectory_id, mean_nll, prefix_lens=None):
    """A trace whose answer has two tokens, a half below and a half above the mean."""
    mean = np.asarray(mean_nll, dtype=np.float64)
    lens = np.arange(mean.size) if prefix_lens is None else prefix_lens
    return Trace(
        id=f"trace-{trajectory_id}",
        trajectory_id=trajectory_id,
        model=MODEL,
        settings=TraceSettings(),
        scorer="one-pass",
        bridge_ids=(5,),
        answer_ids=(6, 7),
        prefix_lens=np.asarray(lens, dtype=np.int32),
        nll=np.stack([mean * 0.5, mean * 1.5], axis=1).astype(np.float32),
    )


def make_readout(trajectory_id, answers, gold, prefix_lens=None):
    """A readout whose answers are right where they are the gold text; each is a little surer than the one before."""
    n = len(answers)
    return Readout(
        id=f"readout-{trajectory_id}",
        trajectory_id=trajectory_id,
        model=MODEL,
        settings=ReadoutSettings(),
        scorer="one-pass",
        bridge_ids=(5,),
        prefix_lens=np.asarray(np.arange(n) if prefix_lens is None else prefix_lens, dtype=np.int32),
        token_ids=((6,),) * n,
        answers=tuple(answers),
        correct=tuple(answer == gold for answer in answers),
        mean_logprob=np.log(np.linspace(0.25, 0.75, n)).astype(np.float32),
        margin=np.linspace(0.5, 2, n).astype(np.float32),
    )


def make_run():
    """Two questions; of the first a right, a wrong and an untraced undecided trajectory, of the second a right one."""
    questions = (
        Question(id="q-sum", prompt="What is 2 + 3?", answer="5", domain="arithmetic", source="made up"),
        Question(id="q-product", prompt="What is 2 × 4?\nShow each step.", answer="8", domain="arithmetic"),
    )
    thought = ("Two", " and", " three", " make", " five", ".", "\n\n", "Done", " \\boxed{5}")
    trajectories = (
        make_trajectory("sum-0", "q-sum", thought, 7, answer="5", correct=True, finish="stop"),
        make_trajectory("sum-1", "q-sum", thought[:6], 6, answer="6", correct=False, finish="length"),
        make_trajectory("sum-2", "q-sum", thought[:3], 3, error="The comparison of 5 and V took over 5 s."),
        make_trajectory("product-0", "q-product", ("Eight", "."), 2, answer="8", correct=True, finish="stop"),
    )
    traces = (
        make_trace("sum-0", [3.0, 2.75, 2.5, 2.0, 1.0, 0.25, 0.5, 0.125]),
        make_trace("sum-1", [3.0, 3.0, 3.25, 3.0, 3.5, 3.75, 4.0]),
        make_trace("product-0", [2.0, 0.5, 0.25]),
    )
    stage = StageManifest(
        stage="trace",
        command=("raml", "trace", "run"),
        config={"target": "gold", "ratio": float("nan")},
        seed=7,
        model=MODEL,
        git_commit=None,
        versions={"raml": "0.1.0"},
        inputs=(FileEntry("trajectories.jsonl", "cd" * 32, 4),),
        outputs=(FileEntry("traces.parquet", "ef" * 32, 3),),
        n_units=3,
        n_new=3,
        n_errors=1,
        wall_s=1.5,
    )
    return Run(questions, trajectories, traces, Manifest((stage,)))


HOSTILE_PIECES = (
    "</script><img src=x onerror=\"window.hacked=1;alert('hi')\">",
    "<!--",
    "<script>window.hacked=1</script>",
    '<a href="javascript:window.hacked=1">x</a>',
    "abc\u202edcba\u2066",
    "\x1b[31mred\x1b[0m",
    "nul\x00nul",
    "\ud83d",
    "half\udc00",
    "a\u2028b\u2029c",
    "x" * 100_000,
    "",
    "\n",
    "\r\n\t",
    "&lt;b&gt; {{ 7 * 7 }} ${window.hacked=1}",
)


def make_hostile_run():
    """A run in which every text field holds what an attacker or a broken model might put there."""
    run = make_run()
    poison = "".join(HOSTILE_PIECES[:7])
    question = Question(id=poison, prompt=poison, answer=poison, domain=poison, source=poison)
    model = replace(MODEL, name=poison, revision=poison)
    trajectory = replace(
        make_trajectory(poison + "0", poison, HOSTILE_PIECES, 15, answer=poison, correct=True, error=poison),
        model=model,
    )
    stage = replace(
        run.manifest.stages[-1],
        stage=poison,
        command=(poison,),
        config={poison: poison},
        versions={poison: poison},
        model=model,
        inputs=(FileEntry(poison, poison, 1),),
    )
    trace = replace(make_trace(trajectory.id, np.linspace(3, 1, 16)), model=model)
    answers = [*HOSTILE_PIECES, poison]
    readout = replace(make_readout(trajectory.id, answers, poison), model=model)
    return Run((question,), (trajectory,), (trace,), Manifest((replace(stage, stage=poison),)), (readout,))


def make_read_run():
    """The same run with the model's own answers along the right and the wrong trajectory of its first question."""
    right = make_readout("sum-0", ["3", "3", "5", None, "5", "5", "5", "5"], "5")
    wrong = make_readout("sum-1", ["5", "6", "6"], "5", [0, 3, 6])
    return make_run().but(readouts=(right, wrong))


@pytest.fixture
def read_run():
    return make_read_run()


@pytest.fixture
def run():
    return make_run()


@pytest.fixture
def hostile_run():
    return make_hostile_run()


@pytest.fixture
def large_run():
    """One question with 32 trajectories of 2,000 tokens."""
    run = make_run()
    rng = np.random.default_rng(0)
    pieces = tuple(f" word{i}" for i in range(2000))
    trajectories = [make_trajectory(f"large-{n}", "q-sum", pieces, 2000, correct=n % 2 == 0) for n in range(32)]
    traces = [make_trace(t.id, np.linspace(4, 0.5, 2001) + rng.random(2001)) for t in trajectories]
    return Run(run.questions[:1], tuple(trajectories), tuple(traces), run.manifest)


@pytest.fixture
def retrace():
    """Build a trace: retrace(trajectory_id, mean_nll, prefix_lens)."""
    return make_trace


@pytest.fixture(scope="module")
def browser():
    """A browser for the tests of one file: while it runs, so does an event loop."""
    from playwright.sync_api import sync_playwright

    from tests.report.browsing import ARGUMENTS, CHROMIUM

    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield instance
        instance.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a run's page: visit(run, fragment="#…", width=…, color_scheme=…)."""
    from tests.report.browsing import Visit

    contexts = []

    def open_page(run, *, fragment="", views=(), width=1400, height=900, color_scheme="light", has_touch=False):
        file = tmp_path / "report.html"
        file.write_text(build_report(*run.records, readouts=run.readouts, views=views), encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=color_scheme, has_touch=has_touch
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        opened = Visit(page, file.as_uri())
        page.on("request", lambda request: opened.requests.append(request.url))
        page.on("pageerror", lambda error: opened.problems.append(str(error)))
        page.on("dialog", lambda dialog: (opened.problems.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda message: message.type == "error" and opened.problems.append(message.text))
        page.goto(opened.address + fragment)
        page.locator("#trajectories button").first.wait_for(state="attached")
        return opened

    yield open_page
    for context in contexts:
        context.close()
