"""Trajectories from text that was written elsewhere."""

from __future__ import annotations

from raml.models import LoadedModel
from raml.prompts import build_prompt, decode_tokens, encode_text, find_reasoning_len
from raml.records import PromptSettings, Question, Trajectory, hash_key
from raml.sampling.grade import grade_response


def make_imported(
    loaded: LoadedModel, question: Question, text: str, repeat: int, prompt: PromptSettings | None = None
) -> Trajectory:
    """Turn a response written elsewhere into a graded trajectory, split by a model's tokenizer.

    Log-probabilities, finish and sampling settings are None: nobody knows them. The text is what the ids decode to,
    which differs from the given one only where the tokenizer can't write it.
    """
    prompt = prompt or PromptSettings()
    token_ids = encode_text(loaded.tokenizer, text)
    decoded, ends = decode_tokens(loaded.tokenizer, token_ids)
    answer, correct, error = grade_response(decoded, question.answer)
    return Trajectory(
        id=hash_key("import", loaded.identity.key(), prompt, question.id, repeat, text),
        question_id=question.id,
        repeat=repeat,
        model=loaded.identity,
        mode=prompt.mode,
        prompt_ids=build_prompt(loaded.tokenizer, question.prompt, prompt),
        token_ids=token_ids,
        reasoning_len=find_reasoning_len(decoded, ends),
        text=decoded,
        token_ends=ends,
        answer=answer,
        correct=correct,
        prompt=prompt,
        error=error,
    )
