"""inspect: evaluation logs, `.eval` or `.json`, through inspect_ai's own reader and writer."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raml.errors import DataError, MissingExtra
from raml.inputs import check_plain
from raml.interchange.build import Asked, build_row
from raml.interchange.chat import read_conversation, split_thinking, write_response
from raml.interchange.log_size import check_log_size
from raml.interchange.record import encode_record
from raml.interchange.rows import (
    RECORD,
    ExportedResponse,
    ForeignResponse,
    ForeignRow,
    ReadContext,
    read_answer,
    read_finish,
    read_label,
    require_columns,
)
from raml.store import write_atomically

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

SCORER = "raml"
"""Name of our verdict among a sample's scores."""
UNANSWERED = "ended with an error and has no response"
UNREADABLE = (
    *(OSError, ValueError, LookupError, RuntimeError, EOFError, AssertionError, AttributeError, TypeError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What inspect's readers raise for files that are none of its logs."""
LETTERS = {True: "C", False: "I"}
ATTACHED = ("attachment://", "tc://")
"""How a text begins that stands for an attachment, now and in old logs."""


def stream_samples(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read a log sample by sample, in its own order, each with its place for messages.

    Raises:
        DataError: the file is missing, or no such log.
        MissingExtra: inspect_ai is not installed.
    """
    with _needing_inspect():
        from inspect_ai.log import read_eval_log, read_eval_log_samples
    if path.suffix.lower() not in (".eval", ".json"):
        raise DataError(f"{path} is no .eval or .json log of inspect.")
    try:
        check_plain(path)
        check_log_size(path)
        sample_ids = read_eval_log(path, header_only=True).eval.dataset.sample_ids
        if path.suffix.lower() == ".eval" and sample_ids:
            samples = read_eval_log_samples(path, all_samples_required=False, exclude_fields={"events", "store"})
        else:  # a .json log is one text, which has to be read whole
            rank = {sample_id: i for i, sample_id in enumerate(sample_ids or [])}
            samples = read_eval_log(path).samples or []
            samples = sorted(samples, key=lambda sample: (rank.get(sample.id, len(rank)), sample.epoch))
        for sample in samples:
            yield f"{path} sample {sample.id} epoch {sample.epoch}", _open_sample(sample)
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}.") from error
    except UNREADABLE as error:
        reason = (error.strerror if isinstance(error, OSError) else str(error)[:200]) or type(error).__name__
        raise DataError(f"{path} can't be read as a log of inspect: {reason}") from error


def read_inspect(row: Mapping[str, Any], place: str, context: ReadContext) -> list[ForeignRow]:
    """Read a sample as `stream_samples` opens it.

    Reasoning that is kept apart becomes `<think>…</think>`. The verdict is the score that `Columns.label_column` names,
    else ours, else the only one. A sample that ended with an error gives a question without a response.

    Raises:
        DataError: the sample has several turns, tool calls, several targets, or no response.
    """
    scores, wanted = row["scores"], context.columns.label_column
    if wanted is not None and scores:
        require_columns(scores, [wanted], place)
    name = wanted or (SCORER if SCORER in scores else next(iter(scores)) if len(scores) == 1 else None)
    chat = read_conversation(row["messages"], place)
    if context.columns.answer_column is not None:
        require_columns(row["metadata"], [context.columns.answer_column], place)
    answer = row["metadata"][context.columns.answer_column] if context.columns.answer_column else row["target"]
    meta = {key: value for key, value in row["metadata"].items() if key != RECORD}
    asked = Asked(
        chat.message,
        read_answer(answer, place),
        system=chat.system,
        meta={"sample_id": row["id"], **meta},
        kind="choice" if row["choices"] else "math",
    )
    if row["has_error"] and not (chat.response or "").strip():
        found = build_row(place, context, asked, [])
        return [ForeignRow(found.question, (), place, (*found.notes, UNANSWERED))]
    if chat.response is None:
        raise DataError(f"{place} has no response.")
    label = None if name is None else read_label(scores.get(name))
    response = ForeignResponse(chat.response, label, read_finish(row["stop_reason"]))
    return [build_row(place, context, asked, [response], [row["metadata"].get(RECORD)])]


def write_inspect(path: Path, responses: Sequence[ExportedResponse], *, records: bool = True) -> None:
    """Write a log, a sample a response; the responses to one question are its epochs.

    Args:
        path: A .eval or .json file.
        responses: What to write, all of one model.
        records: Keep the whole trajectory as `raml` in the sample's metadata.

    Raises:
        DataError: the responses are of several models, or the ending is another one.
        MissingExtra: inspect_ai is not installed.
    """
    if path.suffix.lower() not in (".eval", ".json"):
        raise DataError(f"{path} is no .eval or .json file; give it one of these endings.")
    models = sorted({response.trajectory.model.name for response in responses})
    if len(models) > 1:
        raise DataError(f"A log of inspect is about one model; here are {', '.join(models)}. Choose with --writer.")
    with _needing_inspect():
        from inspect_ai.log import write_eval_log
    log = _make_log(responses, models[0], records=records)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"log{path.suffix.lower()}"
        write_eval_log(log, written)
        write_atomically(path, written.read_bytes())


def _resolve(value: Any, attachments: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
    """Put attachments back, at any depth. A text that only looks like a reference to one stays as it is.

    inspect's own way to do so changes the beginning of such texts.
    """
    if isinstance(value, str):
        name = next((value.removeprefix(start) for start in ATTACHED if value.startswith(start)), None)
        return value if name is None else attachments.get(name, value)
    if isinstance(value, list):
        return [_resolve(item, attachments) for item in value]
    if isinstance(value, dict):
        return {key: _resolve(item, attachments) for key, item in value.items()}
    return value


def _open_sample(sample: EvalSample) -> dict[str, Any]:
    """Take out of a sample what is read."""
    messages = list(sample.messages)
    if not messages:
        messages = list(sample.input) if isinstance(sample.input, list) else []
        messages += [choice.message for choice in sample.output.choices[:1]]
    plain = [message.model_dump(include={"role", "content", "tool_calls"}) for message in messages]
    if isinstance(sample.input, str) and all(message["role"] != "user" for message in plain):
        plain.insert(0, {"role": "user", "content": sample.input})
    return {
        "id": sample.id,
        "messages": _resolve(plain, sample.attachments),
        "target": sample.target,
        "choices": sample.choices,
        "scores": {name: score.value for name, score in (sample.scores or {}).items()},
        "stop_reason": sample.output.choices[0].stop_reason if sample.output.choices else None,
        "metadata": sample.metadata,
        "has_error": sample.error is not None,
    }


def _make_log(responses: Sequence[ExportedResponse], model: str, *, records: bool) -> EvalLog:
    """Make a finished log with the share of right answers as its result."""
    from inspect_ai.log import (
        EvalConfig,
        EvalDataset,
        EvalLog,
        EvalMetric,
        EvalPlan,
        EvalResults,
        EvalScore,
        EvalSpec,
    )

    epochs = Counter[str]()
    samples = []
    for response in responses:
        epochs[response.question.id] += 1
        samples.append(_make_sample(response, epochs[response.question.id], records=records))
    decided = [response.trajectory.correct for response in responses if response.trajectory.correct is not None]
    accuracy = sum(decided) / len(decided) if decided else float("nan")
    score = EvalScore(
        name=SCORER,
        scorer=SCORER,
        scored_samples=len(decided),
        unscored_samples=len(responses) - len(decided),
        metrics={"accuracy": EvalMetric(name="accuracy", value=accuracy)} if decided else {},
    )
    sources = sorted({response.question.source or "raml" for response in responses})
    return EvalLog(
        status="success",
        eval=EvalSpec(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            task="raml",
            model=model,
            dataset=EvalDataset(name=", ".join(sources), samples=len(epochs), sample_ids=list(epochs)),
            config=EvalConfig(epochs=max(epochs.values())),
        ),
        plan=EvalPlan(),
        results=EvalResults(total_samples=len(samples), completed_samples=len(samples), scores=[score]),
        samples=samples,
    )


def _make_sample(response: ExportedResponse, epoch: int, *, records: bool) -> EvalSample:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import (
        ChatCompletionChoice,
        ChatMessageAssistant,
        ChatMessageUser,
        ContentReasoning,
        ContentText,
        Logprob,
        Logprobs,
        ModelOutput,
        ModelUsage,
    )
    from inspect_ai.scorer import Score

    question, trajectory = response.question, response.trajectory
    text, model = write_response(trajectory), trajectory.model.name
    parts = split_thinking(text)
    content = [ContentReasoning(reasoning=parts[0]), ContentText(text=parts[1])] if parts is not None else text
    message = ChatMessageAssistant(content=content, model=model, source="generate")
    pairs = zip(trajectory.pieces, trajectory.logprobs or (), strict=False)
    logprobs = [Logprob(token=piece, logprob=logprob) for piece, logprob in pairs]
    n_read, n_written = len(trajectory.prompt_ids), len(trajectory.token_ids)
    choice = ChatCompletionChoice(
        message=message,
        stop_reason="max_tokens" if trajectory.finish == "length" else trajectory.finish or "unknown",
        logprobs=Logprobs(content=logprobs) if logprobs else None,
    )
    if trajectory.correct is None:
        score = Score.unscored(answer=trajectory.answer, explanation=trajectory.error)
    else:
        score = Score(value=LETTERS[trajectory.correct], answer=trajectory.answer, explanation=trajectory.verdict)
    return EvalSample(
        id=question.id,
        epoch=epoch,
        input=response.message,
        target=question.answer,
        messages=[ChatMessageUser(content=response.message, source="input"), message],
        output=ModelOutput(
            model=model,
            choices=[choice],
            usage=ModelUsage(input_tokens=n_read, output_tokens=n_written, total_tokens=n_read + n_written),
        ),
        scores={SCORER: score},
        metadata={RECORD: encode_record(question, trajectory)} if records else {},
    )


@contextmanager
def _needing_inspect() -> Iterator[None]:
    """Turn a missing inspect_ai into an error that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra("Logs of inspect need inspect_ai: pip install 'raml[inspect]'") from error
