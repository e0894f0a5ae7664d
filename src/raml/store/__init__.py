"""The run folder: records in JSONL and parquet, a manifest, and what makes them survive a kill.

    RUN/questions.jsonl       one Question a line
    RUN/dropped_questions.jsonl   what --clean left out and why, one row a line
    RUN/trajectories.jsonl    one Trajectory a line, appended as they are made, put in order when the stage is done
    RUN/traces.parquet        one Trace a row
    RUN/readouts.parquet      one Readout a row
    RUN/updates.parquet       one Update a row; alignments, adaptations, influence and resamplings likewise
    RUN/attempts.jsonl        one Attempt a line; summaries.jsonl: the summaries that some of them are made from
    RUN/landscapes/           one Landscape a safetensors file
    RUN/STAGE.json            what a stage says of each model: influence, alignment, compress
    RUN/*.journal.jsonl       records of a stage that has not finished
    RUN/manifest.json         how each stage's records came about, written last
    RUN/damaged/              what `raml check --repair` set aside

A whole file is replaced by writing beside it and renaming. An appended file can lose at most its last line to a kill;
a reader skips a torn last line and the next append cuts it off. Lines, pages of tables, landscapes and the manifest
carry checksums; what does not fit is refused by name.
"""

from raml.store.checksums import find_misfit
from raml.store.clock import COMMAND, StageClock, hide_secrets
from raml.store.files import write_atomically, writing
from raml.store.lines import Journal, check_schema, read_jsonl, restore_record
from raml.store.lock import lock_run
from raml.store.markdown import escape_markdown, write_markdown_table
from raml.store.provenance import find_git_commit, list_versions
from raml.store.run import Run
from raml.store.summaries import read_summaries, read_summary

__all__ = [
    "COMMAND",
    "Journal",
    "Run",
    "StageClock",
    "check_schema",
    "escape_markdown",
    "find_git_commit",
    "find_misfit",
    "hide_secrets",
    "list_versions",
    "lock_run",
    "read_jsonl",
    "read_summaries",
    "read_summary",
    "restore_record",
    "write_atomically",
    "write_markdown_table",
    "writing",
]
