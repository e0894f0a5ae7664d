"""Answers: take one out of a response, and decide whether two are the same."""

from raml.answers.compare import AnswerComparer, find_gold_error, same_answer
from raml.answers.extract import extract_answer

__all__ = ["AnswerComparer", "extract_answer", "find_gold_error", "same_answer"]
