"""Answers: take one out of a response, and decide whether two are the same."""

from raml.answers.compare import AnswerComparer, find_gold_error, same_answer
from raml.answers.extract import extract_answer, find_answer_end
from raml.answers.reward import REWARDS, ResponseFormat, Reward, has_format, reward_answer

__all__ = [
    "REWARDS",
    "AnswerComparer",
    "ResponseFormat",
    "Reward",
    "extract_answer",
    "find_answer_end",
    "find_gold_error",
    "has_format",
    "reward_answer",
    "same_answer",
]
