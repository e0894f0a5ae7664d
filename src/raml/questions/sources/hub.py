"""Fetch the files of a data set from the Hugging Face Hub, and say what to do where that fails."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from raml.errors import DataError, MissingExtra
from raml.questions.sources.catalog import DataSet

HUB = "https://huggingface.co/datasets"
TIMEOUT_S = 10.0
"""How long the Hub has to answer, in seconds."""


def fetch_files(data: DataSet, patterns: list[str], revision: str) -> tuple[str, list[Path]]:
    """Fetch the files whose names match, in the order of the patterns; returns the commit they are of, and the files.

    What was fetched before is taken from the cache, without network too.

    Raises:
        DataError: the Hub can't be reached, wants to know that the terms were accepted, or has no such data set,
            revision or file.
    """
    folder = download_snapshot(data, patterns, revision)
    chosen = _choose_files(folder, patterns)
    for pattern, found in zip(patterns, chosen, strict=True):
        if not found:
            raise DataError(
                f"{data.repository} has no file {pattern!r} at revision {folder.name}. See {HUB}/{data.repository}, "
                f"and {advise_file(data, patterns)}."
            )
    return folder.name, [path for found in chosen for path in found]


def download_snapshot(data: DataSet, patterns: list[str], revision: str) -> Path:
    """Download files of one commit into the cache; returns their folder, whose name is the commit.

    Raises:
        DataError: as `fetch_files`.
        MissingExtra: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
    except ImportError as error:
        raise MissingExtra("Data sets from the Hub need huggingface_hub: pip install 'raml[tasks]'") from error
    try:
        commit = find_commit(data.repository, revision)
        folder = snapshot_download(
            data.repository,
            repo_type="dataset",
            revision=commit or revision,
            allow_patterns=patterns,
            local_files_only=commit is None,
        )
    except RevisionNotFoundError as error:
        raise DataError(f"{data.repository} has no revision {revision!r}; choose another with --revision.") from error
    except RepositoryNotFoundError as error:  # what is gated looks so, too
        raise DataError(_explain_refusal(data, patterns)) from error
    except Exception as error:
        raise DataError(
            f"{data.repository} is not in the cache, and the Hub can't be reached ({type(error).__name__}). Where "
            f"there is a network, get it from {HUB}/{data.repository}; then {advise_file(data, patterns)}."
        ) from error
    return Path(folder)


def find_cached(data: DataSet, patterns: list[str], revision: str) -> list[Path]:
    """Find the files in the cache, without asking the Hub; none if one is missing."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(data.repository, repo_type="dataset", revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return []
    chosen = _choose_files(folder, patterns)
    return [path for found in chosen for path in found] if all(chosen) else []


def _choose_files(folder: Path, patterns: list[str]) -> list[list[Path]]:
    """List the files of a snapshot whose names match, by pattern."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [[folder / name for name in names if fnmatch(name, pattern)] for pattern in patterns]


def find_commit(repository: str, revision: str) -> str | None:
    """Ask the Hub which commit a revision is; None if it doesn't answer. Asked once, where downloads try for long."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return HfApi().dataset_info(repository, revision=revision, timeout=TIMEOUT_S).sha
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise
    except (HTTPError, OSError):
        return None


def _explain_refusal(data: DataSet, patterns: list[str]) -> str:
    """Say why the Hub gives nothing, and what to do."""
    if data.is_gated:
        return (
            f"{data.repository} is for those who accepted its terms: do so at {HUB}/{data.repository}, run "
            f"`hf auth login`, and try again; or get its file there and {advise_file(data, patterns)}."
        )
    return (
        f"There is no data set {data.repository} on the Hub any more, or it is private. If you have its file, "
        f"{advise_file(data, patterns)}."
    )


def advise_file(data: DataSet, patterns: list[str]) -> str:
    """Say how to load files that were fetched by other means."""
    flags = " ".join(f"--file {''.join(pattern.split('*')[-2:])}" for pattern in patterns)
    return f"run `raml questions {data.name} {flags} --out RUN`"
