"""Set aside what is damaged, so that the stages that made it make it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raml.store.check import DAMAGED, TABLES, FileCheck
from raml.store.files import write_atomically, writing
from raml.store.tables import write_table


def repair_files(checks: Sequence[FileCheck]) -> list[Path]:
    """Move damaged lines and files into the folder `damaged` of their run, and keep what is sound.

    Of a table with a damaged row group a copy is kept there, and the table is written anew from the other groups. What
    is damaged is in its new place before it leaves the old one.

    Returns:
        What is in `damaged` now.

    Raises:
        RunError: the disk is full or the folder can't be written.
    """
    moved = []
    for check in checks:
        if not check.is_repairable():
            continue
        aside = _find_place(check.path)
        moved.append(aside)
        with writing(aside):
            aside.parent.mkdir(parents=True, exist_ok=True)
        if check.is_lost:
            with writing(aside):
                check.path.rename(aside)
        elif check.path.suffix == ".parquet":
            write_atomically(aside, check.path.read_bytes())
            write_table(check.path, check.records, TABLES[check.path.stem])
        else:
            write_atomically(aside, check.bad)
            write_atomically(check.path, check.sound)
    return moved


def _find_place(path: Path) -> Path:
    """A name in the run's folder of damaged things that is free."""
    folder = path.parent if path.parent.name not in ("landscapes", "figures") else path.parent.parent
    place, number = folder / DAMAGED / path.name, 1
    while place.exists():
        number += 1
        place = folder / DAMAGED / f"{path.stem}.{number}{path.suffix}"
    return place
