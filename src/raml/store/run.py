"""The run folder: where each record lies, in which order, and the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from raml.errors import RunError
from raml.inputs import is_there, read_plain
from raml.records import (
    Adaptation,
    Alignment,
    Attempt,
    FileEntry,
    Influence,
    Manifest,
    Question,
    Readout,
    Resampling,
    StageManifest,
    Trace,
    Trajectory,
    Update,
)
from raml.store.checksums import CRC, advise_check, sum_record
from raml.store.files import write_atomically, writing
from raml.store.lines import check_schema, encode_line, read_jsonl
from raml.store.tables import T, read_table, write_table


class Run:
    """A run folder. Reading needs the files to be there; writing makes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.questions_path = path / "questions.jsonl"
        self.dropped_path = path / "dropped_questions.jsonl"
        self.trajectories_path = path / "trajectories.jsonl"
        self.traces_path = path / "traces.parquet"
        self.traces_journal_path = path / "traces.journal.jsonl"
        self.readouts_path = path / "readouts.parquet"
        self.readouts_journal_path = path / "readouts.journal.jsonl"
        self.updates_path = path / "updates.parquet"
        self.updates_journal_path = path / "updates.journal.jsonl"
        self.alignments_path = path / "alignments.parquet"
        self.alignments_journal_path = path / "alignments.journal.jsonl"
        self.adaptations_path = path / "adaptations.parquet"
        self.adaptations_journal_path = path / "adaptations.journal.jsonl"
        self.influences_path = path / "influence.parquet"
        self.influences_journal_path = path / "influence.journal.jsonl"
        self.resamplings_path = path / "resamplings.parquet"
        self.resamplings_journal_path = path / "resamplings.journal.jsonl"
        self.attempts_path = path / "attempts.jsonl"
        self.summaries_path = path / "summaries.jsonl"
        self.landscapes_path = path / "landscapes"
        self.manifest_path = path / "manifest.json"
        self.figures_path = path / "figures"
        self.evaluation_path = path / "evaluation.json"
        self.report_path = path / "report.html"

    def read_questions(self) -> list[Question]:
        """Read the questions.

        Raises:
            RunError: the run has none yet, or is of a newer schema.
            DataError: a line is not a question; the message has its number.
        """
        if not is_there(self.questions_path):
            raise RunError(
                f"{self.path} has no questions.jsonl. Make one with `raml questions SOURCE --out {self.path}`."
            )
        self.read_manifest()
        return read_jsonl(self.questions_path, Question, appended=False)

    def read_trajectories(self) -> list[Trajectory]:
        """Read the trajectories that are there, none if sampling has not begun."""
        self.read_manifest()
        return read_jsonl(self.trajectories_path, Trajectory) if is_there(self.trajectories_path) else []

    def read_traces(self) -> list[Trace]:
        """Read the traces that are there, those of an unfinished stage included."""
        return self._read_both(self.traces_path, self.traces_journal_path, Trace)

    def read_readouts(self) -> list[Readout]:
        """Read the readouts that are there, those of an unfinished stage included."""
        return self._read_both(self.readouts_path, self.readouts_journal_path, Readout)

    def read_updates(self) -> list[Update]:
        """Read the updates that are there, those of an unfinished stage included."""
        return self._read_both(self.updates_path, self.updates_journal_path, Update)

    def read_alignments(self) -> list[Alignment]:
        """Read the alignments that are there, those of an unfinished stage included."""
        return self._read_both(self.alignments_path, self.alignments_journal_path, Alignment)

    def read_adaptations(self) -> list[Adaptation]:
        """Read the adaptations that are there, those of an unfinished stage included."""
        return self._read_both(self.adaptations_path, self.adaptations_journal_path, Adaptation)

    def read_influences(self) -> list[Influence]:
        """Read the influences that are there, those of an unfinished stage included."""
        return self._read_both(self.influences_path, self.influences_journal_path, Influence)

    def read_resamplings(self) -> list[Resampling]:
        """Read the resamplings that are there, those of an unfinished stage included."""
        return self._read_both(self.resamplings_path, self.resamplings_journal_path, Resampling)

    def read_attempts(self) -> list[Attempt]:
        """Read the attempts that are there, those of an unfinished stage included."""
        self.read_manifest()
        return read_jsonl(self.attempts_path, Attempt) if is_there(self.attempts_path) else []

    def read_summaries(self) -> list[Trajectory]:
        """Read the summaries that are there; each is a response to a request about one trajectory."""
        self.read_manifest()
        return read_jsonl(self.summaries_path, Trajectory) if is_there(self.summaries_path) else []

    def write_questions(self, questions: Sequence[Question]) -> None:
        """Write questions.jsonl as a whole; the folder is made if need be.

        Raises:
            RunError: a question that has trajectories is missing or has another prompt, answer or tests than before.
        """
        self.read_manifest()
        if is_there(self.trajectories_path):
            answered = {trajectory.question_id for trajectory in self.read_trajectories()}
            new = {question.id: question for question in questions}
            if not is_there(self.questions_path) and not answered <= new.keys():
                raise RunError(f"{self.path} holds trajectories of other questions. Choose another folder.")
            for old in self.read_questions() if is_there(self.questions_path) else ():
                kept = new.get(old.id)
                if old.id in answered and (
                    kept is None or (kept.prompt, kept.gold_key()) != (old.prompt, old.gold_key())
                ):
                    raise RunError(
                        f"{self.path} holds trajectories of question {old.id!r}, which is "
                        f"{'missing' if kept is None else 'another one'} here. Choose another folder."
                    )
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.questions_path, map(encode_line, questions))

    def order_trajectories(self) -> None:
        """Rewrite the trajectories in question order, so that the bytes don't depend on the order of the work."""
        self.write_trajectories(self.read_trajectories())

    def write_trajectories(self, trajectories: Sequence[Trajectory]) -> None:
        """Replace the trajectories, put in question order."""
        rank = {question.id: i for i, question in enumerate(self.read_questions())}
        ordered = sorted(trajectories, key=lambda t: (rank.get(t.question_id, len(rank)), t.mode, t.repeat, t.id))
        write_atomically(self.trajectories_path, map(encode_line, ordered))

    def close_traces(self) -> list[Trace]:
        """Move the journal's traces into traces.parquet, in the order of the trajectories; returns all."""
        return self._close(self.traces_path, self.traces_journal_path, Trace)

    def close_readouts(self) -> list[Readout]:
        """Move the journal's readouts into readouts.parquet, in the order of the trajectories; returns all."""
        return self._close(self.readouts_path, self.readouts_journal_path, Readout)

    def close_updates(self) -> list[Update]:
        """Move the journal's updates into updates.parquet, in the order of the trajectories; returns all."""
        return self._close(self.updates_path, self.updates_journal_path, Update)

    def close_alignments(self) -> list[Alignment]:
        """Move the journal's alignments into alignments.parquet, in the order of the trajectories; returns all."""
        return self._close(self.alignments_path, self.alignments_journal_path, Alignment)

    def close_adaptations(self) -> list[Adaptation]:
        """Move the journal's adaptations into adaptations.parquet, in the order of the trajectories; returns all."""
        return self._close(self.adaptations_path, self.adaptations_journal_path, Adaptation)

    def close_influences(self) -> list[Influence]:
        """Move the journal's influences into influence.parquet, in the order of the trajectories; returns all."""
        return self._close(self.influences_path, self.influences_journal_path, Influence)

    def close_resamplings(self) -> list[Resampling]:
        """Move the journal's resamplings into resamplings.parquet, in the order of the trajectories; returns all."""
        return self._close(self.resamplings_path, self.resamplings_journal_path, Resampling)

    def order_attempts(self) -> list[Attempt]:
        """Rewrite the attempts in the order of the trajectories, so that the bytes don't depend on the work's order."""
        return self.write_attempts(self.read_attempts())

    def write_attempts(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Replace the attempts, put in the order of the trajectories; returns them so."""
        rank = {trajectory.id: i for i, trajectory in enumerate(self.read_trajectories())}
        ordered = sorted(
            attempts,
            key=lambda a: (rank.get(a.trajectory_id, len(rank)), a.method, a.variant, a.level, a.draw, a.id),
        )
        write_atomically(self.attempts_path, map(encode_line, ordered))
        return ordered

    def order_summaries(self) -> list[Trajectory]:
        """Rewrite the summaries in the order of the trajectories that they are of; returns all."""
        rank = {trajectory.id: i for i, trajectory in enumerate(self.read_trajectories())}
        summaries = sorted(
            self.read_summaries(), key=lambda s: (rank.get(s.question_id, len(rank)), s.model.name, s.repeat, s.id)
        )
        write_atomically(self.summaries_path, map(encode_line, summaries))
        return summaries

    def read_manifest(self) -> Manifest:
        """Read the manifest; an empty one if no stage has finished.

        Raises:
            RunError: it is of a newer schema, damaged, or not readable as a manifest.
        """
        try:
            content = read_plain(self.manifest_path)
        except (FileNotFoundError, NotADirectoryError):
            return Manifest(stages=())
        except OSError as error:
            raise RunError(f"{self.manifest_path} can't be read: {error.strerror}.") from error
        try:
            plain = msgspec.json.decode(content, type=dict[str, Any])
            if plain.get(CRC) not in (None, sum_record(plain)):
                raise ValueError("its checksum does not fit. If it was edited on purpose, take out the field crc")
            check_schema(str(self.path), plain.get("schema_version"))
            return msgspec.json.decode(content, type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
            raise RunError(
                f"{self.manifest_path} is no manifest: {error}. {advise_check(self.manifest_path)}"
            ) from error

    def record_stage(self, stage: StageManifest, inputs: Sequence[Path], outputs: dict[Path, int | None]) -> None:
        """Put a finished stage into the manifest, with hashes of the files it read and wrote (path: rows)."""
        described = replace(
            stage,
            inputs=tuple(self.describe_file(path) for path in inputs),
            outputs=tuple(self.describe_file(path, rows) for path, rows in outputs.items()),
        )
        # As it will be read again: tuples of the settings become lists, or no repetition would be seen as one.
        described = msgspec.json.decode(msgspec.json.encode(described), type=StageManifest)
        stages = self.read_manifest().stages
        if any(_is_repetition(described, done) for done in stages):
            return
        stages = (*stages, described)
        plain = msgspec.to_builtins(Manifest(stages=stages))
        content = msgspec.json.encode(plain | {CRC: sum_record(plain)})
        write_atomically(self.manifest_path, msgspec.json.format(content, indent=2) + b"\n")

    def describe_file(self, path: Path, rows: int | None = None) -> FileEntry:
        """Hash a file for the manifest."""
        inside = path.resolve().is_relative_to(self.path.resolve())
        name = path.resolve().relative_to(self.path.resolve()).as_posix() if inside else str(path)
        with path.open("rb") as file:
            return FileEntry(name, hashlib.file_digest(file, "sha256").hexdigest(), rows)

    def _read_both(self, table: Path, journal: Path, record_type: type[T]) -> list[T]:
        """Read a table and the journal of what is still to be put into it."""
        self.read_manifest()
        records = read_table(table, record_type) if is_there(table) else []
        if is_there(journal):
            known = {record.id for record in records}
            records += [record for record in read_jsonl(journal, record_type) if record.id not in known]
        return records

    def _close(self, table: Path, journal: Path, record_type: type[T]) -> list[T]:
        """Put a journal's records into their table, in the order of the trajectories."""
        rank = {trajectory.id: i for i, trajectory in enumerate(self.read_trajectories())}
        records = self._read_both(table, journal, record_type)
        records.sort(key=lambda record: (rank.get(record.trajectory_id, len(rank)), record.id))
        write_table(table, records, record_type)
        journal.unlink(missing_ok=True)
        return records


def _is_repetition(stage: StageManifest, done: StageManifest) -> bool:
    """Whether an execution repeated an earlier one: the same settings, model and files."""
    return (stage.stage, stage.config, stage.model, stage.inputs, stage.outputs) == (
        done.stage,
        done.config,
        done.model,
        done.inputs,
        done.outputs,
    )
