"""Look at a GGUF file's header before its reader does, which would take whatever time and memory the header asks for.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from raml.errors import ModelError
from raml.inputs import open_plain

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_ENTRIES, MOST_TENSORS, MOST_ELEMENTS = 100_000, 1_000_000, 10_000_000
"""Far more than any model has; an array of so many elements still fits into memory, wherever the reader puts it."""
MOST_NAME_BYTES, MOST_AXES, MOST_DEPTH = 65_536, 8, 4
MOST_BLOCKS = 10_000
COUNTS = ("block_count", "expert_count", "layer_count")
"""Endings of keys by which a configuration makes lists and modules."""
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
ALIGNMENT = 32


def measure_gguf(name: str, path: Path) -> int:
    """Count the weights that a GGUF file holds.

    Raises:
        ModelError: its header promises more than there is in the file, or more than any model has.
    """
    try:
        with open_plain(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Header(content).measure()
    except OSError as error:
        raise ModelError(f"{name} can't be read: {error.strerror}.") from error
    except (ValueError, struct.error) as error:
        what = "it is cut off or empty" if isinstance(error, struct.error) or "empty" in str(error) else error
        raise ModelError(f"{name} is no readable .gguf file: {what}.") from error


class _Header:
    """Walks through a header; whatever does not fit is a ValueError, the end of the file a struct.error."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.place, self.order = content, 0, "<"
        self.alignment = ALIGNMENT

    def measure(self) -> int:
        if self.content[:4] != MAGIC:
            raise ValueError("it does not begin with GGUF")
        self.place = 4
        version = self._take("I")
        if version & 0xFFFF == 0:  # written on a machine of the other byte order
            self.order = ">"
            (version,) = struct.unpack_from(">I", self.content, 4)
        if version not in VERSIONS:
            raise ValueError(f"it is of version {version}, and {VERSIONS} can be read")
        n_tensors = self._take_count("tensors", MOST_TENSORS)
        for _ in range(self._take_count("entries", MOST_ENTRIES)):
            self._pass_entry()
        tensors = [self._take_tensor() for _ in range(n_tensors)]
        start = -(-self.place // self.alignment) * self.alignment
        for tensor, n_bytes, offset in ((t[0], t[2], t[3]) for t in tensors):
            if start + offset + n_bytes > len(self.content):
                raise ValueError(f"its tensor {tensor!r} reaches beyond the end of the file")
        return sum(tensor[1] for tensor in tensors)

    def _take(self, kind: str) -> int:
        (value,) = struct.unpack_from(self.order + kind, self.content, self.place)
        self.place += struct.calcsize(self.order + kind)
        return value

    def _take_count(self, what: str, most: int) -> int:
        n = self._take("Q")
        if n > most:
            raise ValueError(f"it promises {n:,} {what}; {most:,} are the most that can be read")
        return n

    def _take_name(self) -> str:
        n = self._take_count("bytes of a name", MOST_NAME_BYTES)
        self._need(n)
        text = self.content[self.place : self.place + n].decode("utf-8", "replace")
        self.place += n
        return text

    def _need(self, n_bytes: int) -> None:
        if self.place + n_bytes > len(self.content):
            raise struct.error("the file ends before")

    def _pass_entry(self) -> None:
        key, kind, place = self._take_name(), self._take("I"), self.place
        self._pass_value(kind, 0)
        if kind not in SCALARS or SCALARS[kind] in "fd?":
            return
        (value,) = struct.unpack_from(self.order + SCALARS[kind], self.content, place)
        if key.endswith(COUNTS) and not 0 <= value <= MOST_BLOCKS:
            raise ValueError(f"its {key} is {value:,}; {MOST_BLOCKS:,} are the most that can be read")
        if key == "general.alignment":
            if value <= 0 or value & (value - 1):
                raise ValueError(f"its {key} is {value}, which is no power of two")
            self.alignment = value

    def _pass_value(self, kind: int, depth: int) -> None:
        if kind in SCALARS:
            self._pass_bytes(struct.calcsize(self.order + SCALARS[kind]))
        elif kind == STRING:
            self._pass_bytes(self._take("Q"))
        elif kind == ARRAY and depth < MOST_DEPTH:
            inner, n = self._take("I"), self._take_count("elements of an array", MOST_ELEMENTS)
            if inner in SCALARS:
                self._pass_bytes(n * struct.calcsize(self.order + SCALARS[inner]))
                return
            for _ in range(n):
                self._pass_value(inner, depth + 1)
        else:
            raise ValueError(f"it has a value of type {kind}" + " in arrays of arrays" * (kind == ARRAY))

    def _pass_bytes(self, n_bytes: int) -> None:
        self._need(n_bytes)
        self.place += n_bytes

    def _take_tensor(self) -> tuple[str, int, int, int]:
        """Return name, number of weights, number of bytes and place in the data."""
        name, n_axes = self._take_name(), self._take("I")
        if n_axes > MOST_AXES:
            raise ValueError(f"its tensor {name!r} has {n_axes} axes")
        n_weights = math.prod(self._take("Q") for _ in range(n_axes))
        per_block, n_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(self._take("I"))]
        return name, n_weights, n_weights // per_block * n_bytes, self._take("Q")
