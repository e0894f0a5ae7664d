"""L̂ along a trajectory: the loss of an answer after every prefix (arXiv 2505.19815, Algorithm 3)."""

from __future__ import annotations

from raml.errors import DataError
from raml.models import LoadedModel
from raml.probes.task import choose_scorer, make_readout, make_traces, plan_task, run_tasks
from raml.records import Readout, ReadoutSettings, Scorer, Trace, TraceSettings, Trajectory


def trace_trajectory(
    loaded: LoadedModel,
    trajectory: Trajectory,
    gold: str,
    settings: TraceSettings | None = None,
    *,
    scorer: Scorer | None = None,
    memory: int | None = None,
) -> Trace:
    """Score an answer after every prefix of a trajectory, from none of it (0) to the whole span.

    Args:
        loaded: The model that scores, usually the one that wrote the trajectory.
        trajectory: Its ids are used as they are; they are never tokenised again.
        gold: The question's answer; used unless settings.target is "own".
        settings: Bridge, target and span.
        scorer: "one-pass" or "definition"; by default the engine wherever it can serve the model.
        memory: Bytes that may be used beside the model's weights; by default most of what is free.

    Raises:
        DataError: the target is the trajectory's own answer and it has none, or both answers, or the bridge is empty.
        ModelError: prompt, trajectory, bridge and answer exceed the model's context, the ids are not this model's, or
            the memory does not suffice.
        NumericsError: the loss is NaN or infinite somewhere.
    """
    settings = settings or TraceSettings()
    if settings.target == "both":
        raise DataError("A trace holds the loss of one answer; ask for gold and own one after the other.")
    task = plan_task(loaded, trajectory, gold, [settings], None)
    scorer = scorer or choose_scorer(loaded)
    scores = run_tasks(loaded, [task], scorer=scorer, memory=memory)
    return make_traces(loaded, task, scores[0], scorer)[0]


def read_out_trajectory(
    loaded: LoadedModel,
    trajectory: Trajectory,
    gold: str,
    settings: ReadoutSettings | None = None,
    *,
    scorer: Scorer | None = None,
    memory: int | None = None,
) -> Readout:
    """Let the model state its own answer after every prefix of a trajectory, by greedy decoding after the bridge.

    Args:
        loaded: The model that answers, usually the one that wrote the trajectory.
        trajectory: Its ids are used as they are; they are never tokenised again.
        gold: The question's answer; the model's own ones are graded against it.
        settings: Bridge, span and where an answer ends.
        scorer: "one-pass", or "definition" for one `generate()` per prefix; by default as the model allows.
        memory: Bytes that may be used beside the model's weights; by default most of what is free.

    Raises:
        DataError: the bridge is empty or no answer may be written.
        ModelError: prompt, trajectory, bridge and answer exceed the model's context, the ids are not this model's, or
            the memory does not suffice.
        NumericsError: a log-probability is NaN or infinite somewhere.
    """
    task = plan_task(loaded, trajectory, gold, [], settings or ReadoutSettings())
    scorer = scorer or choose_scorer(loaded)
    readout = make_readout(loaded, task, run_tasks(loaded, [task], scorer=scorer, memory=memory)[0], scorer)
    assert readout is not None
    return readout
