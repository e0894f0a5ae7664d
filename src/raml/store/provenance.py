"""What a manifest says about the machine and the code."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("raml", "torch", "transformers", "tokenizers", "numpy", "scipy", "math-verify", "pyarrow", "accelerate", "trl"),
    *("huggingface-hub", "reasoning-gym", "inspect-ai", "openai", "vllm"),
)


def list_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue  # not installed: nothing of it has run
    return versions


def find_git_commit() -> str | None:
    """Commit of the source tree this package runs from, "-dirty" if changed; None for an installed package."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
