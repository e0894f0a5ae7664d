"""Answers: take one out of a response, and decide whether it is right."""

from raml.answers.choice import extract_choice, read_choice
from raml.answers.code import CodeResult, Isolation, Limits, check_program, extract_code, find_isolation
from raml.answers.compare import AnswerComparer, compare_answers, find_gold_error, same_answer
from raml.answers.extract import extract_answer, find_answer_end
from raml.answers.grade import NEEDS_CODE, Grade, grade_answer, grade_response
from raml.answers.normalize import mark_answer, normalize_answer
from raml.answers.reward import REWARDS, ResponseFormat, Reward, has_format, reward_answer

__all__ = [
    "NEEDS_CODE",
    "REWARDS",
    "AnswerComparer",
    "CodeResult",
    "Grade",
    "Isolation",
    "Limits",
    "ResponseFormat",
    "Reward",
    "check_program",
    "compare_answers",
    "extract_answer",
    "extract_choice",
    "extract_code",
    "find_answer_end",
    "find_gold_error",
    "find_isolation",
    "grade_answer",
    "grade_response",
    "has_format",
    "mark_answer",
    "normalize_answer",
    "read_choice",
    "reward_answer",
    "same_answer",
]
