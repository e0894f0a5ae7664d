"""What commands without a model will take: they are run on a part of the run, in a temporary folder."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from raml.errors import RunError
from raml.planning.process import measure_start, measure_time, read_peak, read_resident
from raml.planning.record import Duration, Part, Plan
from raml.scale.processes import LostWorkerError, WorkerProcess, end_processes
from raml.store import Run

WHOLE = 64
"""A run that has no more trajectories is tried whole."""
PARTS = (8, 32, 128, 256)
"""Trajectories of the parts that are tried of a larger one. Figures grow with the first questions only, and would make
the line too steep if there were only small parts."""
MAX_CPU_S = 20.0
"""Seconds of a processor after which no larger part is tried, unless there was only one."""


@dataclass(frozen=True)
class Try:
    """What a command took on a part of the runs."""

    n: int
    """Trajectories."""
    duration: Duration
    peak: int
    """Bytes of main memory at the most, of a process that did nothing else."""
    n_disk_bytes: int
    """Bytes written."""


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
    lens = [count_lines(Run(run).trajectories_path) for run in runs]
    if not all(lens):
        command(*runs)  # which will say what is wrong
    lens = lens if limit is None else [min(limit, n) for n in lens]
    n_all, n_most = sum(lens), max(lens)
    tries: list[Try] = []
    for n in (n_most,) if n_most <= WHOLE else PARTS:
        # Questions are taken whole: a part can be larger than it need be, and the next must be larger than that.
        n_wanted = min(n_most, max(n, tries[-1].n + 1)) if tries else n
        tries.append(try_command(command, runs, n_wanted, tables=tables))
        spent = sum(tried.duration.cpu_s for tried in tries)
        if tries[-1].n >= n_all or (len(tries) > 1 and spent > MAX_CPU_S):
            break
    fewer, more = tries[-2:] if len(tries) > 1 else tries * 2

    def extend(read: Callable[[Try], float]) -> float:
        slope = max(0.0, read(more) - read(fewer)) / (more.n - fewer.n) if more.n > fewer.n else 0.0
        return read(more) + slope * max(0, n_all - more.n)

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


def try_command(command: Callable[..., object], runs: Sequence[Path], n: int, *, tables: bool) -> Try:
    """Run a command on n trajectories of each run, or a few more, in a process of its own.

    Raises:
        RunError: that process was ended by the system.
        RamlError: the command can't be run on these runs.
    """
    with tempfile.TemporaryDirectory(prefix="raml-plan-") as name:
        parts = [Path(name) / str(i) / run.resolve().name for i, run in enumerate(runs)]
        n_copied = sum(copy_part(run, part, n, tables=tables) for run, part in zip(runs, parts, strict=True))
        before = _measure_files(Path(name))
        worker = WorkerProcess.start(_prepare, n_sharing=1)
        try:
            worker.send((command, parts))
            duration, peak = worker.receive()
        except LostWorkerError as error:
            raise RunError(
                f"Tried on {n_copied} trajectories, the command was ended by the system ({error.reason}); often that "
                "means too little memory."
            ) from error
        finally:
            end_processes([worker])
        return Try(n_copied, duration, peak, _measure_files(Path(name)) - before)


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

    Manifest, page and figures are left out, and tables if so asked. Returns how many trajectories these are.
    """
    ids = _copy_lines(run, part, n)
    for path in sorted(run.iterdir()):
        if path.suffix == ".parquet" and tables:
            _copy_rows(path, part / path.name, frozenset(ids))
        elif path.suffix in (".json", ".md") and path.name != "manifest.json":
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
    shutil.copyfile(own.questions_path, part / own.questions_path.name)
    ids: list[str] = []
    with own.trajectories_path.open("rb") as source, (part / own.trajectories_path.name).open("wb") as target:
        last = ""
        for line in source:
            trajectory = msgspec.json.decode(line, type=_Named)
            if len(ids) >= n and trajectory.question_id != last:
                break
            ids.append(trajectory.id)
            last = trajectory.question_id
            target.write(line)
    known = set(ids)
    for path in (own.attempts_path, own.summaries_path):
        if path.is_file():
            with path.open("rb") as source, (part / path.name).open("wb") as target:
                about = ((line, msgspec.json.decode(line, type=_About)) for line in source)
                target.writelines(line for line, record in about if record.is_about(known))
    return ids


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


def _measure_files(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
