"""Summaries in the reasoning's place (arXiv 2505.19815, Fig. 11): one is asked for, cleared of the answer, and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from raml.answers import Grade
from raml.efficiency.contexts import (
    Answered,
    Context,
    Failure,
    Pair,
    answer_contexts,
    describe_readout,
    key_attempt,
    make_attempt,
    run_apart,
)
from raml.efficiency.leaks import cut_leaks
from raml.errors import DataError, ModelError
from raml.models import LoadedModel, LoadedTokenizer
from raml.probes import check_fit
from raml.prompts import THINK_CLOSE, THINK_OPEN, build_prompt, decode_text, encode_text, find_opening
from raml.records import Attempt, PromptSettings, Question, ReadoutSettings, SamplingSettings, Trajectory

REQUEST = (
    "A question, and how somebody thought about it:\n\n"
    "### Question\n{question}\n\n"
    "### Thoughts\n{reasoning}\n\n"
    "Summarise these thoughts in a few short sentences: what was worked out, and how. Keep the steps and intermediate "
    "results that matter, right or wrong as they are, and add nothing. Leave out the final answer."
)
NOTHING_LEFT = "Every sentence of the summary gives the answer away, so there is nothing to answer from."
STILL_THINKING = "The summariser was cut off while it thought and wrote no summary; let it write more tokens."
EMPTY = "The summariser wrote nothing."


@dataclass(frozen=True)
class SummarySettings:
    """How a summary is answered from."""

    readout: ReadoutSettings = field(default_factory=ReadoutSettings)
    """Bridge, longest answer and what ends it; span and every mean nothing here."""


def make_requests(pairs: Sequence[Pair]) -> list[Question]:
    """Write for each trajectory the request to summarise its reasoning without the final answer.

    Each is a question of its own that any engine can sample responses to: its id is the trajectory's, its gold answer
    the question's. Responses are summaries; how they are graded means nothing.
    """
    return [
        Question(
            id=trajectory.id,
            prompt=REQUEST.format(question=question.prompt, reasoning=_read_reasoning(trajectory)),
            answer=question.answer,
            instruction="",
            redacted=question.redacted,
        )
        for trajectory, question in pairs
    ]


def split_requests(
    loaded: LoadedTokenizer | LoadedModel,
    requests: Sequence[Question],
    prompt: PromptSettings,
    sampling: SamplingSettings,
    *,
    engine: str = "transformers",
) -> tuple[list[Question], list[Failure]]:
    """Part requests that may be sent to a summariser from those that may not, by trajectory id with the reason.

    Questions whose terms ask that they are not shown never leave this machine; others must fit the summariser's context
    window. The settings are those of `raml.sampling.resolve_sampling`.
    """
    fit: list[Question] = []
    failures: list[Failure] = []
    window, n_new = loaded.context_len, sampling.max_new_tokens or 0
    for request in requests:
        if request.redacted and is_elsewhere(engine):
            reason = (
                f"Trajectory {request.id}: its question's terms ask that it is kept here, and the server is elsewhere."
            )
            failures.append((request.id, DataError(f"{reason} Summarise it by a model or server on this machine.")))
            continue
        n_prompt = len(build_prompt(loaded.tokenizer, request, prompt))
        if window is not None and n_prompt + n_new > window:
            reason = f"Trajectory {request.id}: the request for a summary takes {n_prompt} tokens and the summary up to"
            limit = f"{n_new}; {loaded.identity.name} accepts {window}. Allow a shorter one or take another summariser."
            failures.append((request.id, ModelError(f"{reason} {limit}")))
            continue
        fit.append(request)
    return fit, failures


def is_elsewhere(engine: str) -> bool:
    """Whether an engine, as `raml sample --engine` names it, is a server that may be on another machine than this."""
    if not engine.startswith(("http://", "https://")):
        return False
    host = urlsplit(engine).hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def key_summaries(
    loaded: LoadedModel, pair: Pair, summaries: Sequence[Trajectory], settings: SummarySettings | None = None
) -> list[str]:
    """The ids of the attempts that `answer_from_summaries` makes of a trajectory, one for each of its summaries."""
    return [_key(loaded, pair, summary, settings or SummarySettings()) for summary in summaries]


def answer_from_summaries(
    loaded: LoadedModel,
    pairs: Sequence[Pair],
    summaries: Mapping[str, Sequence[Trajectory]],
    settings: SummarySettings | None = None,
    *,
    memory: int | None = None,
    allow_code: bool = False,
) -> tuple[list[Attempt], list[Failure]]:
    """Let a model answer with each summary of a trajectory in the place of its reasoning.

    A summary is what its writer wrote after its own thinking. Sentences that hold the gold answer or the trajectory's
    own are taken out (`raml.efficiency.leaks`), and the attempt is marked as leaked. Where nothing is left, the attempt
    has an error and no answer. Generated are the trajectory's reasoning, all that the summariser wrote, in its own
    tokens, and the answer.

    Args:
        loaded: The model that answers, usually the one that wrote the trajectories.
        pairs: Trajectories with their questions.
        summaries: By trajectory id; responses to the requests of `make_requests`.
        settings: The bridge.
        memory: Bytes that may be used beside the model's weights; by default most of what is free.
        allow_code: As in `raml.answers.grade_response`.

    Returns:
        An attempt for each summary, its repeat index as draw; trajectories of which there is none, and why.
    """
    chosen = settings or SummarySettings()
    with_some = [pair for pair in pairs if summaries.get(pair[0].id)]
    failures: list[Failure] = [
        (trajectory.id, DataError(f"Trajectory {trajectory.id} has no summary."))
        for trajectory, _ in pairs
        if not summaries.get(trajectory.id)
    ]

    def run(some: Sequence[Pair]) -> list[Attempt]:
        readings = [_read(loaded, pair, summary) for pair in some for summary in summaries[pair[0].id]]
        return _answer(loaded, readings, chosen, memory, allow_code)

    attempts, failed = run_apart(run, with_some)
    return attempts, failures + failed


@dataclass(frozen=True)
class _Reading:
    """What is read of a summary."""

    pair: Pair
    summary: Trajectory
    ids: tuple[int, ...]
    text: str
    leaked: bool
    error: str | None


def _read_reasoning(trajectory: Trajectory) -> str:
    """A trajectory's reasoning as text, without an opening `<think>`."""
    end = trajectory.token_ends[trajectory.reasoning_len - 1] if trajectory.reasoning_len else 0
    return trajectory.text[:end].strip().removeprefix(THINK_OPEN).strip()


