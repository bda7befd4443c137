"""What a client says in RFB (RFC 6143 and its extensions), from the first byte, message by message.

The filter stands here and not in the browser: in view mode only messages that cannot touch the machine pass. It also
sets the shared flag of every ClientInit, since an exclusive client would throw all others out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from consoles.proxy.endings import Ending
from consoles.proxy.filters import FilterError, MessageStream
from consoles.proxy.modes import Mode

VERSIONS = (b"RFB 003.007\n", b"RFB 003.008\n")
SECURITY_NONE, SECURITY_VNC = 1, 2
VNC_RESPONSE = 16
MAX_TEXT = 1024 * 1024
"""Bytes of one clipboard text; QEMU's own limit too."""
MAX_ENCODINGS = 1024
EXTENDED_MOUSE_BUTTONS = -316
QEMU_KEY = 0
MAX_KEYS_DOWN = 256


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

ACTS = frozenset({Type.KEY, Type.POINTER, Type.CUT_TEXT, Type.XVP})
"""What a person does. Type.QEMU is it where it is a key."""


class RfbError(FilterError):
    """The client says something that cannot be understood; where its next message begins is not known."""

    ending = Ending.BAD_RFB


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


def encodings_of(message: bytes) -> tuple[int, ...]:
    """Return the encodings that a whole SetEncodings message names."""
    return struct.unpack_from(f">{len(message) // 4 - 1}i", message, 4)


def _cut_text(head: bytes) -> int:
    (size,) = struct.unpack_from(">i", head, 4)  # negative: the extended clipboard
    if abs(size) > MAX_TEXT:
        raise RfbError("clipboard text too long")
    return 8 + abs(int(size))


def _qemu(head: bytes) -> int:
    if head[1] == QEMU_KEY:
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
    Type.POINTER: Shape(2, lambda head: 6),  # 7 where more buttons were announced, see ClientStream
    Type.CUT_TEXT: Shape(8, _cut_text),
    Type.CONTINUOUS_UPDATES: _fixed(10),
    Type.FENCE: Shape(9, lambda head: 9 + head[8]),
    Type.XVP: _fixed(4),
    Type.SET_DESKTOP_SIZE: Shape(8, lambda head: 8 + 16 * head[6]),
    Type.QEMU: Shape(4, _qemu),
}


class ClientStream(MessageStream):
    """Follows one client's bytes and gives those that may go on to the machine.

    Version, security type, VNC response where asked for, ClientInit, then messages. A message is held until it is
    complete (the longest has 4 KiB), so that none passes that was begun when it might; only clipboard text, of up to
    1 MiB, streams through or is dropped. Control mode passes everything that is understood.
    """

    def __init__(self, mode: Mode) -> None:
        super().__init__(len(VERSIONS[0]), self._version)
        self.mode = mode
        self.acts = 0
        self._extended_pointer = False
        self._ambiguous = False
        self._down: dict[bytes, bytes] = {}  # keys that the machine believes to be held, and how they are let go
        self._pointer = bytes(6)

    def change_mode(self, mode: Mode) -> bytes:
        """Change what the client may do, at once. What it holds down is let go; text that had begun ends in spaces.

        Raises:
            RfbError: the machine may have read an earlier pointer message as shorter than we did, so that a filter
                that begins now could be deceived about where messages begin. End the session instead.
        """
        self.mode = mode
        if mode is Mode.CONTROL:
            return b""
        if self._ambiguous:
            raise RfbError("where messages begin is not certain")
        rest = b" " * self._body if self._passing else b""
        self._passing = False
        return rest + self._let_go()

    def _let_go(self) -> bytes:
        keys = b"".join(self._down.values())
        self._down.clear()
        pointer, self._pointer = self._pointer, bytes(6)
        return keys + (bytes([Type.POINTER, 0]) + pointer[2:] if pointer[1] else b"")

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

    def _client_init(self, _held: bytes) -> bytes:
        self._expect(1, self._type)
        return b"\x01"

    def _type(self, held: bytes) -> bytes:
        shape = SHAPES.get(held[0])
        if shape is None:
            raise RfbError(f"unknown message {held[0]}")
        return self._head(held) if shape.head == 1 else self._hold(shape.head, self._head)

    def _head(self, held: bytes) -> bytes:
        """Learn the length of a message whose head is complete."""
        kind = Type(held[0])
        total = self._pointer_length(held) if kind is Type.POINTER else SHAPES[kind].length(held)
        if kind is Type.CUT_TEXT:
            passed = self._message(held)
            self._stream(total - len(held), passing=bool(passed))
            return passed
        return self._hold(total, self._message) if total > len(held) else self._message(held)

    def _message(self, held: bytes) -> bytes:
        """Decide about a message that is complete."""
        self._expect(1, self._type)
        kind = held[0]
        if kind == Type.SET_ENCODINGS:
            self._extended_pointer |= EXTENDED_MOUSE_BUTTONS in encodings_of(held)
        self.acts += kind in ACTS or (kind == Type.QEMU and held[1] == QEMU_KEY)
        if self.mode is Mode.VIEW:
            return held if kind in PASSED_IN_VIEW else b""
        self._remember(kind, held)
        return held

    def _remember(self, kind: int, held: bytes) -> None:
        """Note what the machine believes to be held down."""
        if kind == Type.POINTER:
            self._pointer = held[:6]
            self._ambiguous |= len(held) == 7
        elif kind == Type.KEY:
            self._key(held[:1] + held[4:], held[1], bytes([kind, 0]) + held[2:])
        elif kind == Type.QEMU and held[1] == QEMU_KEY:
            self._key(held[:1] + held[8:], held[2] | held[3], held[:2] + bytes(2) + held[4:])

    def _key(self, key: bytes, down: int, let_go: bytes) -> None:
        if not down:
            self._down.pop(key, None)
        elif len(self._down) < MAX_KEYS_DOWN:
            self._down[key] = let_go
        else:
            raise RfbError("too many keys are held down")

    def _pointer_length(self, held: bytes) -> int:
        """Six bytes; seven when the client has announced more buttons and marks this one (bit 7)."""
        return 7 if self._extended_pointer and held[1] & 0x80 else 6
