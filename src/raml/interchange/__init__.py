"""Records to and from other tools' files: nothing here needs torch, a tokenizer or the other tool, but for inspect.

rows.py      what every format is read into
build.py     from a row's cells to a question with its responses
chat.py      messages and thinking
record.py    our own records inside other tools' files
formats.py   the table of readers; a file for each tool has its reader and its writer
"""

from raml.interchange.build import index_questions
from raml.interchange.formats import READERS, Reader, stream_foreign
from raml.interchange.inspect_log import write_inspect
from raml.interchange.openai_chat import write_openai_chat
from raml.interchange.plain import PlainTrajectory, read_plain
from raml.interchange.rollouts import write_rollouts
from raml.interchange.rows import Columns, ExportedResponse, ForeignResponse, ForeignRow, ReadContext
from raml.interchange.trl import write_trl, write_trl_completions, write_trl_preference
from raml.interchange.verifiers import write_verifiers
from raml.interchange.verl import write_verl, write_verl_rollouts

__all__ = [
    "READERS",
    "Columns",
    "ExportedResponse",
    "ForeignResponse",
    "ForeignRow",
    "PlainTrajectory",
    "ReadContext",
    "Reader",
    "index_questions",
    "read_plain",
    "stream_foreign",
    "write_inspect",
    "write_openai_chat",
    "write_rollouts",
    "write_trl",
    "write_trl_completions",
    "write_trl_preference",
    "write_verifiers",
    "write_verl",
    "write_verl_rollouts",
]
