"""Early exits for `raml compress`: computed from readouts, and some of them verified by decoding again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from raml.cli.compress_options import CompressOptions, Every
from raml.cli.compress_task import Task
from raml.cli.stage import show_progress
from raml.cli.writers import load_scorers
from raml.errors import DataError, RamlError
from raml.records import Attempt, Question, Readout, Trajectory

if TYPE_CHECKING:
    from raml.efficiency.early_exit import ExitRule
    from raml.efficiency.exit_check import Agreement


def simulate_exits(task: Task) -> list[Attempt]:
    """Compute early exits from the readouts that are there; what can't be computed is among the work's errors."""
    from raml.efficiency import early_exit

    rules = _list_rules(task.options)
    attempts = []
    for trajectory, question, readout in _find_readouts(task):
        try:
            made = [
                attempt
                for every in task.options.every
                for attempt in early_exit.simulate_exits(
                    [(trajectory, question, readout)], rules, every=every, allow_code=task.allow_code
                )
            ]
        except RamlError as error:
            task.work.errors.append((trajectory.id, error))
            continue
        task.work.wanted |= {attempt.id for attempt in made}
        attempts += made
    return attempts


def verify_exits(task: Task, chosen: Sequence[tuple[str, str, float]]) -> tuple[list[str], bytes]:
    """Decode some trajectories again, stop them for real, and say how that agrees with what was computed.

    The rule is the one that was chosen or, where none was, the first that was asked for. Also returns what came of each
    trajectory, as JSON.
    """
    from raml.efficiency import exit_check
    from raml.efficiency.early_exit import write_variant

    rules: list[tuple[ExitRule, Every]] = [
        (rule, every) for every in task.options.every for rule in _list_rules(task.options)
    ]
    keys = [("early-exit", write_variant(rule, every), rule.confidence) for rule, every in rules]
    rule, every = rules[next((i for i, key in enumerate(keys) if key in chosen), 0)]
    found = {trajectory.id: (trajectory, question, readout) for trajectory, question, readout in _find_readouts(task)}
    trajectories = [trajectory for trajectory, _, _ in found.values()][: task.options.verify]
    lines, told = [], []
    for loaded, own in load_scorers(task.model, trajectories, task.load, task.work.errors):
        with show_progress("verifying", len(own)) as bar:
            agreements, n_failed = [], 0
            for trajectory in own:
                _, agreed, failures = exit_check.verify_exits(loaded, [found[trajectory.id]], rule, every=every)
                agreements += agreed
                n_failed += len(failures)
                task.work.errors += failures
                bar.advance()
        lines.append(_describe(write_variant(rule, every), rule.confidence, agreements))
        told += [msgspec.to_builtins(agreement) | {"model": loaded.identity.name} for agreement in agreements]
    content = {"rule": write_variant(rule, every), "confidence": rule.confidence, "trajectories": told}
    return lines, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def _describe(variant: str, confidence: float, agreements: Sequence[Agreement]) -> str:
    n = len(agreements)
    n_drawn = sum(agreement.drawn for agreement in agreements)
    n_equal = sum(agreement.drawn and agreement.n_different == 0 for agreement in agreements)
    n_stopped = sum(agreement.real is not None for agreement in agreements)
    n_same = sum(agreement.same_exit and agreement.same_answer for agreement in agreements)
    text = (
        f"Verified with {variant}, at {confidence:g}: of {n} trajectories decoded again, {n_stopped} stopped before "
        f"their end, and {n_same} end at the place and with the answer that were computed; {n_equal} of {n_drawn} draw "
        "the recorded tokens."
    )
    if n > n_drawn:
        text += f" The tokens of {n - n_drawn} were replayed, as nobody here knows how they were drawn."
    return text


def _list_rules(options: CompressOptions) -> list[ExitRule]:
    """Every number of equal answers with every confidence."""
    from raml.efficiency.early_exit import ExitRule

    return [ExitRule(n, confidence) for n in options.stable for confidence in options.confidence]


def _find_readouts(task: Task) -> list[tuple[Trajectory, Question, Readout]]:
    """Find for each trajectory the finest readout by the model that answers."""
    by_trajectory: dict[str, list[Readout]] = {}
    for readout in task.folder.read_readouts():
        if readout.settings.bridge == task.options.bridge:
            by_trajectory.setdefault(readout.trajectory_id, []).append(readout)
    found = []
    for trajectory, question in task.pairs:
        fit = [readout for readout in by_trajectory.get(trajectory.id, ()) if _is_by(readout, trajectory, task.model)]
        if fit:
            best = max(fit, key=lambda readout: (readout.model.key() == trajectory.model.key(), len(readout.answers)))
            found.append((trajectory, question, best))
        else:
            reason = f"Trajectory {trajectory.id} has no readout with this bridge by the model that answers."
            task.work.errors.append(
                (trajectory.id, DataError(f"{reason} Run `raml trace {task.folder.path} --readout`."))
            )
    return found


def _is_by(readout: Readout, trajectory: Trajectory, model: str | None) -> bool:
    """Whether the model that is to answer made a readout."""
    by, written = readout.model, trajectory.model
    if model is not None:
        return by.name == model
    return written.weights_sha256 in (None, by.weights_sha256) and written.config_sha256 == by.config_sha256
