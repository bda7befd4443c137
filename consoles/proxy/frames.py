"""WebSocket frames (RFC 6455) as a stream: payload is handed on as it arrives, so no frame is ever held in memory."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from consoles.proxy.endings import Ending

MAX_FRAME = 2 * 1024 * 1024
"""Bytes a client may announce for one frame. RFB clients send a few bytes, clipboard text up to 1 MiB."""
MAX_PROBE = 16
PROBE = re.compile(rb"probe [0-9]{1,10}")
"""The one text message there is. It is sent back as it came, so that a page knows its connection to live: browsers show
their scripts no pings. It never reaches a machine."""
_MAX_CONTROL = 125


class Opcode(IntEnum):
    """The frames there are."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


_OPCODES = {opcode.value: opcode for opcode in Opcode}
_WHOLE_BINARY = 0x80 | Opcode.BINARY
_STREAMED = frozenset({Opcode.CONTINUATION, Opcode.BINARY})
"""Frames whose payload is handed on as it comes; the others are short."""


class FrameError(Exception):
    """The client broke the protocol, or sent what a console does not take."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.value)
        self.ending = ending


class Piece(NamedTuple):
    """A piece of a message's payload (BINARY), or one whole control frame (CLOSE, PING, PONG) or probe (TEXT)."""

    opcode: Opcode
    payload: bytes


class FrameReader:
    """Takes a client's bytes, split in any way, and gives unmasked pieces."""

    def __init__(self) -> None:
        self._rest = b""  # an incomplete header, at most 13 bytes
        self._opcode = Opcode.BINARY
        self._mask = b""
        self._left = 0  # payload bytes of the present frame that have not come yet
        self._control = bytearray()
        self._in_message = False

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield what is complete.

        Raises:
            FrameError: the bytes break the protocol; nothing after them can be understood.
        """
        buffer = self._rest + data if self._rest else data
        self._rest = b""
        position, end = 0, len(buffer)
        while position < end:
            if not self._left:
                length = self._header(buffer, position)
                if not length:
                    self._rest = buffer[position:]
                    return
                position += length
            took = min(self._left, end - position)
            payload = self._unmasked(buffer[position : position + took])
            position += took
            self._left -= took
            if self._opcode in _STREAMED:
                if payload:
                    yield Piece(Opcode.BINARY, payload)
            else:
                self._control += payload
                if not self._left:
                    yield self._whole(bytes(self._control))
                    self._control.clear()

    def _whole(self, payload: bytes) -> Piece:
        """Return a frame that was held until it was complete."""
        if self._opcode is Opcode.TEXT and not PROBE.fullmatch(payload):
            raise FrameError(Ending.NOT_BINARY)
        return Piece(self._opcode, payload)

    def _header(self, buffer: bytes, at: int) -> int:
        """Take the frame header at this place; return its length, 0 when more bytes are needed."""
        if len(buffer) - at < 2:
            return 0
        first, second = buffer[at], buffer[at + 1]
        length = second & 0x7F
        size = 6 + (2 if length == 126 else 8 if length == 127 else 0)
        self._check(first, second, length)
        if len(buffer) - at < size:
            return 0
        if length == 126:
            (length,) = struct.unpack_from(">H", buffer, at + 2)
        elif length == 127:
            (length,) = struct.unpack_from(">Q", buffer, at + 2)
        if length > MAX_FRAME:
            raise FrameError(Ending.TOO_BIG)
        self._opcode = _OPCODES[first & 0x0F]
        self._mask = buffer[at + size - 4 : at + size]
        self._left = length
        if self._opcode < Opcode.CLOSE:
            self._in_message = not first & 0x80
        return size

    def _check(self, first: int, second: int, length: int) -> None:
        if first == _WHOLE_BINARY and second & 0x80 and not self._in_message:
            return  # nearly all are
        opcode, final = first & 0x0F, first & 0x80
        if opcode == Opcode.TEXT and not (final and length <= MAX_PROBE and not self._in_message):
            raise FrameError(Ending.NOT_BINARY)
        known = opcode in _OPCODES
        control_is_whole = opcode < Opcode.CLOSE or (final and length <= _MAX_CONTROL)
        in_order = opcode >= Opcode.CLOSE or (opcode == Opcode.CONTINUATION) == self._in_message
        masked, plain = second & 0x80, not first & 0x70
        if not (known and control_is_whole and in_order and masked and plain):
            raise FrameError(Ending.BAD_FRAME)

    def _unmasked(self, payload: bytes) -> bytes:
        """Undo the mask by one big XOR, and turn the mask to where the next piece begins."""
        count = len(payload)
        mask = self._mask
        key = int.from_bytes((mask * (count // 4 + 1))[:count], "little")
        self._mask = mask[count % 4 :] + mask[: count % 4]
        return (int.from_bytes(payload, "little") ^ key).to_bytes(count, "little")


def header(opcode: Opcode, length: int) -> bytes:
    """Return the header of an unmasked, whole frame from the server."""
    if length <= _MAX_CONTROL:
        return struct.pack(">BB", 0x80 | opcode, length)
    if length < 1 << 16:
        return struct.pack(">BBH", 0x80 | opcode, 126, length)
    return struct.pack(">BBQ", 0x80 | opcode, 127, length)


def close_payload(code: int, sentence: str) -> bytes:
    """Return a close frame's payload; the sentence is cut to what a control frame can carry."""
    return struct.pack(">H", code) + sentence.encode()[: _MAX_CONTROL - 2]
