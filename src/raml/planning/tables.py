"""What commands without a model will take: they are run on a part of the run, in a temporary folder."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from raml.errors import DataError, RamlError, RunError
from raml.planning.process import measure_start, measure_time, read_peak, read_resident
from raml.planning.record import MANIFEST, Duration, Part, Plan
from raml.scale.processes import LostWorkerError, WorkerProcess, end_processes
from raml.store import Run
from raml.store.checksums import advise_check
from raml.store.lines import is_torn

WHOLE = 64
"""A run that has no more trajectories is tried whole."""
PARTS = (8, 32, 128, 256)
"""Trajectories of the parts that are tried of a larger one. Figures grow with the first questions only, and would make
the line too steep if there were only small parts."""
MAX_CPU_S = 20.0
"""Seconds of a processor after which no larger part is tried, unless there was only one."""


@dataclass(frozen=True)
class Try:
    """What a command took on parts of the runs."""

    n: int
    """Trajectories that it looked at."""
    largest: int
    """Trajectories of the largest part."""
    duration: Duration
    peak: int
    """Bytes of main memory at the most, of a process that did nothing else."""
    n_disk_bytes: int
    """Bytes of the files that it wrote, beside the manifest."""


def plan_tables(
    stage: str,
    runs: Sequence[Path],
    command: Callable[..., object],
    *,
    limit: int | None = None,
    tables: bool = True,
) -> Plan:
    """Plan a command that reads what runs hold, and needs no model.

    It is tried on the first questions of each run and what belongs to them, with more and more of them, each time in a
    new process. From the two largest parts on, time, memory and what is written are taken to grow in a straight line
    with the number of trajectories.

    Args:
        stage: The command's name.
        runs: The runs' folders.
        command: Runs the command in folders, one argument each; picklable.
        limit: Trajectories of each run that it looks at, if not all.
        tables: Whether it reads more than questions and trajectories.

    Raises:
        RamlError: the command can't be run on these runs.
    """
    start, program = measure_start(), read_resident()
    lens = [_bound(count_lines(Run(run).trajectories_path), limit) for run in runs]
    n_all = sum(lens)
    tries = _try_parts(command, runs, n_all, max(lens), limit, tables=tables)
    fewer, more = tries[-2:] if len(tries) > 1 else tries * 2

    def extend(read: Callable[[Try], float]) -> float:
        slope = max(0.0, read(more) - read(fewer)) / (more.n - fewer.n) if more.n > fewer.n else 0.0
        return read(more) + slope * (n_all - more.n)

    grown = round(extend(lambda tried: tried.peak)) - program
    return Plan(
        stage=stage,
        model=None,
        n_units=n_all,
        unit="trajectories",
        tokens_read=None,
        tokens_written=0,
        most_written=0,
        host=(Part("program", program), Part("libraries, records and results", max(0, grown))),
        loading=0,
        device=(),
        n_disk_bytes=round(extend(lambda tried: tried.n_disk_bytes)),
        start=start,
        work=Duration(extend(lambda tried: tried.duration.wall_s), extend(lambda tried: tried.duration.cpu_s)),
        notes=("All records that it reads are in memory together, so its memory grows with the run.",),
    )


def _try_parts(
    command: Callable[..., object], runs: Sequence[Path], n_all: int, n_most: int, limit: int | None, *, tables: bool
) -> list[Try]:
    """Try larger and larger parts, until one is the whole or the time is spent; one at least."""
    tries: list[Try] = []
    for n in (n_most,) if n_most <= WHOLE else PARTS:
        # Questions are taken whole: a part can be larger than it need be, and the next must be larger than that.
        n_wanted = min(n_most, max(n, tries[-1].largest + 1)) if tries else n
        tries.append(try_command(command, runs, n_wanted, limit=limit, tables=tables))
        spent = sum(tried.duration.cpu_s for tried in tries)
        if tries[-1].n >= n_all or (len(tries) > 1 and spent > MAX_CPU_S):
            break
    return tries


def try_command(
    command: Callable[..., object], runs: Sequence[Path], n: int, *, limit: int | None = None, tables: bool = True
) -> Try:
    """Run a command on n trajectories of each run, or a few more, in a process of its own.

    The runs themselves are only read. An error of the command names them, and not their parts.

    Raises:
        RunError: that process was ended by the system.
        RamlError: the command can't be run on these runs.
    """
    with tempfile.TemporaryDirectory(prefix="raml-plan-") as name:
        parts = [Path(name) / str(i) / run.resolve().name for i, run in enumerate(runs)]
        lens = [copy_part(run, part, n, tables=tables) for run, part in zip(runs, parts, strict=True)]
        n_looked_at = sum(_bound(n_copied, limit) for n_copied in lens)
        before = _list_files(Path(name))
        worker = WorkerProcess.start(_prepare, n_sharing=1)
        try:
            worker.send((command, parts))
            duration, peak = worker.receive()
        except LostWorkerError as error:
            raise RunError(
                f"Tried on {n_looked_at} trajectories, the command was ended by the system ({error.reason}); often "
                "that means too little memory."
            ) from error
        except RamlError as error:
            for part, run in zip(parts, runs, strict=True):
                error.args = tuple(str(argument).replace(str(part), str(run)) for argument in error.args)
            raise
        finally:
            end_processes([worker])
        written = _list_files(Path(name)).items() - before.items()
        return Try(n_looked_at, max(lens), duration, peak, sum(n_bytes for _, (n_bytes, *_) in written))


def _bound(n: int, limit: int | None) -> int:
    return n if limit is None else min(limit, n)


def _prepare() -> Callable[[tuple[Callable[..., object], Sequence[Path]]], tuple[Duration, int]]:
    return _measure


def _measure(work: tuple[Callable[..., object], Sequence[Path]]) -> tuple[Duration, int]:
    """What a command takes in this process, which has done nothing before: time, and bytes of memory at the most."""
    command, parts = work
    with contextlib.redirect_stdout(io.StringIO()):
        duration = measure_time(lambda: command(*parts))
    return duration, read_peak()


def copy_part(run: Path, part: Path, n: int, *, tables: bool = True) -> int:
    """Copy the trajectories of a run's first questions, n or a few more, and the records about them, to a new folder.

    Manifest, page and figures are left out, and tables if so asked. Of a folder that is no run, what is there is
    copied. Returns how many trajectories these are.
    """
    if not run.is_dir():
        return 0
    ids = _copy_lines(run, part, n)
    for path in sorted(run.iterdir()):
        if path.suffix == ".parquet" and tables:
            _copy_rows(path, part / path.name, frozenset(ids))
        elif path.suffix in (".json", ".md") and path.name != MANIFEST:
            shutil.copyfile(path, part / path.name)
    if (run / "landscapes").is_dir():
        shutil.copytree(run / "landscapes", part / "landscapes")
    return len(ids)


def _copy_rows(path: Path, target: Path, ids: Collection[str]) -> None:
    """Copy a table's rows about some trajectories, a row group at a time."""
    # Imported here: it takes memory that commands which read no table don't need.
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = pc.field("trajectory_id").isin(sorted(ids))
    with pq.ParquetFile(path) as source, pq.ParquetWriter(target, source.schema_arrow) as writer:
        for i in range(source.num_row_groups):
            writer.write_table(source.read_row_group(i).filter(wanted))


