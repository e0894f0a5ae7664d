"""Small made-up runs: enough to draw, with values that are easy to recognise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import pytest

from raml.records import FileEntry, Manifest, ModelIdentity, Question, StageManifest, Trace, TraceSettings, Trajectory

MODEL = ModelIdentity(name="tiny", revision=None, weights_sha256="ab" * 32, dtype="float32", device="cpu")


@dataclass(frozen=True)
class Run:
    questions: tuple[Question, ...]
    trajectories: tuple[Trajectory, ...]
    traces: tuple[Trace, ...]
    manifest: Manifest

    @property
    def records(self):
        """The arguments of `build_report`."""
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
    return Run((question,), (trajectory,), (trace,), Manifest((replace(stage, stage=poison),)))


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
