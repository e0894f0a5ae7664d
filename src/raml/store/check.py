"""Whether the files of a folder are whole: checksums, records, what they refer to, hashes of the manifest."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raml.errors import DataError, RunError
from raml.records import (
    Adaptation,
    Alignment,
    Attempt,
    Influence,
    LandscapePoint,
    Manifest,
    NotedStep,
    Question,
    Readout,
    Resampling,
    Trace,
    Trajectory,
    Update,
)
from raml.store.files import PARTIAL
from raml.store.landscapes import read_landscape
from raml.store.lines import Record, decode_line, is_torn
from raml.store.run import Run
from raml.store.tables import UNREADABLE, encode_table, read_groups

LINES: dict[str, type[Record]] = {
    "questions.jsonl": Question,
    "trajectories.jsonl": Trajectory,
    "attempts.jsonl": Attempt,
    "summaries.jsonl": Trajectory,
    "steps.jsonl": NotedStep,
}
TABLES: dict[str, type[Any]] = {
    "traces": Trace,
    "readouts": Readout,
    "updates": Update,
    "alignments": Alignment,
    "adaptations": Adaptation,
    "influence": Influence,
    "resamplings": Resampling,
}
"""Each a .parquet file, and a .journal.jsonl as long as the stage is not finished."""
DAMAGED = "damaged"
"""The folder for what is set aside."""


@dataclass
class FileCheck:
    """What came of looking at one file."""

    path: Path
    records: list[Any] = field(default_factory=list)
    """Those that are sound, of a file of records."""
    faults: list[str] = field(default_factory=list)
    """What is damaged or missing, a sentence each; none where the file is whole."""
    notes: list[str] = field(default_factory=list)
    """What is no damage but may be news."""
    bad: list[bytes] = field(default_factory=list)
    """Damaged lines, as they are."""
    sound: list[bytes] = field(default_factory=list)
    """Sound lines, as they are."""
    is_lost: bool = False
    """Whether nothing of the file can be used."""

    def is_repairable(self) -> bool:
        """Whether something of it can be set aside."""
        return self.is_lost or bool(self.bad)


def check_run(path: Path) -> list[FileCheck]:
    """Look at every file of a run, a model or a study folder, and of the folders of a study's steps.

    Raises:
        RunError: there is nothing of this kind, or a newer version wrote it.
    """
    folders = sorted({found.parent for name in ("manifest.json", *LINES) for found in path.rglob(name)})
    folders = [folder for folder in folders if DAMAGED not in folder.relative_to(path).parts]
    if not folders:
        raise RunError(f"{path} is no run, model or study folder: it has neither questions nor a manifest.")
    return [check for folder in folders for check in _check_folder(folder)]


def _check_folder(path: Path) -> list[FileCheck]:
    """Look at one folder."""
    run = Run(path)
    manifest, checks = _check_manifest(run)
    for name, record_type in LINES.items():
        if (path / name).is_file():
            checks.append(check_lines(path / name, record_type))
    for stem, record_type in TABLES.items():
        if (path / f"{stem}.parquet").is_file():
            checks.append(check_table(path / f"{stem}.parquet", record_type))
        if (path / f"{stem}.journal.jsonl").is_file():
            checks.append(check_lines(path / f"{stem}.journal.jsonl", record_type))
    for found in sorted(run.landscapes_path.glob("*")):
        if found.suffix == ".safetensors":
            checks.append(_check_landscape(found))
        elif found.name.endswith(".journal.jsonl"):
            checks.append(check_lines(found, LandscapePoint))
    _check_references({check.path.name: check for check in checks}, run)
    checks += _check_hashes(run, manifest, {check.path: check for check in checks})
    checks += [
        FileCheck(left, notes=["left behind by a writer that was killed; the next command removes it"])
        for left in sorted(path.rglob(f".*{PARTIAL}"))
        if left.parent in (path, run.figures_path, run.landscapes_path)
    ]
    return checks


def check_lines(path: Path, record_type: type[Record]) -> FileCheck:
    """Look at a file of lines.

    Raises:
        RunError: it can't be read, or a newer version wrote it.
    """
    check, ids = FileCheck(path), set()
    is_appended = path.name != "questions.jsonl"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} can't be read: {error.strerror}.") from error
    for number, line in enumerate(io.BytesIO(content), start=1):
        if is_appended and is_torn(line):
            check.notes.append("its last line is torn, as a kill leaves it; the next command cuts it off")
            check.sound.append(line)
            continue
        try:
            record = decode_line(line, record_type, f"line {number}", path)
            name = "" if isinstance(record, NotedStep) else record.id
            if name in ids and name:
                raise DataError(f"line {number}: id {name} was there before.")
            ids.add(name)
            check.records.append(record)
            check.sound.append(line if line.endswith(b"\n") else line + b"\n")
        except DataError as error:
            check.bad.append(line if line.endswith(b"\n") else line + b"\n")
            check.faults.append(str(error).partition(" `raml check")[0])
    if path.name.endswith(".journal.jsonl"):
        check.notes.append("records of a stage that is not finished")
    return check


def check_table(path: Path, record_type: type[Any]) -> FileCheck:
    """Look at a table, row group by row group.

    Raises:
        RunError: a newer version wrote it.
    """
    check, ids = FileCheck(path), set()
    try:
        groups = read_groups(path, record_type)
    except UNREADABLE as error:
        return FileCheck(path, faults=[f"unreadable: {_shorten(error)}"], is_lost=True)
    for number, read in enumerate(groups, start=1):
        try:
            records = read()
        except UNREADABLE as error:
            check.faults.append(f"row group {number} of {len(groups)}: {_shorten(error)}")
            check.bad.append(b"")
            continue
        for record in records:
            if record.id in ids:
                check.faults.append(f"row group {number}: id {record.id} was there before.")
                check.bad.append(b"")
            else:
                ids.add(record.id)
                check.records.append(record)
    return check


def _check_landscape(path: Path) -> FileCheck:
    try:
        return FileCheck(path, [read_landscape(path)])
    except RunError as error:
        if "newer version" in str(error):
            raise
        return FileCheck(path, faults=[str(error).partition(" `raml check")[0]], is_lost=True)


def _check_manifest(run: Run) -> tuple[Manifest, list[FileCheck]]:
    """Read the manifest; an empty one where it is damaged or not there."""
    if not run.manifest_path.is_file():
        return Manifest(stages=()), []
    try:
        return run.read_manifest(), [FileCheck(run.manifest_path)]
    except RunError as error:
        if "newer version" in str(error):
            raise
        told = str(error).partition(" `raml check")[0]
        return Manifest(stages=()), [FileCheck(run.manifest_path, faults=[told], is_lost=True)]


def _check_references(checks: Mapping[str, FileCheck], run: Run) -> None:
    """Find records about questions, trajectories or traces that are not there.

    Nothing is set aside for that: made again, what is missing has the same id.
    """

    def list_ids(name: str) -> set[str]:
        return {record.id for record in checks[name].records} if name in checks else set()

    questions, trajectories = list_ids("questions.jsonl"), list_ids("trajectories.jsonl")
    traces = list_ids("traces.parquet") | list_ids("traces.journal.jsonl")
    for name, check in checks.items():
        if name == "trajectories.jsonl":
            _note_dangling(check, "question", [t.question_id for t in check.records], questions, "raml questions")
        elif name == "summaries.jsonl":
            _note_dangling(check, "trajectory", [s.question_id for s in check.records], trajectories, "raml sample")
        elif name == "attempts.jsonl" or name.partition(".")[0] in TABLES:
            own = [record.trajectory_id for record in check.records]
            _note_dangling(check, "trajectory", own, trajectories, "raml sample")
        elif check.path.parent == run.landscapes_path and name.endswith(".safetensors"):
            own = [key for surface in check.records for key in surface.question_ids]
            _note_dangling(check, "question", own, questions, "raml questions")
        if name.partition(".")[0] == "influence":
            _note_dangling(check, "trace", [record.trace_id for record in check.records], traces, "raml trace")


def _note_dangling(check: FileCheck, kind: str, named: Iterable[str], there: set[str], command: str) -> None:
    missing = [key for key in named if key not in there]
    if missing:
        check.faults.append(
            f"{len(missing)} records are about a {kind} that is not here, such as {missing[0]}. Make it again with "
            f"the `{command}` that made it, or import it again; they count again then."
        )


def _check_hashes(run: Run, manifest: Manifest, checks: Mapping[Path, FileCheck]) -> Iterator[FileCheck]:
    """Compare files with what the manifest says of them: every stage's last outputs have to be there.

    A file of records may have grown since, by a stage that was killed; any other is whole only if a stage wrote it so.
    """
    known: dict[str, set[str]] = {}
    for stage in manifest.stages:
        for entry in (*stage.inputs, *stage.outputs):
            known.setdefault(entry.path, set()).add(entry.sha256)
    last = {stage.stage: stage for stage in manifest.stages}
    expected = {entry.path: stage.stage for stage in last.values() for entry in stage.outputs}
    names = dict.fromkeys(entry.path for stage in manifest.stages for entry in stage.outputs)
    for name in names:
        path = run.path / name
        if not path.is_file():
            if name in expected:
                yield FileCheck(path, faults=[f"missing; run `raml {expected[name]}` again as you did before"])
            continue
        differs = run.describe_file(path).sha256 not in known[name]
        if path in checks:
            if differs and not checks[path].faults:
                _judge_change(checks[path])
            continue
        told = "its hash is not the one in manifest.json: damaged, edited, or of a stage that was interrupted"
        yield FileCheck(path, faults=[told] if differs else [], is_lost=differs)


def _judge_change(check: FileCheck) -> None:
    """Say what it means that a file of sound records is not the one that the manifest knows."""
    table = TABLES.get(check.path.stem) if check.path.suffix == ".parquet" else None
    if table is not None and encode_table(check.records, table) != check.path.read_bytes():
        check.faults.append("damaged beside its records, or written by another version of raml or PyArrow")
        check.bad.append(b"")
    else:
        check.notes.append("has changed since a stage finished with it, as an edit or an interrupted stage leaves it")


def _shorten(error: BaseException) -> str:
    """The first line of an error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def list_faulty(checks: Iterable[FileCheck]) -> list[FileCheck]:
    """The files that are not whole."""
    return [check for check in checks if check.faults]
