"""What a client says in RFB (RFC 6143 and its extensions), from the first byte, message by message.

The filter stands here and not in the browser: in view mode only messages that cannot touch the machine pass. It also
sets the shared flag of every ClientInit, since an exclusive client would throw all others out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

VERSIONS = (b"RFB 003.007\n", b"RFB 003.008\n")
SECURITY_NONE, SECURITY_VNC = 1, 2
VNC_RESPONSE = 16
MAX_TEXT = 1024 * 1024
"""Bytes of one clipboard text; QEMU's own limit too."""
MAX_ENCODINGS = 1024
EXTENDED_MOUSE_BUTTONS = -316


class Mode(StrEnum):
    """What a client may do."""

    CONTROL = "control"
    VIEW = "view"


class Type(IntEnum):
    """Client messages by their first byte."""

    SET_PIXEL_FORMAT = 0
    SET_ENCODINGS = 2
    UPDATE_REQUEST = 3
    KEY = 4
    POINTER = 5
    CUT_TEXT = 6
    CONTINUOUS_UPDATES = 150
    FENCE = 248
    XVP = 250
    SET_DESKTOP_SIZE = 251
    QEMU = 255


PASSED_IN_VIEW = frozenset(
    {Type.SET_PIXEL_FORMAT, Type.SET_ENCODINGS, Type.UPDATE_REQUEST, Type.CONTINUOUS_UPDATES, Type.FENCE},
)


class RfbError(Exception):
    """The client says something that cannot be understood; where its next message begins is not known."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How long a message is: `head` bytes must be there before `length` can say how many bytes it has in all."""

    head: int
    length: Callable[[bytes], int]


def _fixed(size: int) -> Shape:
    return Shape(1, lambda head: size)


def _encodings(head: bytes) -> int:
    (count,) = struct.unpack_from(">H", head, 2)
    if count > MAX_ENCODINGS:
        raise RfbError("too many encodings")
    return 4 + 4 * int(count)


def _cut_text(head: bytes) -> int:
    (size,) = struct.unpack_from(">i", head, 4)  # negative: the extended clipboard
    if abs(size) > MAX_TEXT:
        raise RfbError("clipboard text too long")
    return 8 + abs(int(size))


def _qemu(head: bytes) -> int:
    if head[1] == 0:
        return 12  # extended key event
    (audio,) = struct.unpack_from(">H", head, 2)
    if head[1] == 1 and audio <= 2:
        return 10 if audio == 2 else 4  # set format; enable, disable
    raise RfbError("unknown QEMU message")


SHAPES: dict[int, Shape] = {
    Type.SET_PIXEL_FORMAT: _fixed(20),
    Type.SET_ENCODINGS: Shape(4, _encodings),
    Type.UPDATE_REQUEST: _fixed(10),
    Type.KEY: _fixed(8),
    Type.POINTER: Shape(2, lambda head: 6),  # 7 where extended buttons were negotiated, see ClientStream
    Type.CUT_TEXT: Shape(8, _cut_text),
    Type.CONTINUOUS_UPDATES: _fixed(10),
    Type.FENCE: Shape(9, lambda head: 9 + head[8]),
    Type.XVP: _fixed(4),
    Type.SET_DESKTOP_SIZE: Shape(8, lambda head: 8 + 16 * head[6]),
    Type.QEMU: Shape(4, _qemu),
}


class ClientStream:
    """Follows one client's bytes and gives those that may go on to the machine.

    Version, security type, VNC response where asked for, ClientInit, then messages. Holds at most one short head
    (12 bytes; a list of encodings: 4 KiB); bodies stream through or are dropped. Control mode passes everything that
    is understood. Whether a message passes is decided when its head is complete, so the mode may change at any time.
    """

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self._held = bytearray()
        self._need = len(VERSIONS[0])
        self._step: Callable[[bytes], bytes] = self._version
        self._body = 0  # bytes of the present message that have not come yet
        self._passing = False
        self._extended_pointer = False
        self._ambiguous = False

    def feed(self, data: bytes) -> bytes:
        """Take the client's next bytes, split anywhere; return what goes on to the machine.

        Raises:
            RfbError: the client's bytes cannot be understood.
        """
        out = bytearray()
        position, end = 0, len(data)
        while position < end:
            if self._body:
                took = min(self._body, end - position)
                if self._passing:
                    out += data[position : position + took]
                self._body -= took
            else:
                took = min(self._need - len(self._held), end - position)
                self._held += data[position : position + took]
                if len(self._held) == self._need:
                    out += self._step(bytes(self._held))
            position += took
        return bytes(out)

    def change_mode(self, mode: Mode) -> None:
        """Change what the client may do, from its next message on.

        Raises:
            RfbError: the machine may have read an earlier pointer message as shorter than we did, so that a filter
                that begins now could be deceived about where messages begin. End the session instead.
        """
        if mode is Mode.VIEW and self._ambiguous:
            raise RfbError("where messages begin is not certain")
        self.mode = mode

    def _expect(self, need: int, step: Callable[[bytes], bytes]) -> None:
        self._held.clear()
        self._need, self._step = need, step

    def _version(self, held: bytes) -> bytes:
        if held not in VERSIONS:
            raise RfbError("unknown version")
        self._expect(1, self._security)
        return held

    def _security(self, held: bytes) -> bytes:
        if held[0] not in (SECURITY_NONE, SECURITY_VNC):
            raise RfbError("unknown security type")
        if held[0] == SECURITY_VNC:
            self._expect(VNC_RESPONSE, self._vnc_response)
        else:
            self._expect(1, self._client_init)
        return held

    def _vnc_response(self, held: bytes) -> bytes:
        self._expect(1, self._client_init)
        return held

    def _client_init(self, held: bytes) -> bytes:
        self._expect(1, self._type)
        return b"\x01"

    def _type(self, held: bytes) -> bytes:
        shape = SHAPES.get(held[0])
        if shape is None:
            raise RfbError(f"unknown message {held[0]}")
        if shape.head == 1:
            return self._head(held)
        self._need, self._step = shape.head, self._head
        return b""

    def _head(self, held: bytes) -> bytes:
        """Decide about a message whose head is complete; let its body follow."""
        kind = Type(held[0])
        total = self._pointer_length(held) if kind is Type.POINTER else SHAPES[kind].length(held)
        if kind is Type.SET_ENCODINGS and len(held) < total:
            self._need, self._step = total, self._encodings
            return b""
        return self._begin(held, total)

    def _encodings(self, held: bytes) -> bytes:
        encodings = struct.unpack_from(f">{len(held) // 4 - 1}i", held, 4)
        self._extended_pointer |= EXTENDED_MOUSE_BUTTONS in encodings
        return self._begin(held, len(held))

    def _begin(self, held: bytes, total: int) -> bytes:
        self._passing = self.mode is Mode.CONTROL or held[0] in PASSED_IN_VIEW
        self._body = total - len(held)
        self._expect(1, self._type)
        return held if self._passing else b""

    def _pointer_length(self, held: bytes) -> int:
        """Six bytes; seven when the client has announced more buttons and marks this one (bit 7)."""
        longer = self._extended_pointer and bool(held[1] & 0x80)
        self._ambiguous |= longer and self.mode is Mode.CONTROL
        return 7 if longer else 6
