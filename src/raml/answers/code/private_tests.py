"""Read the tests of LiveCodeBench that are packed as base64, zlib and a pickled text, without unpickling anything."""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import zlib
from typing import Any

from raml.errors import DataError

_MAX_BYTES = 1 << 30
_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}
_HARMLESS = {"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP"}


def decode_private_tests(text: str, *, max_bytes: int = _MAX_BYTES) -> list[dict[str, Any]]:
    """Decode a row's private test cases: dictionaries with "input", "output" and "testtype".

    Args:
        text: JSON as it is, or its text pickled, compressed by zlib and written as base64.
        max_bytes: Largest size after decompression.

    Raises:
        DataError: It is neither, is larger than max_bytes, or its pickle holds anything but one text.
    """
    try:
        packed = text if text.lstrip().startswith("[") else _unpack(text, max_bytes)
        tests = json.loads(packed)
    except (ValueError, RecursionError) as error:
        raise DataError(f"Private tests {text[:40]!r}… can't be read: {error}.") from None
    if not isinstance(tests, list) or not all(isinstance(test, dict) for test in tests):
        raise DataError(f"Private tests {text[:40]!r}… are no list of test cases.")
    return tests


def _unpack(text: str, max_bytes: int) -> str:
    try:
        decompressor = zlib.decompressobj()
        pickled = decompressor.decompress(base64.b64decode(text, validate=True), max_bytes + 1)
    except (binascii.Error, zlib.error) as error:
        raise DataError(f"Private tests {text[:40]!r}… are no compressed base64: {error}.") from None
    if len(pickled) > max_bytes:
        raise DataError(
            f"Private tests {text[:40]!r}… take more than {max_bytes:,} bytes; raise max_bytes if they may."
        )
    if not decompressor.eof:
        raise DataError(f"Private tests {text[:40]!r}… are cut off.")
    return _read_pickled_text(pickled)


def _read_pickled_text(pickled: bytes) -> str:
    """Read the text that a pickle holds from its opcodes; a pickle that does anything else is refused."""
    texts, end = [], 0
    try:
        for opcode, argument, position in pickletools.genops(pickled):
            if opcode.name in _STRINGS:
                texts.append(argument)
            elif opcode.name not in _HARMLESS:
                raise DataError(f"Private tests hold a pickle with opcode {opcode.name}; only a text is read.")
            end = (position or 0) + 1
    except (ValueError, OverflowError) as error:
        raise DataError(f"Private tests hold a broken pickle: {error}.") from None
    if len(texts) != 1 or end != len(pickled):
        raise DataError(
            f"Private tests hold a pickle of {len(texts)} texts or with something after it; expected one text."
        )
    return texts[0]
