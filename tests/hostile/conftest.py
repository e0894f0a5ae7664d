"""A finished run of the embedded world, made once and copied for each case."""

import shutil

import pytest

from raml.cli import run
from raml.models import find_source

STEPS = (
    "questions tiny --limit 2 --out RUN",
    "sample tiny RUN --n 2 --temperature 1 --max-new-tokens 200 --threads 1",
    "trace RUN --readout --threads 1",
    "update RUN --n-prefixes 2 --n-others 0 --limit 1 --threads 1",
    "align RUN --n-prefixes 1 --n-directions 2 --limit 1 --no-nulls --threads 1",
    "adapt RUN --steps 1 --limit 1 --threads 1",
    "landscape RUN --n-steps 3 --n-questions 1 --threads 1",
    "influence RUN --n-resamples 99",
    "faithfulness RUN --n-trajectories 1 --n 2 --max-borders 4 --threads 1",
    "compress RUN cut --budget 8 --n-resamples 99 --threads 1",
    "evaluate RUN --n-resamples 99",
)
"""Every stage that writes records, as small as it can be."""


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A folder with `run`, in which every stage has finished, and `model`, a copy of the embedded one."""
    root = tmp_path_factory.mktemp("hostile")
    for step in STEPS:
        assert run(step.replace("RUN", str(root / "run")).split()) == 0, step
    shutil.rmtree(root / "run" / "figures")
    shutil.copytree(find_source("tiny"), root / "model")
    return root


@pytest.fixture
def place(world, tmp_path, monkeypatch):
    """An empty current folder, and a function that puts a copy of `run` or `model` there."""
    monkeypatch.chdir(tmp_path)

    def put(name):
        if not (tmp_path / name).exists():
            shutil.copytree(world / name, tmp_path / name)

    return put
