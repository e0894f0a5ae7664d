"""Whether a data set has the columns that its reader needs, found out without fetching all of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import pyarrow.parquet as pq

from raml.errors import DataError
from raml.questions.files import read_rows
from raml.questions.sources.catalog import DATA_SETS, DataSet, list_files
from raml.questions.sources.columns import Columns
from raml.questions.sources.hub import HUB, find_cached, find_commit
from raml.questions.sources.settings import SourceSettings

PEEK_BYTES = 1 << 20
"""Read of a JSON list, for its first row."""


@dataclass(frozen=True)
class ColumnCheck:
    """What came of looking for a source's columns."""

    source: str
    expected: Columns
    seen_in: tuple[str, ...] = ()
    """The files of which the first row was looked at; none: nothing was checked."""
    reason: str = ""
    """Why nothing was."""

    def list_expected(self) -> str:
        """Write the columns, their spellings joined by "or"."""
        return ", ".join(" or ".join(names) for names in self.expected)


def check_columns(name: str, settings: SourceSettings) -> ColumnCheck:
    """Look for the columns of a named data set: in the files given, those in the cache, or their beginnings on the Hub.

    Where none of these can be had, nothing is checked, and the result says why.

    Raises:
        DataError: a column, a file or the data set is missing.
    """
    data = DATA_SETS[name]
    revision = settings.revision or data.revision
    if settings.files:
        seen = [(str(path), _read_first(path)) for path in settings.files]
        return _compare(data, seen)
    patterns = list_files(data, settings)
    if cached := find_cached(data, patterns, revision):
        return _compare(data, [(f"{data.repository} {path.name}, cached", _read_first(path)) for path in cached])
    try:
        return _compare(data, list(_peek_files(data, patterns, revision)))
    except _OutOfReach as error:
        return ColumnCheck(name, data.columns, reason=str(error))


class _OutOfReach(Exception):
    """The Hub can't be asked, or doesn't show the files."""


def _compare(data: DataSet, seen: list[tuple[str, list[str]]]) -> ColumnCheck:
    for place, there in seen:
        for names in data.columns:
            if not set(names) & set(there):
                raise DataError(
                    f"{place} has no column {' or '.join(map(repr, names))}; its columns are "
                    f"{', '.join(there[:12]) or 'none'}."
                )
    return ColumnCheck(data.name, data.columns, tuple(place for place, _ in seen))


def _read_first(path: Path) -> list[str]:
    for _, row in read_rows(path):
        return list(row)
    raise DataError(f"{path} has no rows.")


def _peek_files(data: DataSet, patterns: list[str], revision: str) -> Iterator[tuple[str, list[str]]]:
    """Read the columns of each file from its beginning (parquet: its end), on the Hub."""
    from huggingface_hub import HfApi, HfFileSystem
    from huggingface_hub.errors import GatedRepoError, HTTPError, RepositoryNotFoundError, RevisionNotFoundError

    page = f"{HUB}/{data.repository}"
    try:
        commit = find_commit(data.repository, revision)
        if commit is None:
            raise _OutOfReach("the Hub can't be reached")
        names = sorted(HfApi().list_repo_files(data.repository, repo_type="dataset", revision=commit))
        for pattern in patterns:
            found = [name for name in names if fnmatch(name, pattern)]
            if not found:
                raise DataError(f"{data.repository} has no file {pattern!r} at {commit}. See {page}.")
            for name in found:
                with HfFileSystem().open(f"datasets/{data.repository}@{commit}/{name}", "rb") as file:
                    yield (
                        f"{data.repository} {name} at {commit[:8]}, on the Hub",
                        read_columns(cast(BinaryIO, file), name),
                    )
    except GatedRepoError as error:
        raise _OutOfReach(f"its terms have to be accepted at {page}, and `hf auth login` run") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise DataError(f"There is no {data.repository} at {revision!r} on the Hub.") from error
    except (HTTPError, OSError) as error:
        raise _OutOfReach(f"the Hub broke off ({type(error).__name__})") from error


def read_columns(file: BinaryIO, name: str) -> list[str]:
    """Read the names of the columns of a .jsonl, .csv, .parquet or .json file, and no more of it than that takes.

    Raises:
        DataError: it is none of these, or malformed.
    """
    try:
        match PurePosixPath(name).suffix.lower():
            case ".jsonl":
                return list(json.loads(file.readline()))
            case ".csv":
                return next(csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline="")))
            case ".parquet":
                return list(pq.ParquetFile(file).schema_arrow.names)
            case ".json":
                return _read_first_item(file.read(PEEK_BYTES).decode("utf-8-sig", errors="ignore"))
    except (ValueError, StopIteration, TypeError) as error:
        raise DataError(f"{name}: its first row can't be read: {error}.") from error
    raise DataError(f"{name} is no .jsonl, .csv or .parquet file, and no .json list.")


def _read_first_item(text: str) -> list[str]:
    row, _ = json.JSONDecoder().raw_decode(text.lstrip().removeprefix("[").lstrip())
    return [str(i) for i in range(len(row))] if isinstance(row, list) else list(row)
