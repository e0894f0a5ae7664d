"""Check the locked packages: that each is pinned, that nothing else is imported, and what is known against them.

    python recipes/audit.py

The first two need no network. For the third, pip-audit is installed into an environment that is thrown away, and asks
the package index about every pinned version. What it could not be told about is said, and never taken for sound.

Exit code: 0 if all is well, 1 if something was found, 2 if known faults could not be looked up.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterable, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PINNED = re.compile(r"([A-Za-z0-9][\w.\-]*)==([^\s;#]+)(?:\s*;[^#]*)?")
TIMEOUT_S = 600


def main() -> int:
    """Run the three checks and say what each found; the largest exit code counts."""
    pins, faults = read_lock((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    sources = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "src" / "raml").rglob("*.py"))}
    optional = find_unlocked_extras(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8")), pins)
    faults += find_unlocked_imports(sources, pins, optional, packages_distributions())
    for fault in faults:
        print(fault)
    if not faults:
        print(f"{len(pins)} packages in the lock, each with an exact version; {len(sources)} modules import no other.")
    found, code = explain_report(ask_index(ROOT / "requirements.lock"), len(pins))
    print(*found, sep="\n")
    return max(code, int(bool(faults)))


def read_lock(text: str) -> tuple[dict[str, str], list[str]]:
    """Read the pins of a lock, version by name, and say which lines are none."""
    pins: dict[str, str] = {}
    faults = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if match := PINNED.fullmatch(line.partition("#")[0].strip()):
            pins[write_name(match[1])] = match[2]
        else:
            faults.append(f"requirements.lock has {line.strip()!r}, which is no exact version.")
    return pins, faults


def find_unlocked_extras(project: Mapping[str, Any], pins: Mapping[str, str]) -> set[str]:
    """Packages that extras of the project name and the lock leaves out: they need a GPU, say."""
    extras = project["project"]["optional-dependencies"].values()
    named = {write_name(re.split(r"[\[<>=!~; ]", need, maxsplit=1)[0]) for extra in extras for need in extra}
    return named - pins.keys()


def find_unlocked_imports(
    sources: Mapping[Path, str], pins: Mapping[str, str], optional: set[str], owners: Mapping[str, list[str]]
) -> list[str]:
    """Say which imports belong to no package of the lock.

    Args:
        sources: Text of the modules by path.
        pins: What the lock has.
        optional: Packages that may be imported all the same.
        owners: Packages that bring each top-level module.
    """
    faults = []
    for path, text in sources.items():
        for name in sorted(list_imports(text) - set(sys.stdlib_module_names) - {"raml", "__future__"}):
            packages = {write_name(package) for package in owners.get(name, [name])}
            if not packages & (pins.keys() | optional):
                faults.append(f"{path} imports {name}, which no package of requirements.lock brings.")
    return faults


def list_imports(text: str) -> set[str]:
    """Top-level names of what a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def ask_index(lock: Path) -> dict[str, Any] | None:
    """Let pip-audit ask about each pin; None if it can't be installed or gets no answer."""
    with tempfile.TemporaryDirectory(prefix="raml-audit-") as folder:
        place, report = Path(folder) / "venv", Path(folder) / "report.json"
        try:
            venv.create(place, with_pip=True)
            python = next(place.glob("[bS]*/python*"))
            quiet = ("--quiet", "--disable-pip-version-check")
            subprocess.run(
                [python, "-m", "pip", "install", *quiet, "pip-audit"],
                check=True,
                capture_output=True,
                timeout=TIMEOUT_S,
            )
            command = [python, "-P", "-m", "pip_audit", "--requirement", str(lock), "--no-deps", "--disable-pip"]
            command += ["--progress-spinner", "off", "--format", "json", "--output", str(report)]
            subprocess.run(command, check=False, capture_output=True, timeout=TIMEOUT_S)
            return json.loads(report.read_text(encoding="utf-8"))
        except (OSError, ValueError, subprocess.SubprocessError):
            return None


def explain_report(report: Mapping[str, Any] | None, n_pins: int) -> tuple[list[str], int]:
    """Say what a report of pip-audit found, and the exit code for it.

    It ends well also where the index knew none of the packages, so those that it could tell about are counted.
    """
    listed = report["dependencies"] if report is not None else []
    answered = [one for one in listed if "skip_reason" not in one]
    lines = [
        f"{one['name']} {one['version']}: {fault['id']}, {write_fix(fault['fix_versions'])}"
        for one in answered
        for fault in one["vulns"]
    ]
    code = 1 if lines else 0
    if len(answered) < n_pins:
        lines.append(
            f"NOT CHECKED: the index told of known faults for {len(answered)} of {n_pins} packages; run this where the "
            "Python package index can be reached."
        )
        code = code or 2
    elif not lines:
        lines.append(f"No fault is known of any of {n_pins} packages.")
    return lines, code


def write_fix(versions: Iterable[str]) -> str:
    """Say which versions mend a fault."""
    return f"mended in {', '.join(versions)}" if versions else "not mended yet"


def write_name(package: str) -> str:
    """Write a package's name in its one form."""
    return re.sub(r"[-_.]+", "-", package).lower()


if __name__ == "__main__":
    sys.exit(main())
