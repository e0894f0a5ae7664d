"""Questions from files, as they are or cleaned, and from benchmarks by name."""

from raml.questions.cleaning import Cleaned, Dropped, clean_questions
from raml.questions.faults import REASONS, Reason
from raml.questions.files import FILE_KINDS, is_record, make_question, read_question_file, read_rows
from raml.questions.sources import DATA_SETS, LoadedSource, SourceSettings, load_source

__all__ = [
    "DATA_SETS",
    "FILE_KINDS",
    "REASONS",
    "Cleaned",
    "Dropped",
    "LoadedSource",
    "Reason",
    "SourceSettings",
    "clean_questions",
    "is_record",
    "load_source",
    "make_question",
    "read_question_file",
    "read_rows",
]
