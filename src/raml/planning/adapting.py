"""What `raml adapt` will take: gradient steps on copies of the weights."""

from __future__ import annotations

from raml.models import LoadedModel
from raml.planning.load import LEARN, Load, read_text
from raml.planning.memory import count_gradient_bytes
from raml.planning.record import Part
from raml.records import AdaptSettings, Question, Trajectory
from raml.updates.probe import Probe, plan_probe

COPIES = {"sgd": 2, "adam": 4}
"""Of the weights that move: themselves and their gradients, and Adam's two moments."""


def load_adaptation(loaded: LoadedModel, trajectory: Trajectory, question: Question, settings: AdaptSettings) -> Load:
    """The answer in context once, then before each step and after the last the answer bare and the text itself.

    Raises:
        RamlError: there is no such adaptation.
    """
    probe = plan_probe(loaded, trajectory, question, settings.bridge, settings.span)
    n_prompt, n_text = len(probe.prompt_ids), len(probe.trajectory_ids)
    in_context, bare = read_text(n_prompt + n_text + len(probe.ids)), read_text(n_prompt + len(probe.ids))
    text = read_text(n_prompt + n_text)
    n = settings.n_steps
    # Each step also goes through all weights a few times by itself: as much as passes of no rows.
    return in_context + bare * (n + 1) + text * (LEARN * n + 1) + Load(calls=n)


def list_adaptation_parts(
    loaded: LoadedModel, trajectory: Trajectory, question: Question, settings: AdaptSettings
) -> tuple[Part, ...]:
    """Memory of one adaptation beside the weights.

    Raises:
        RamlError: there is no such adaptation.
    """
    probe = plan_probe(loaded, trajectory, question, settings.bridge, settings.span)
    moved = [value for name, value in loaded.model.named_parameters() if settings.weights in name]
    largest = max((value.nbytes for value in moved), default=0)
    return (
        Part("copies of the weights", COPIES[settings.optimizer] * sum(value.nbytes for value in moved) + largest),
        Part("gradients", _count_text_bytes(loaded, probe)),
    )


def _count_text_bytes(loaded: LoadedModel, probe: Probe) -> int:
    n_text = len(probe.trajectory_ids)
    return count_gradient_bytes(loaded.model, len(probe.prompt_ids) + n_text, n_text + 1)
