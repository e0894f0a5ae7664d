from collections import Counter

import pytest

from tests.faults.harness import Workshop

COUNTS: dict[str, Counter[str]] = {}


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    made = Workshop(tmp_path_factory.mktemp("undisturbed"))
    yield made
    made.close()


@pytest.fixture
def count():
    """Count faults of a stage by kind, for the table at the end."""

    def add(stage, kind, n):
        COUNTS.setdefault(stage.name, Counter())[kind] += n

    return add


def pytest_terminal_summary(terminalreporter):
    """Print how many faults each stage survived."""
    for name, counts in COUNTS.items():
        terminalreporter.write_line(f"{name}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
