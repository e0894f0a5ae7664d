"""What studies take from elsewhere: whether data sets have the columns that are read, and whether models are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from raml.errors import RamlError
from raml.questions.sources import SourceSettings, check_columns, load_source, open_source, read_plain_rows

TIMEOUT_S = 10.0
"""How long the Hub has to answer, in seconds."""


@dataclass(frozen=True)
class Source:
    """A named data set, and what of it is asked for."""

    name: str
    settings: SourceSettings
    clean: bool


def check_sources(sources: Iterable[Source]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Look for the columns of data sets, and read given files to their end.

    Returns:
        Rows of name, what was looked at and the columns needed; and faults, a sentence each.
    """
    rows, faults = [], []
    for source in sources:
        try:
            checked = check_columns(source.name, source.settings)
            if source.settings.files:
                _read_all(source)
        except RamlError as error:
            faults.append(f"{source.name}: {error}")
            continue
        seen = f"found in {'; '.join(checked.seen_in)}" if checked.seen_in else f"not checked: {checked.reason}"
        rows.append((source.name, seen, checked.list_expected()))
    return rows, faults


def check_models(names: Iterable[str]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Look for models in the cache and on the Hub; nothing is fetched.

    Returns:
        Rows of name and where it was found; and faults, a sentence each.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, RepositoryNotFoundError

    rows, faults, answers = [], [], True
    for name in sorted(names):
        try:
            if isinstance(try_to_load_from_cache(name, "config.json"), str):
                rows.append((name, "in the cache"))
                continue
            if answers:
                found = HfApi().model_info(name, timeout=TIMEOUT_S)
                rows.append((name, f"on the Hub, {found.sha}"))
                continue
        except (RepositoryNotFoundError, HFValidationError):
            faults.append(f"There is no model {name} on the Hub, or it is private.")
            continue
        except (HfHubHTTPError, HTTPError, OSError):
            answers = False
        rows.append((name, "not checked: it is not in the cache, and the Hub can't be reached"))
    return rows, faults


def _read_all(source: Source) -> None:
    """Read files as `raml questions` would.

    Raises:
        DataError: a row is not as it should be.
    """
    if source.clean:
        for _ in read_plain_rows(open_source(source.name, source.settings)):
            pass
    else:
        load_source(source.name, source.settings)


def find_existing(folder: Path) -> Path:
    """Find the folder, or the nearest one above it that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
