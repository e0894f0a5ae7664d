"""Questions from files, as they are or cleaned."""

from raml.questions.cleaning import Cleaned, Dropped, clean_questions
from raml.questions.faults import REASONS, Reason
from raml.questions.files import make_question, read_question_file, read_rows

__all__ = [
    "REASONS",
    "Cleaned",
    "Dropped",
    "Reason",
    "clean_questions",
    "make_question",
    "read_question_file",
    "read_rows",
]