def _copy_lines(run: Path, part: Path, n: int) -> list[str]:
    """Copy questions, and of other records by lines the first trajectories and what is about them; their ids."""
    part.mkdir(parents=True)
    own = Run(run)
    if own.questions_path.is_file():
        shutil.copyfile(own.questions_path, part / own.questions_path.name)
    ids: list[str] = []
    last = ""
    with _copying(own.trajectories_path, part) as (lines, target):
        for line in lines:
            trajectory = msgspec.json.decode(line, type=_Named)
            if len(ids) >= n and trajectory.question_id != last:
                break
            ids.append(trajectory.id)
            last = trajectory.question_id
            target.write(line)
    known = set(ids)
    for path in (own.attempts_path, own.summaries_path):
        with _copying(path, part) as (lines, target):
            about = ((line, msgspec.json.decode(line, type=_About)) for line in lines)
            target.writelines(line for line, record in about if record.is_about(known))
    return ids


@contextlib.contextmanager
def _copying(path: Path, part: Path) -> Iterator[tuple[Iterator[bytes], BinaryIO]]:
    """Open a file of lines, the one at its end that a kill has cut off left out, and its copy; nothing for no file.

    Raises:
        DataError: a line is no record.
    """
    if not path.is_file():
        yield iter(()), io.BytesIO()
        return
    try:
        with path.open("rb") as source, (part / path.name).open("wb") as target:
            yield (line for line in source if not is_torn(line)), target
    except msgspec.DecodeError as error:
        raise DataError(f"{path} has a line that is no record: {error}. {advise_check(path)}") from error


class _Named(msgspec.Struct):
    """A trajectory's ids, and nothing else of it."""

    id: str
    question_id: str


class _About(msgspec.Struct):
    """What a record is about: summaries call the trajectory their question."""

    trajectory_id: str = ""
    question_id: str = ""

    def is_about(self, ids: Collection[str]) -> bool:
        return self.trajectory_id in ids or self.question_id in ids


def count_lines(path: Path) -> int:
    """Lines of a file; none where there is no file."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _list_files(folder: Path) -> dict[Path, tuple[int, ...]]:
    """Files, each with its size and what changes when it is written."""
    found = ((path, path.stat()) for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path: (stat.st_size, stat.st_ino, stat.st_mtime_ns) for path, stat in found}
