"""Benchmarks and training questions by name: from the Hugging Face Hub, from their files, from Reasoning Gym."""

from raml.questions.sources.catalog import DATA_SETS, DataSet, count_expected
from raml.questions.sources.check import ColumnCheck, check_columns
from raml.questions.sources.gym import DEFAULT_SIZE, PREFIX, parse_options
from raml.questions.sources.load import LoadedSource, SourceFiles, load_source, open_source, read_plain_rows
from raml.questions.sources.settings import Language, SourceSettings

__all__ = [
    "DATA_SETS",
    "DEFAULT_SIZE",
    "PREFIX",
    "ColumnCheck",
    "DataSet",
    "Language",
    "LoadedSource",
    "SourceFiles",
    "SourceSettings",
    "check_columns",
    "count_expected",
    "load_source",
    "open_source",
    "parse_options",
    "read_plain_rows",
]
