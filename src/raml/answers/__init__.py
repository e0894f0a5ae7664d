"""Answers: take one out of a response, and decide whether two are the same."""

from raml.answers.compare import AnswerComparer, find_gold_error, same_answer
from raml.answers.extract import extract_answer, find_answer_end

__all__ = ["AnswerComparer", "extract_answer", "find_answer_end", "find_gold_error", "same_answer"]
