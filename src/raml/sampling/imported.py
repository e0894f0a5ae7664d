"""Trajectories that were written elsewhere: as text, or as records that another run kept."""

from __future__ import annotations

from dataclasses import replace

from raml.answers import grade_response
from raml.errors import DataError
from raml.models import LoadedModel
from raml.prompts import (
    continue_prompt,
    decode_text,
    decode_tokens,
    encode_text,
    find_reasoning_len,
    render_prompt,
    resolve_prompt,
)
from raml.records import Finish, PromptSettings, Question, Trajectory, hash_key


def make_imported(
    loaded: LoadedModel,
    question: Question,
    text: str,
    repeat: int,
    prompt: PromptSettings | None = None,
    *,
    occurrence: int = 0,
    finish: Finish | None = None,
    label: float | None = None,
    allow_code: bool = False,
) -> Trajectory:
    """Turn a response written elsewhere into a graded trajectory, split by a model's tokenizer.

    Log-probabilities and sampling settings are None: nobody knows them. Where the prompt already opens the thinking,
    an opening `<think>` of the text is left out. The text is what the ids decode to, which differs from the given one
    only where the tokenizer can't write it.

    Args:
        loaded: The model whose tokenizer and chat template are used.
        question: What the text answers.
        text: The whole response.
        repeat: Index among the responses to the question.
        prompt: How the question becomes a prompt.
        occurrence: How many times the same text came before it; tells equal responses apart.
        finish: How it ended, if that is known.
        label: The other tool's verdict, if it gave one.
        allow_code: As in `raml.answers.grade_response`.
    """
    prompt = resolve_prompt(question, prompt or PromptSettings())
    rendered = render_prompt(loaded.tokenizer, question, prompt)
    prompt_ids = encode_text(loaded.tokenizer, rendered)
    token_ids = encode_text(loaded.tokenizer, continue_prompt(rendered, text))
    decoded, ends = decode_tokens(loaded.tokenizer, token_ids)
    grade = grade_response(decoded, question, allow_code=allow_code)
    return Trajectory(
        id=hash_key("import", loaded.identity.key(), prompt_ids, question.id, question.gold_key(), text, occurrence),
        question_id=question.id,
        repeat=repeat,
        model=loaded.identity,
        mode=prompt.mode,
        prompt_ids=prompt_ids,
        token_ids=token_ids,
        reasoning_len=find_reasoning_len(decoded, ends),
        text=decoded,
        token_ends=ends,
        finish=finish,
        answer=grade.answer,
        correct=grade.correct,
        verdict=grade.verdict,
        prompt=prompt,
        error=grade.error,
        label=label,
    )


def adopt_trajectory(
    loaded: LoadedModel, question: Question, record: Trajectory, *, allow_code: bool = False, place: str
) -> Trajectory | None:
    """Take a record that another run kept, if a model's tokenizer reads its ids as the same prompt and text.

    Ids, log-probabilities, settings and the writer's identity are the record's own. The grade is made anew: it is the
    one thing in a stranger's file that can be checked. A response that its record calls broken off stays undecided.

    Args:
        loaded: The model whose tokenizer reads the ids.
        question: What the record answers.
        record: A record whose lengths fit each other.
        allow_code: As in `raml.answers.grade_response`.
        place: File and line, for messages.

    Returns:
        The record with our grade, or None where the tokenizer is another one, so that only the text is of use.

    Raises:
        DataError: the record says that this very tokenizer made it, and its ids mean something else.
    """
    vocabulary = max(len(loaded.tokenizer), loaded.model.config.get_text_config().vocab_size)
    largest = max((*record.token_ids, *record.prompt_ids), default=0)
    same = (
        largest < vocabulary
        and decode_tokens(loaded.tokenizer, record.token_ids) == (record.text, record.token_ends)
        and question.prompt.strip() in decode_text(loaded.tokenizer, record.prompt_ids)
    )
    if not same:
        own = loaded.identity.config_sha256
        if own is None or record.model.config_sha256 != own:
            return None
        what = f"has a token id of {largest}, beyond {vocabulary - 1}" if largest >= vocabulary else "says another text"
        raise DataError(f"{place}: the record of trajectory {record.id!r} {what}; it is damaged.")
    if record.verdict == "undecided" and record.answer is None and record.error:
        return replace(record, correct=None)
    grade = grade_response(record.text, question, allow_code=allow_code)
    return replace(
        record,
        reasoning_len=find_reasoning_len(record.text, record.token_ends),
        answer=grade.answer,
        correct=grade.correct,
        verdict=grade.verdict,
        error=grade.error,
    )
