"""What `raml trace` says at its end about the records it made."""

from __future__ import annotations

from collections.abc import Sequence

from raml.cli.stage import say
from raml.records import Readout, Trace, Trajectory


def summarize_traces(trajectories: Sequence[Trajectory], traces: Sequence[Trace]) -> None:
    """Print how the loss moved along right and wrong trajectories."""
    correct = {trajectory.id: trajectory.correct for trajectory in trajectories}
    for target, answer in (("gold", ""), ("own", " of its own answer")):
        for label, wanted in (("right", True), ("wrong", False)):
            scored = [t for t in traces if t.settings.target == target and correct[t.trajectory_id] is wanted]
            curves = [trace.mean_nll for trace in scored]
            if not curves:
                continue
            start, end = (sum(float(c[i]) for c in curves) / len(curves) for i in (0, -1))
            n_lower = sum(bool(c[-1] < c[0]) for c in curves)
            say(
                f"{label}: L̂{answer} {start:.3f} → {end:.3f} nats on average; "
                f"lower at the end in {n_lower} of {len(curves)}"
            )


def summarize_readouts(trajectories: Sequence[Trajectory], readouts: Sequence[Readout]) -> None:
    """Print where along right trajectories the model's own answer became right, and how often it is at the ends."""
    correct = {trajectory.id: trajectory.correct for trajectory in trajectories}
    for label, wanted in (("right", True), ("wrong", False)):
        own = [readout for readout in readouts if correct[readout.trajectory_id] is wanted]
        if not own:
            continue
        decided = [r for r in own if None not in (r.correct[0], r.correct[-1])]
        if len(decided) < len(own):
            say(f"{label}: {len(own) - len(decided)} readouts begin or end with an answer that could not be checked")
        if not decided:
            continue
        n_start, n_end = (sum(readout.correct[i] is True for readout in decided) for i in (0, -1))
        total = len(decided)
        text = f"{label}: the model's own answer is right in {n_start} of {total} at the start, in {n_end} at the end"
        settled = sorted(place for readout in own if (place := readout.find_settled()) is not None)
        if settled and wanted:
            text += f"; half of them stay right from prefix {settled[(len(settled) - 1) // 2]} on or before"
        say(text)
