"""`raml demo`: the whole path on the embedded model."""

from __future__ import annotations

from pathlib import Path

from raml.cli.compress import compress as run_compress
from raml.cli.curves import curves as run_curves
from raml.cli.evaluate import evaluate as run_evaluate
from raml.cli.influence import influence as run_influence
from raml.cli.questions import questions as run_questions
from raml.cli.report import report as run_report
from raml.cli.sample import sample as run_sample
from raml.cli.stage import say
from raml.cli.trace import trace as run_trace
from raml.records import SamplingSettings


def demo(*, out: Path = Path("raml-demo"), n_questions: int = 8, n: int = 4, seed: int = 0) -> None:
    """Go from questions to the page on a small model that comes along.

    Example: `raml demo --out raml-demo`

    Questions, trajectories, curves, estimates, page: every step of the way, in about a minute and without network.

    Parameters
    ----------
    out
        The run folder. Run again, the demo goes on where it was.
    n_questions
        Questions from the embedded world's test split.
    n
        Trajectories per question.
    seed
        Of the trajectories' random numbers.
    """
    say("1/8 questions of the embedded world")
    run_questions("tiny", out=out, limit=n_questions)
    say("\n2/8 trajectories, sampled from the embedded model")
    run_sample(
        "tiny",
        out,
        n=n,
        sampling=SamplingSettings(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=400, seed=seed),
    )
    say("\n3/8 the loss of the gold answer after every prefix of each trajectory, and the model's own answer there")
    run_trace(out, alpha=0.1, readout=True)
    say("\n4/8 how often it is right, with intervals over questions")
    run_evaluate([out])
    say("\n5/8 which tokens move the answer")
    run_influence(out)
    say("\n6/8 where right and wrong trajectories part, and where the model's own answer settles")
    run_curves(out)
    say("\n7/8 what of the reasoning can be cut")
    run_compress(out, ("cut", "early-exit", "prune"))
    say("\n8/8 the page")
    run_report(out, title="Where along its reasoning does a model make its answer?")
