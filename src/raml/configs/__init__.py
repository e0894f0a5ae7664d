"""Settings that come with raml: TOML files for `raml --config`, chat templates, and launcher files for accelerate.

raml --config tiny/sft train sft …
python -m raml.configs                    # the names, and where the files are
python -m raml.configs accelerate/fsdp    # where this one is
"""

from pathlib import Path

FOLDER = Path(__file__).parent
KINDS = (".toml", ".yaml", ".jinja")


def list_configs(kind: str | None = None) -> dict[str, Path]:
    """List the packaged files by name, such as "tiny/sft".

    Args:
        kind: Which ending they have, one of `KINDS`; None for all.
    """
    paths = (path for path in sorted(FOLDER.glob("*/*")) if path.suffix in (KINDS if kind is None else (kind,)))
    return {path.relative_to(FOLDER).with_suffix("").as_posix(): path for path in paths}


def find_config(given: Path, kind: str) -> Path:
    """Find the file that a user means: the one at this path, else the packaged one of this name.

    Args:
        given: A path, or a name with or without the ending, such as "tiny/sft".
        kind: The ending of a packaged one, of `KINDS`.

    Returns:
        The packaged file, or the path as it was given; whether there is anything, the one who reads it will see.
    """
    name = given.with_suffix("") if given.suffix == kind else given
    packaged = list_configs(kind).get(name.as_posix())
    return given if packaged is None or given.is_file() else packaged
