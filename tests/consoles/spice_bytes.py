"""SPICE client messages in bytes, as a browser, a native viewer or an attacker would send them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

MAIN, DISPLAY, INPUTS, CURSOR, PLAYBACK, RECORD, SMARTCARD, USBREDIR, PORT, WEBDAV = 1, 2, 3, 4, 5, 6, 8, 9, 10, 11
AUTH_SELECTION, MINI_HEADER = 1, 8
MECHANISM = struct.pack("<I", 1)
TICKET = bytes(range(128))


def link(
    channel: int,
    *,
    number: int = 0,
    connection: int = 0,
    capabilities: Sequence[int] = (AUTH_SELECTION | MINI_HEADER,),
    special: Sequence[int] = (0,),
    magic: bytes = b"REDQ",
    major: int = 2,
    offset: int = 18,
    size: int | None = None,
) -> bytes:
    words = struct.pack(f"<{len(capabilities) + len(special)}I", *capabilities, *special)
    body = struct.pack("<IBBIII", connection, channel, number, len(capabilities), len(special), offset) + words
    return struct.pack("<4sIII", magic, major, 2, len(body) if size is None else size) + body


def hello(channel: int, *, mini: bool = True, selects: bool = True, number: int = 0, connection: int = 0) -> bytes:
    """Everything before the first message."""
    word = (AUTH_SELECTION if selects else 0) | (MINI_HEADER if mini else 0)
    said = link(channel, number=number, connection=connection, capabilities=(word,))
    return said + (MECHANISM if selects else b"") + TICKET


def message(kind: int, body: bytes = b"", *, mini: bool = True, size: int | None = None) -> bytes:
    length = len(body) if size is None else size
    return (struct.pack("<HI", kind, length) if mini else struct.pack("<QHII", 7, kind, length, 0)) + body


def agent(kind: int, body: bytes = b"") -> bytes:
    """A whole message to the guest's agent."""
    return struct.pack("<IIQI", 1, kind, 0, len(body)) + body


def pieces(whole: bytes, longest: int) -> list[bytes]:
    """How a client cuts it: the first piece has the header."""
    return [whole[start : start + longest] for start in range(0, len(whole), longest)]


def key_down(code: int) -> bytes:
    return struct.pack("<I", code)


def button(number: int, state: int) -> bytes:
    return struct.pack("<BH", number, state)


def read(data: bytes, *, mini: bool = True) -> list[tuple[int, bytes]]:
    """Read whole messages: kind and body of each."""
    found, head = [], "<HI" if mini else "<8xHI4x"
    while data:
        kind, size = struct.unpack_from(head, data)
        start = struct.calcsize(head)
        found.append((kind, data[start : start + size]))
        data = data[start + size :]
    return found
