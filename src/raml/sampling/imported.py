"""Trajectories from text that was written elsewhere."""

from __future__ import annotations

from raml.models import LoadedModel
from raml.prompts import continue_prompt, decode_tokens, encode_text, find_reasoning_len, render_prompt
from raml.records import PromptSettings, Question, Trajectory, hash_key
from raml.sampling.grade import grade_response


def make_imported(
    loaded: LoadedModel,
    question: Question,
    text: str,
    repeat: int,
    prompt: PromptSettings | None = None,
    *,
    occurrence: int = 0,
) -> Trajectory:
    """Turn a response written elsewhere into a graded trajectory, split by a model's tokenizer.

    Log-probabilities, finish and sampling settings are None: nobody knows them. Where the prompt already opens the
    thinking, an opening `<think>` of the text is left out. The text is what the ids decode to, which differs from the
    given one only where the tokenizer can't write it.

    Args:
        loaded: The model whose tokenizer and chat template are used.
        question: What the text answers.
        text: The whole response.
        repeat: Index among the responses to the question.
        prompt: How the question becomes a prompt.
        occurrence: How many times the same text came before it; tells equal responses apart.
    """
    prompt = prompt or PromptSettings()
    rendered = render_prompt(loaded.tokenizer, question.prompt, prompt)
    prompt_ids = encode_text(loaded.tokenizer, rendered)
    token_ids = encode_text(loaded.tokenizer, continue_prompt(rendered, text))
    decoded, ends = decode_tokens(loaded.tokenizer, token_ids)
    answer, correct, error = grade_response(decoded, question.answer)
    return Trajectory(
        id=hash_key("import", loaded.identity.key(), prompt_ids, question.id, question.answer, text, occurrence),
        question_id=question.id,
        repeat=repeat,
        model=loaded.identity,
        mode=prompt.mode,
        prompt_ids=prompt_ids,
        token_ids=token_ids,
        reasoning_len=find_reasoning_len(decoded, ends),
        text=decoded,
        token_ends=ends,
        answer=answer,
        correct=correct,
        prompt=prompt,
        error=error,
    )
