"""Take the results of studies into the package, and write docs/claims.md from all that it holds.

    python recipes/claims.py studies-tiny
    python recipes/claims.py            # the page alone

Results go to src/raml/studies/results/SCALE/STUDY.json, figures to docs/images/claims/SCALE-STUDY.png.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from raml.records import StudyScale
from raml.store import write_atomically
from raml.studies import STUDIES, load_setup, read_packaged
from raml.studies.conclusion import RESULTS, read_own
from raml.studies.plan import SCALES
from raml.studies.wording import write_claims

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "claims.md"
IMAGES = ROOT / "docs" / "images" / "claims"
INTRODUCTION = """# The paper's claims, measured again

`make claims` writes this page from the records in `src/raml/studies/results/`; [Studies](studies.md) says how they are
made and judged, what was known when the rules were written, and which rules carry less than their verdict seems to. The
records hold the rules that they were judged by.
"""
SCALE_TITLES: dict[StudyScale, str] = {
    "tiny": "the embedded models",
    "small": "models of 0.5 to 1.5 billion parameters",
    "paper": "the paper's models",
}


def main() -> None:
    """Take, then write."""
    arguments = read_arguments()
    if arguments.home is not None:
        for scale in SCALES:
            take(arguments.home, scale)
    write_atomically(PAGE, write_page().encode())
    print(f"Wrote {PAGE}")


def take(home: Path, scale: StudyScale) -> None:
    """Copy a scale's results and figures from a folder in which studies were run."""
    for result in read_own(home, scale):
        own = home / RESULTS / result.name
        place = ROOT / "src" / "raml" / "studies" / RESULTS / result.scale / f"{result.name}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(own / f"{result.name}.json", place)
        IMAGES.mkdir(parents=True, exist_ok=True)
        for name in result.figures:
            if name.endswith(".png"):
                shutil.copyfile(own / name, IMAGES / f"{result.scale}-{name}")


def write_page() -> str:
    """Write the page: a part for each scale that has results, and for tiny in any case."""
    parts = [INTRODUCTION]
    for scale in SCALES:
        results = read_packaged(scale)
        if results or scale == "tiny":
            setups = {name: load_setup(name, scale) for name in STUDIES}
            parts.append(f"## Scale {scale}: {SCALE_TITLES[scale]}\n")
            parts.append(write_claims(setups, results, f"images/claims/{scale}-"))
    return "\n".join(parts)


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Take results of studies into the package and write docs/claims.md.")
    parser.add_argument("home", type=Path, nargs="?", help="a folder in which studies were run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
