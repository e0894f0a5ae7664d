"""What commands without a model will take: they are run on a part of the run, in a temporary folder."""

from __future__ import annotations

import contextlib
import gc
import io
import itertools
import shutil
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import msgspec

from raml.planning.process import forget_peak, measure_start, measure_time, read_peak, read_resident
from raml.planning.record import Duration, Part, Plan
from raml.store import Run

SMALLEST, LARGEST = 8, 64
"""Trajectories of the two parts that are tried; a run that has no more than the larger one is tried whole."""


def plan_tables(
    stage: str,
    runs: Sequence[Path],
    command: Callable[[list[Path]], object],
    *,
    limit: int | None = None,
    tables: bool = True,
) -> Plan:
    """Plan a command that reads what runs hold, and needs no model.

    It is tried on the first questions of each run and what belongs to them, with fewer and with more of them; time,
    memory and what is written are taken to grow in a straight line with the number of trajectories.

    Args:
        stage: The command's name.
        runs: The runs' folders.
        command: Runs the command in folders.
        limit: Trajectories of each run that it looks at, if not all.
        tables: Whether it reads more than questions and trajectories.

    Raises:
        RamlError: the command can't be run on these runs.
    """
    start, program = measure_start(), read_resident()
    lens = [count_lines(Run(run).trajectories_path) for run in runs]
    if not all(lens):
        command(list(runs))  # which will say what is wrong
    n_all = sum(lens if limit is None else (min(limit, n) for n in lens))
    n_large = min(LARGEST, max(lens))
    n_small = min(SMALLEST, max(1, n_large // 4))
    first, fewer, more = (_try(runs, n, command, tables) for n in (n_small, n_small, n_large))
    n_fewer, n_more = fewer[0], more[0]

    def extend(small: float, large: float) -> float:
        slope = max(0.0, large - small) / (n_more - n_fewer) if n_more > n_fewer else 0.0
        return large + slope * (n_all - n_more)

    wall, cpu, memory, disk = (extend(small, large) for small, large in zip(fewer[1:], more[1:], strict=True))
    once = Duration(max(0.0, first[1] - fewer[1]), max(0.0, first[2] - fewer[2]))  # imports
    grown = max(0, round(memory) - program)
    return Plan(
        stage=stage,
        model=None,
        n_units=n_all,
        unit="trajectories",
        tokens_read=None,
        tokens_written=0,
        most_written=0,
        host=(Part("program", program), Part("libraries, records and results", grown)),
        loading=0,
        device=(),
        n_disk_bytes=round(disk),
        start=start,
        work=Duration(wall, cpu) + once,
        notes=("All records that it reads are in memory together, so its memory grows with the run.",),
    )


def _try(
    runs: Sequence[Path], n: int, command: Callable[[list[Path]], object], tables: bool
) -> tuple[float, float, float, float, float]:
    """Run a command on parts of runs: trajectories, seconds by the clock and of a processor, peak, bytes written."""
    with tempfile.TemporaryDirectory(prefix="raml-plan-") as name:
        parts = [Path(name) / str(i) / run.resolve().name for i, run in enumerate(runs)]
        n_copied = sum(copy_part(run, part, n, tables=tables) for run, part in zip(runs, parts, strict=True))
        before = _measure_files(Path(name))
        gc.collect()  # what the try before left is not this one's
        forget_peak()
        with contextlib.redirect_stdout(io.StringIO()):
            duration = measure_time(lambda: command(parts))
        return n_copied, duration.wall_s, duration.cpu_s, read_peak(), _measure_files(Path(name)) - before


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
    # Imported here: it takes memory that commands which read no table don't need. Rows are sliced for the same reason:
    # a filter would import pandas where that is installed.
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as source, pq.ParquetWriter(target, source.schema_arrow) as writer:
        for i in range(source.num_row_groups):
            group = source.read_row_group(i)
            wanted = [key in ids for key in group["trajectory_id"].to_pylist()]
            start = 0
            for is_wanted, rows in itertools.groupby(wanted):
                n = len(list(rows))
                if is_wanted:
                    writer.write_table(group.slice(start, n))
                start += n
    pa.default_memory_pool().release_unused()  # or it counts as what the command takes


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
