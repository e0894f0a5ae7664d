"""Messages over a socket: JSON and raw bytes, each with its length before it."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("!Q")
OVERDUE = b"overdue"
"""Sent instead of a test's reply when its seconds are over: how many of them did it wait for a CPU?"""


def send_bytes(channel: socket.socket, content: bytes) -> None:
    """Send bytes; OSError if the other side is gone, TimeoutError if it does not read in the channel's time."""
    channel.sendall(_LENGTH.pack(len(content)) + content)


def send_json(channel: socket.socket, message: dict[str, Any]) -> None:
    """Send a dictionary that JSON can hold; see `send_bytes`."""
    send_bytes(channel, json.dumps(message).encode("ascii"))


def receive_bytes(channel: socket.socket, max_bytes: int) -> bytes:
    """Receive what `send_bytes` sent.

    Raises:
        EOFError: The other side closed the channel.
        ValueError: The message is longer than max_bytes.
    """
    (length,) = _LENGTH.unpack(_receive_exactly(channel, _LENGTH.size))
    if length > max_bytes:
        raise ValueError(f"A message of {length:,} bytes is longer than the {max_bytes:,} expected.")
    return _receive_exactly(channel, length)


def receive_json(channel: socket.socket, max_bytes: int = 1 << 30) -> dict[str, Any]:
    """Receive what `send_json` sent; raises as `receive_bytes` does, and ValueError if it is no JSON."""
    return json.loads(receive_bytes(channel, max_bytes))


def _receive_exactly(channel: socket.socket, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        chunk = channel.recv(min(length - len(content), 1 << 20))
        if not chunk:
            raise EOFError("The channel was closed in the middle of a message.")
        content += chunk
    return bytes(content)
