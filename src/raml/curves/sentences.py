"""What curves say in plain words. The rules were fixed before anything was measured."""

from __future__ import annotations

import math

from raml.curves.descent import ModeComparison
from raml.curves.estimates import Contrast
from raml.curves.groups import MODE_NAMES
from raml.curves.parting import PartingSummary
from raml.curves.recognition import Recognition
from raml.curves.settling import SettlingRow
from raml.curves.summary import CurveSummary
from raml.records import Estimate
from raml.stats import SIGNIFICANT, write_relation


def write_sentences(summary: CurveSummary) -> list[str]:
    """One sentence for each analysis that was made."""
    lines = [] if summary.modes is None else [judge_modes(summary.modes, f"{100 * summary.settings.share:g} %")]
    lines += [judge_parting(made) for made in summary.parting if made.n_wrong]
    lines += [judge_recognition(made) for made in summary.recognition if made.rows]
    return lines + [judge_settling(row) for row in summary.settling if row.group == "all"]


def judge_modes(modes: ModeComparison, most: str) -> str:
    """Say whether no-thinking converges faster and ends higher, each at 5 % after Holm's correction."""
    by_name = {made.measure: made for made in modes.contrasts}
    speed, end = by_name.get(f"tokens to {most} of the fall"), by_name["L̂ at the end"]
    text = f"Thinking ends {_judge(end, 'lower', 'higher')} than no-thinking (L̂: {_tell(end)})"
    if speed is None:
        text += "; no question has a falling curve of both modes, so their speed can't be compared"
    else:
        text += f"; no-thinking takes {_judge(speed, 'more', 'fewer')} tokens to {most} of its fall ({_tell(speed)})"
    above = f"in {write_share(modes.above)} of the pairs a no-thinking trajectory ends above a thinking one"
    return f"{text}; {above} of its question."


def judge_parting(made: PartingSummary) -> str:
    """Say how many wrong trajectories leave the gold answer for good, and where."""
    assert made.parts is not None
    text = f"Of wrong {MODE_NAMES[made.mode]} trajectories {write_share(made.parts)} part from the gold answer"
    if made.place is not None:
        text += f", after {write_estimate(made.place)} of their length"
    if made.parted_at_start is not None:
        text += f"; {write_share(made.parted_at_start)} lean to their own answer from the start"
    return f"{text}."


def judge_recognition(made: Recognition) -> str:
    """Say which score tells right from wrong best within questions, and what the combined one does on others.

    That one does is claimed only where its test says so at 5 % after Holm's correction.
    """
    name = MODE_NAMES[made.mode]
    rows = [row for row in made.rows if row.within is not None and not row.is_baseline]
    if not rows:
        return f"No question has right and wrong {name} trajectories, so nothing is told apart within questions."
    best = max(rows, key=lambda row: row.within.estimate.value if row.within else 0.0)
    assert best.within is not None
    p = best.within.p_holm
    told = f"{write_estimate(best.within.estimate)}, {'no test' if p is None else 'p ' + write_relation(p)}"
    if p is not None and p < SIGNIFICANT:
        text = f'Within questions "{best.score}" tells right from wrong {name} trajectories best (AUROC {told}, '
        text += f"the highest of {len(rows)})"
    else:
        text = f"Within questions no score is shown to tell right from wrong {name} trajectories; the highest AUROC of "
        text += f'{len(rows)} is that of "{best.score}" ({told})'
    if made.held_out is not None and (combined := made.held_out.rows[0]).pooled is not None:
        text += f"; on held-out questions the combined score has an AUROC of {write_estimate(combined.pooled.estimate)}"
    return f"{text}."


def judge_settling(row: SettlingRow) -> str:
    """Say how much of the reasoning comes after the model's own answer has changed for the last time."""
    name, after = MODE_NAMES[row.mode], row.means.get("after the last change")
    if after is None:
        return f"The {name} trajectories have no reasoning in which an answer could settle."
    text = f"In {name} trajectories {write_share(after)} of the reasoning comes after the last change of the answer"
    if (left := row.means.get("left a right answer")) is not None:
        text += f"; {write_share(left)} had a right answer and left it"
    return f"{text}."


def write_estimate(estimate: Estimate, *, sign: str = "") -> str:
    """A mean with its interval, to three digits behind the point or one for large ones."""
    largest = max(abs(value) for value in (estimate.value, estimate.low, estimate.high) if math.isfinite(value))
    n = 3 if largest < 20 else 1
    if estimate.method == "none":
        return f"{estimate.value:{sign}z.{n}f}"
    return f"{estimate.value:{sign}z.{n}f} [{estimate.low:{sign}z.{n}f}, {estimate.high:{sign}z.{n}f}]"


def write_share(estimate: Estimate, *, sign: str = "") -> str:
    """A share with its interval, in percent."""
    value, low, high = (100 * part for part in (estimate.value, estimate.low, estimate.high))
    if estimate.method == "none":
        return f"{value:{sign}z.0f} %"
    return f"{value:{sign}z.0f} % [{low:{sign}z.0f}, {high:{sign}z.0f}]"


def _judge(made: Contrast, above: str, below: str) -> str:
    """The word for no-thinking − thinking above or below 0, or that they are not told apart."""
    if not made.p_holm < SIGNIFICANT:
        return f"not significantly {above if made.difference.value > 0 else below}"
    return above if made.difference.value > 0 else below


def _tell(made: Contrast) -> str:
    return (
        f"no-thinking {write_estimate(made.nothink)}, thinking {write_estimate(made.think)}, difference "
        f"{write_estimate(made.difference, sign='+')}, p {write_relation(made.p_holm)}"
    )
