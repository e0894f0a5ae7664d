"""All that curves say about one model, and what is missing to say more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raml.curves.descent import ModeComparison, compare_modes
from raml.curves.groups import MODE_NAMES, MODES, CurveSet, CurveSettings
from raml.curves.parting import PartingSummary, summarize_parting
from raml.curves.recognition import Recognition, measure_recognition
from raml.curves.settling import SettlingRow, summarize_settling
from raml.records import TraceSettings


@dataclass(frozen=True)
class CurveSummary:
    """The curves that one model read off one writer's trajectories."""

    model: str
    writer: str
    traced: TraceSettings
    """Bridge, span and prefixes of the curves; the target says nothing here."""
    settings: CurveSettings
    n_trajectories: int
    n_gold: int
    """Trajectories with a trace of the gold answer."""
    n_own: int
    """Trajectories with a trace of their own answer."""
    n_readouts: int
    modes: ModeComparison | None
    parting: tuple[PartingSummary, ...]
    recognition: tuple[Recognition, ...]
    settling: tuple[SettlingRow, ...]
    missing: tuple[str, ...]
    """What could not be done, and the command that makes what it needs."""


def summarize_curves(curves: CurveSet, settings: CurveSettings, *, run: str = "RUN") -> CurveSummary:
    """Do every analysis that the records of a set allow.

    Args:
        curves: From `group_curves`.
        settings: Of all analyses.
        run: What the commands in `missing` call the run folder.
    """
    parting, recognition, settling = [], [], []
    for mode in MODES:
        parted, recognized = summarize_parting(curves, mode, settings), measure_recognition(curves, mode, settings)
        if parted is not None and curves.gold and curves.own:
            parting.append(parted)
        if recognized is not None and curves.own:
            recognition.append(recognized)
        settling += summarize_settling(curves, mode, settings)
    ids = [t.id for t in curves.trajectories]
    modes = compare_modes(curves, settings)
    return CurveSummary(
        model=curves.model.name,
        writer=curves.writer.name,
        traced=curves.settings,
        settings=settings,
        n_trajectories=len(ids),
        n_gold=sum(i in curves.gold for i in ids),
        n_own=sum(i in curves.own for i in ids),
        n_readouts=sum(i in curves.readouts for i in ids),
        modes=modes,
        parting=tuple(parting),
        recognition=tuple(recognition),
        settling=tuple(settling),
        missing=tuple(_list_missing(curves, modes, run)),
    )


def _list_missing(curves: CurveSet, modes: ModeComparison | None, run: str) -> list[str]:
    """Say what there is nothing of, or less than of the trajectories, with the command that makes it."""
    lines = []
    trace = " ".join(["raml trace", run, *_write_flags(curves)])
    for mode, flag in zip(MODES, ("", " --mode nothink"), strict=True):
        if not curves.list_mode(mode):
            lines.append(
                f"There are no {MODE_NAMES[mode]} trajectories to compare with: "
                f"`raml sample {curves.writer.name} {run}{flag}`, then `{trace}`."
            )
    if modes is None and all(curves.list_mode(mode) for mode in MODES) and curves.gold:
        lines.append(f"No question has traced trajectories of both modes: `{trace}` traces what is missing.")
    answered = [t for t in curves.trajectories if t.answer is not None]
    for name, there, wanted, flags in (
        ("traces of the gold answer", curves.gold, curves.trajectories, ""),
        ("traces of the trajectory's own answer", curves.own, answered, " --target both"),
        ("readouts", curves.readouts, curves.trajectories, " --readout"),
    ):
        n_lacking = sum(t.id not in there for t in wanted)
        if n_lacking:
            which = "There are no" if n_lacking == len(wanted) else f"{n_lacking} of {len(wanted)} trajectories lack"
            lines.append(f"{which} {name}: `{trace}{flags}`.")
    if curves.n_broken:
        lines.append(
            f"{curves.n_broken} traces were left out: L̂ is NaN or infinite in them. Remove them and trace again with "
            "`--dtype float32`."
        )
    if curves.n_doubled:
        lines.append(
            f"{curves.n_doubled} records were left out: a trajectory has two of a kind that differ in the answer or in "
            "how long an answer may be."
        )
    return lines


def _write_flags(curves: CurveSet) -> Sequence[str]:
    """Flags of `raml trace` that make records of this set."""
    usual, asked = TraceSettings(), curves.settings
    flags = [] if curves.model.name == curves.writer.name else [f"--model {curves.model.name}"]
    flags += [] if asked.span == usual.span else [f"--span {asked.span}"]
    flags += [] if asked.every == usual.every else [f"--every {asked.every}"]
    return flags + ([] if asked.bridge == usual.bridge else ["--bridge …"])