def _count_opening(trajectory: Trajectory) -> int:
    """How many leading tokens are an opening `<think>` and the white space after it."""
    text = trajectory.text
    thought = find_opening(text)
    if not thought:
        return 0
    opening = thought + len(text[thought:]) - len(text[thought:].lstrip())
    return min(trajectory.reasoning_len, sum(end <= opening for end in trajectory.token_ends))


def _read(loaded: LoadedModel, pair: Pair, summary: Trajectory) -> _Reading:
    """Take the summary out of a response and clear it of the answers."""
    trajectory, question = pair
    check_fit(loaded, trajectory, 0)
    thoughts, closed, after = summary.text.partition(THINK_CLOSE)
    written = (after if closed else thoughts).strip()
    if not closed and (written.startswith(THINK_OPEN) or _began_thinking(loaded, summary)):
        return _Reading(pair, summary, (), "", leaked=False, error=STILL_THINKING)
    if not written:
        return _Reading(pair, summary, (), "", leaked=False, error=summary.error if summary.finish is None else EMPTY)
    answers = [answer for answer in (question.answer, trajectory.answer) if answer]
    text, leaked = cut_leaks(written, answers, question.kind)
    if not text:
        return _Reading(pair, summary, (), "", leaked=True, error=NOTHING_LEFT)
    return _Reading(pair, summary, encode_text(loaded.tokenizer, text), text, leaked, error=None)


def _began_thinking(loaded: LoadedModel, summary: Trajectory) -> bool:
    """Whether the prompt itself opens the summariser's thinking; known where it has the tokenizer of who answers."""
    known = loaded.identity.config_sha256
    if known is None or summary.model.config_sha256 != known:
        return False
    return decode_text(loaded.tokenizer, summary.prompt_ids[-8:]).rstrip().endswith(THINK_OPEN)


def _answer(
    loaded: LoadedModel, readings: Sequence[_Reading], settings: SummarySettings, memory: int | None, allow_code: bool
) -> list[Attempt]:
    sound = [reading for reading in readings if reading.error is None]
    contexts = [
        Context(
            (trajectory := reading.pair[0]).prompt_ids,
            trajectory.token_ids[: _count_opening(trajectory)] + reading.ids,
            reading.pair[1],
        )
        for reading in sound
    ]
    answers = iter(answer_contexts(loaded, contexts, settings.readout, memory=memory, allow_code=allow_code))
    return [
        _make_attempt(loaded, reading, next(answers) if reading.error is None else None, settings)
        for reading in readings
    ]


def _make_attempt(
    loaded: LoadedModel, reading: _Reading, answered: Answered | None, settings: SummarySettings
) -> Attempt:
    summary = reading.summary
    failed = Grade(None, correct=None, verdict="undecided", error=reading.error)
    n_written = 0 if answered is None else answered.n_written
    return make_attempt(
        loaded,
        reading.pair,
        failed if answered is None else answered.grade,
        key=_key(loaded, reading.pair, summary, settings),
        method="summary",
        variant=summary.model.name,
        level=0,
        draw=summary.repeat,
        n_thinking=len(reading.ids),
        n_generated=reading.pair[0].reasoning_len + len(summary.token_ids) + n_written,
        text=reading.text or None,
        leaked=reading.leaked,
    )


def _key(loaded: LoadedModel, pair: Pair, summary: Trajectory, settings: SummarySettings) -> str:
    trajectory, question = pair
    decisive = (summary.id, describe_readout(settings.readout))
    return key_attempt("summary", decisive, loaded, trajectory, question.gold_key(), level=0, draw=summary.repeat)
