"""What a stage will take: tokens, bytes and seconds, before it starts."""

from __future__ import annotations

from dataclasses import dataclass

MANIFEST = "manifest.json"
"""File that does not count as written: it grows with what was done before, and not with the work."""


@dataclass(frozen=True)
class Part:
    """Memory for one purpose."""

    name: str
    n_bytes: int


@dataclass(frozen=True)
class Duration:
    """Time on this machine, as it was while it was measured."""

    wall_s: float
    """By the clock, in seconds."""
    cpu_s: float
    """Of all threads of the process together, in seconds; what else the machine does moves it less."""

    def __add__(self, other: Duration) -> Duration:
        """One after the other."""
        return Duration(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


@dataclass(frozen=True)
class Plan:
    """A stage's tokens, memory, disk and time for one model, or for none."""

    stage: str
    model: str | None
    """Name of the model; None for stages without one."""
    n_units: int
    """What is still to be made."""
    unit: str
    """What that is called, such as "traces"."""
    tokens_read: int | None
    """Tokens that go through the model in stretches, prompts and probes; None where nothing says how many."""
    tokens_written: int | None
    """Tokens that are generated, as expected; None where nothing says how many."""
    most_written: int
    """Tokens that are generated at most."""
    host: tuple[Part, ...]
    """What is in main memory together when it is most."""
    loading: int
    """Bytes of main memory while the model is loaded, which may be more."""
    device: tuple[Part, ...]
    """What is in an accelerator's memory together when it is most; empty on a CPU."""
    n_disk_bytes: int | None
    """Size of the tables and figures that are written; None where nothing says how many."""
    start: Duration | None
    """Until the first unit: imports, loading, reading the run."""
    work: Duration | None
    """The units, and putting together what they gave; None if it was not measured."""
    notes: tuple[str, ...] = ()
    """What a reader has to know, a sentence each."""

    @property
    def peak_bytes(self) -> int:
        """Main memory of the process at its most."""
        return max(self.loading, sum(part.n_bytes for part in self.host))

    @property
    def whole(self) -> Duration | None:
        """The whole command."""
        return self.start + self.work if self.start is not None and self.work is not None else None
