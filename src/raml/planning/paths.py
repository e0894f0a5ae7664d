"""What `raml update` and `raml align` will take: trajectories as paths in weight space."""

from __future__ import annotations

from raml.models import LoadedModel
from raml.planning.load import DIFFERENTIATE, Load, read_text
from raml.planning.memory import FLOAT, count_gradient_bytes, count_pass_bytes, count_path_bytes
from raml.planning.record import Part
from raml.records import AlignmentSettings, Question, Trajectory, UpdateSettings
from raml.scoring import Job
from raml.updates.alignment import TOKENS_AT_A_TIME
from raml.updates.path import needs_definition
from raml.updates.probe import Probe, plan_probe, space_prefixes


def load_path(probe: Probe, n_prefixes: int) -> Load:
    """A path of so many prefixes: the text once, the probe after every prefix with the text and without."""
    lens = space_prefixes(len(probe.trajectory_ids), n_prefixes)
    n_prompt, n_probe = len(probe.prompt_ids), len(probe.ids)
    rows = len(lens) * n_probe
    attended = n_probe * (2 * n_prompt * len(lens) + sum(lens)) + len(lens) * n_probe * (n_probe + 1)
    text = read_text(n_prompt + len(probe.trajectory_ids))
    return text + Load(2, 2 * rows, attended, rows + n_prompt)


def load_update(loaded: LoadedModel, trajectory: Trajectory, question: Question, settings: UpdateSettings) -> Load:
    """A path, its inner products, a certificate, and other questions asked before and with the last update.

    Raises:
        RamlError: there is no such update.
    """
    probe = plan_probe(loaded, trajectory, question, settings.bridge, settings.span)
    n_prompt, n_probe, n_text = len(probe.prompt_ids), len(probe.ids), len(probe.trajectory_ids)
    n_prefixes = len(space_prefixes(n_text, settings.n_prefixes))
    bare = read_text(n_prompt + n_probe)
    certificate = bare * 2 + read_text(n_prompt + n_text + n_probe)
    others = bare * (2 * settings.n_others)
    return load_path(probe, settings.n_prefixes) + certificate + others + Load(paired=(n_prefixes * n_probe) ** 2)


def load_alignment(
    loaded: LoadedModel, trajectory: Trajectory, question: Question, settings: AlignmentSettings, *, is_first: bool
) -> Load:
    """A path, and gradients at each of its points but the last; the first text of a question has two more passes each.

    Raises:
        RamlError: there is no such alignment.
    """
    probe = plan_probe(loaded, trajectory, question, settings.bridge, settings.span)
    n_prefixes = len(space_prefixes(len(probe.trajectory_ids), settings.n_prefixes + 1))
    n_bare = len(probe.prompt_ids) + len(probe.ids)
    bare = read_text(n_bare)
    n_passes = -(-(n_prefixes - 1) // _count_points(n_bare))
    gradients = (read_text(n_bare, calls=0) * (n_prefixes - 1) + Load(calls=n_passes)) * DIFFERENTIATE
    n_rows = n_prefixes * len(probe.ids)
    start = bare * (DIFFERENTIATE + 2) if is_first else Load()
    return load_path(probe, settings.n_prefixes + 1) + gradients + start + Load(paired=n_rows**2)


def list_update_parts(
    loaded: LoadedModel, trajectory: Trajectory, question: Question, settings: UpdateSettings, memory: int | None
) -> tuple[Part, ...]:
    """Memory of one update beside the weights.

    Raises:
        RamlError: there is no such update, or the memory is too small.
    """
    probe = plan_probe(loaded, trajectory, question, settings.bridge, settings.span)
    return _list_path_parts(loaded, probe, settings.n_prefixes, memory, gram=True)


def list_alignment_parts(
    loaded: LoadedModel, trajectory: Trajectory, question: Question, settings: AlignmentSettings, memory: int | None
) -> tuple[Part, ...]:
    """Memory of one alignment beside the weights: a path, and a pass forward and back at several of its points.

    Raises:
        RamlError: there is no such alignment, or the memory is too small.
    """
    probe = plan_probe(loaded, trajectory, question, settings.bridge, settings.span)
    n_bare = len(probe.prompt_ids) + len(probe.ids)
    n_points = min(settings.n_prefixes, _count_points(n_bare))
    gradient = count_gradient_bytes(loaded.model, n_points * n_bare, n_points * (len(probe.answer_ids) + 1))
    return (*_list_path_parts(loaded, probe, settings.n_prefixes + 1, memory), Part("gradients", gradient))


def _count_points(n_bare: int) -> int:
    """Points of a path whose prompts and probes go forward and back together."""
    return max(1, TOKENS_AT_A_TIME // n_bare)


def _list_path_parts(
    loaded: LoadedModel, probe: Probe, n_prefixes: int, memory: int | None, *, gram: bool = False
) -> tuple[Part, ...]:
    lens = space_prefixes(len(probe.trajectory_ids), n_prefixes)
    job = Job(probe.prompt_ids, probe.trajectory_ids, probe.ids, (), lens)
    config = loaded.model.config.get_text_config()
    bases = FLOAT * 2 * len(probe.prompt_ids) * config.intermediate_size * config.num_hidden_layers
    by_definition = needs_definition(loaded.model, len(probe.prompt_ids) + len(probe.ids))
    path = count_path_bytes(loaded.model, len(lens), len(probe.ids), gram=gram, by_definition=by_definition)
    return (*count_pass_bytes(loaded.model, [job], memory=memory), Part("paths", path + bases))
