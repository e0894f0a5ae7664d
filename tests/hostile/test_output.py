"""Where the output goes may be full, closed or gone, and must not be steered by what a file holds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.harness import Case, check

COMMAND = (sys.executable, "-m", "raml")
FULL = Path("/dev/full")


def start(*words, **options):
    return subprocess.run([*COMMAND, *words], stderr=subprocess.PIPE, check=False, timeout=120, **options)


@pytest.mark.skipif(not FULL.is_char_device(), reason="there is no device that is always full")
@pytest.mark.parametrize("words", ["evaluate run --n-resamples 99 --format csv", "help runs"])
def test_a_full_standard_output_is_one_line_and_exit_code_2(place, words):
    place("run")
    with FULL.open("wb") as full:
        done = start(*words.split(), stdout=full)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[0].startswith("raml: Standard output can't be written: No space left on")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(not FULL.is_char_device(), reason="there is no device that is always full")
def test_a_full_standard_error_does_not_change_the_exit_code():
    with FULL.open("wb") as full:
        assert subprocess.run([*COMMAND, "frob"], stderr=full, check=False, timeout=120).returncode == 2


def test_a_reader_that_has_gone_ends_a_command_without_a_word():
    """`raml help runs | head -1`, whose reader closes the pipe before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as broken:
        done = start("help", "runs", stdout=broken)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_closed_standard_output_is_no_error():
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *COMMAND, "help", "runs"], stderr=subprocess.PIPE, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_encoding_without_our_letters_gets_escapes(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = start("help", "scoring", stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    assert b"L\\u0302" in done.stdout


STEERING = "x\x1b[2J\x1b]0;title\x07\x9b31m\u202eexe.\ud800"
"""Clears the screen, sets a window's title, turns red, writes from right to left, and is half a character."""


def test_what_a_file_is_called_does_not_steer_the_terminal(place, capsys):
    """The row's place, with the name in it, is quoted in the message."""
    name = STEERING.replace("\ud800", "\udcff") + ".jsonl"  # as a name that is no UTF-8 arrives
    err = check(Case("steering", f"questions '{name}' --out out", ".jsonl line 1", {name: "{oops\n"}), capsys)
    assert err.rstrip("\n").isprintable()
    assert "\\x1b[2J" in err
    assert "\\u202e" in err


def test_what_a_record_says_does_not_steer_the_terminal(place, capsys):
    place("run")
    row = '{"id": "x\\u001b[2J", "prompt": "a", "answer": "1"}\n'
    err = check(Case("steering", "questions q.jsonl --out out", "\\x1b[2J", {"q.jsonl": row + row}), capsys)
    assert err.rstrip("\n").isprintable()
