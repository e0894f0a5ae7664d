"""States and work that travel to other processes, and notes of what was done where."""

import os
import signal
import time
from pathlib import Path

from raml.errors import DataError, NumericsError


def hold(value):
    """Set up: a worker's state."""
    return value


def refuse():
    """Set up that can't be done."""
    raise DataError("cannot be built")


def multiply(factor, unit):
    """Work that gives two results a unit, and where each was made."""
    yield factor * unit, os.getpid()
    yield -factor * unit, os.getpid()


def add_up(_state, unit, addend=0):
    """Work that takes part of what it needs with it."""
    return [unit + addend]


def fail(_state, unit):
    """Work whose unit 2 goes wrong."""
    if unit == 2:
        raise NumericsError("unit 2: NaN")
    return [unit]


def raise_unpicklable(_state, unit):
    """Work that raises what doesn't travel."""
    raise Unpicklable("a", "b")


def divide(_state, unit):
    """Work with a fault of its own."""
    return [unit / 0]


def kill_worker(notes, unit):
    """Work during which the system ends the worker, as often as a unit says; each begin and end is noted."""
    number, n_kills = unit
    note = Path(notes) / f"{number}"
    with note.open("a") as file:
        file.write("begin\n")
    if note.read_text().count("begin") <= n_kills:
        os.kill(os.getpid(), signal.SIGKILL)
    return [number]


def sleep_long(_state, _unit):
    """Work that does not end."""
    time.sleep(600)
    return []


def sleep_and_note(notes, unit):
    """Work of some time; where it was begun is noted."""
    number, seconds = unit
    (Path(notes) / f"{number}-{os.getpid()}").touch()
    time.sleep(seconds)
    return [number]


class Unpicklable(Exception):
    """Can be packed and not unpacked."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def run_out_of_memory(notes, unit):
    """Work that has too little memory the first time."""
    note = Path(notes) / str(unit)
    if not note.exists():
        note.touch()
        raise MemoryError
    return [unit]


def take_memory(notes, unit):
    """Work that takes much memory, and holds it, the first time."""
    note = Path(notes) / str(unit)
    if note.exists():
        return [unit]
    note.touch()
    held = bytearray(3 << 30)
    for i in range(0, len(held), 4096):
        held[i] = 1
    time.sleep(60)
    return [-unit - len(held)]
