"""Questions from files."""

from raml.questions.files import make_question, read_question_file, read_rows

__all__ = ["make_question", "read_question_file", "read_rows"]
