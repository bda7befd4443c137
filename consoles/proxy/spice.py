"""What a client says in SPICE, on each of its channels, from the first byte; and who may open which channel.

SPICE opens a connection for each channel: screen, keyboard and mouse, sound and so on. Each begins with a link message
that names its channel, which has to be the ticket's. Numbers, sizes and what the server makes of a message are those of
spice-protocol 0.14.3 (enums.h, protocol.h, vd_agent.h) and of spice 0.15's server (reds.cpp, red-channel-client.cpp,
agent-msg-filter.c): it takes mini headers when the client's link message announces them, and ignores the serial number
and sub-list of full ones. All numbers are little-endian.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Collection
from enum import IntEnum, StrEnum

from consoles.proxy.endings import Ending
from consoles.proxy.filters import FilterError, MessageStream
from consoles.proxy.modes import Mode


class Channel(StrEnum):
    """The channels there are, by the names that tickets use."""

    MAIN = "main"
    DISPLAY = "display"
    INPUTS = "inputs"
    CURSOR = "cursor"
    PLAYBACK = "playback"
    RECORD = "record"
    SMARTCARD = "smartcard"
    USBREDIR = "usbredir"
    PORT = "port"
    WEBDAV = "webdav"


NUMBERS: dict[int, Channel] = {
    1: Channel.MAIN,
    2: Channel.DISPLAY,
    3: Channel.INPUTS,
    4: Channel.CURSOR,
    5: Channel.PLAYBACK,
    6: Channel.RECORD,
    8: Channel.SMARTCARD,
    9: Channel.USBREDIR,
    10: Channel.PORT,
    11: Channel.WEBDAV,
}
"""Channels by their type in the link message."""

SHOWING = (Channel.MAIN, Channel.DISPLAY, Channel.CURSOR, Channel.PLAYBACK)
"""The channels of someone who may only look (and listen)."""
_PAGE = (*SHOWING, Channel.INPUTS)
CHANNELS: dict[Mode, tuple[Channel, ...]] = {Mode.CONTROL: _PAGE, Mode.VIEW: SHOWING}
"""The channels that a page gets tickets for, main first."""
_DEVICES = (Channel.SMARTCARD, Channel.USBREDIR, Channel.PORT, Channel.WEBDAV)


def channels_of(client: str, mode: Mode, *, microphone: bool = False) -> tuple[Channel, ...]:
    """Return the channels that a client of this kind (page, viewer or script) needs, one ticket for each.

    The microphone is never opened unless it is asked for, and only in virt-viewer: spice-html5 cannot record.
    """
    if mode is Mode.VIEW or client != "viewer":
        return CHANNELS[mode]
    return (*_PAGE, *_DEVICES, Channel.RECORD) if microphone else (*_PAGE, *_DEVICES)


class Common(IntEnum):
    """Client messages of every channel."""

    ACK_SYNC = 1
    ACK = 2
    PONG = 3
    DISCONNECTING = 6


class Main(IntEnum):
    """Client messages of the main channel."""

    CLIENT_INFO = 101
    ATTACH_CHANNELS = 104
    MOUSE_MODE_REQUEST = 105
    AGENT_START = 106
    AGENT_DATA = 107
    AGENT_TOKEN = 108


class Display(IntEnum):
    """Client messages of the display channel: how it wants its pictures."""

    INIT = 101
    STREAM_REPORT = 102
    PREFERRED_COMPRESSION = 103
    GL_DRAW_DONE = 104
    PREFERRED_VIDEO_CODEC = 105


class Inputs(IntEnum):
    """Client messages of the channel for keyboard and mouse."""

    KEY_DOWN = 101
    KEY_UP = 102
    KEY_SCANCODE = 104
    MOUSE_MOTION = 111
    MOUSE_POSITION = 112
    MOUSE_PRESS = 113
    MOUSE_RELEASE = 114


PASSED_IN_VIEW: dict[Channel, frozenset[int]] = {
    # Starting the agent and giving it tokens lets the guest talk to the client. What the client would say to the
    # guest (clipboard, files, size of the screen) is agent data and does not pass, nor does a change of mouse mode.
    Channel.MAIN: frozenset({*Common, Main.CLIENT_INFO, Main.ATTACH_CHANNELS, Main.AGENT_START, Main.AGENT_TOKEN}),
    Channel.DISPLAY: frozenset({*Common, *Display}),
    Channel.CURSOR: frozenset(Common),
    Channel.PLAYBACK: frozenset(Common),
    Channel.INPUTS: frozenset(Common),
}
"""Channels that may stay open in view mode (inputs: only when control was taken away), and what passes on them."""
STREAMS = frozenset({*_DEVICES, Channel.RECORD})
"""Channels that are not understood further: someone with control may say anything on them, nobody else has them."""

_COMMON = frozenset(Common)

MAGIC, MAJOR = b"REDQ", 2
LINK_HEADER = 16
LINK_LEAST, LINK_MOST = 18, 4096
AUTH_SELECTION, MINI_HEADER = 1 << 0, 1 << 3
AUTH_SPICE = 1
TICKET = 128
MAX_MESSAGE = 64 * 1024
"""Bytes of one client message, held until it is complete; the server refuses most above 4 KiB."""
AGENT_HEADER = 20
MAX_KEYS_DOWN = 256


class SpiceError(FilterError):
    """The client says something that cannot be understood, or opens a channel that it may not."""

    ending = Ending.BAD_SPICE


class ChannelClosed(FilterError):
    """Control was taken away, and there is nothing to see on this channel; the session's others go on."""

    ending = Ending.REVOKED


class SpiceStream(MessageStream):
    """Follows one client's bytes on one channel and gives those that may go on to the machine.

    Link message, authentication, then messages, each held until it is complete. In view mode only what
    PASSED_IN_VIEW names goes on. Control mode passes everything whose framing is understood.

    Args:
        mode: what the client may do.
        allowed: the channels that may be opened here.
        claim: takes a channel (type and number) for the session; False when it was opened before.
    """

    def __init__(self, mode: Mode, allowed: Collection[str], claim: Callable[[int, int], bool]) -> None:
        super().__init__(LINK_HEADER, self._link_header)
        self.mode = mode
        self.acts = 0
        self.channel: Channel | None = None
        self._allowed = allowed
        self._claim = claim
        self._selects = False
        self._head = "<HI"
        self._agent = AgentMessages()
        self._keys = Keys()
        self._buttons = False

    def change_mode(self, mode: Mode) -> bytes:
        """Change what the client may do, at once. Keys and buttons that it holds down are let go.

        Raises:
            ChannelClosed: there is nothing to see on this channel.
            SpiceError: the guest's agent has half a message of the client. End the session instead.
        """
        self.mode = mode
        if mode is Mode.CONTROL:
            return b""
        if self.channel in STREAMS:
            raise ChannelClosed
        if self._agent.passing:
            raise SpiceError("the agent waits for the rest of a message")
        released = b"".join(self._message_of(Inputs.KEY_UP, code) for code in self._keys.let_go())
        if self._buttons:
            self._buttons = False
            released += self._message_of(Inputs.MOUSE_RELEASE, struct.pack("<BH", 1, 0))
        return released

    def _link_header(self, held: bytes) -> bytes:
        magic, major, _minor, size = struct.unpack("<4sIII", held)
        if magic != MAGIC or major != MAJOR or not LINK_LEAST <= size <= LINK_MOST:
            raise SpiceError("not SPICE's link message")
        return self._hold(LINK_HEADER + size, self._link)

    def _link(self, held: bytes) -> bytes:
        """Read which channel is opened and which headers its messages have."""
        _id, kind, number, common, special, offset = struct.unpack_from("<IBBIII", held, LINK_HEADER)
        end = len(held) - LINK_HEADER
        if common + special > end or not LINK_LEAST <= offset <= end - 4 * (common + special):
            raise SpiceError("capabilities outside of the link message")
        self._open(kind, number)
        capabilities = struct.unpack_from("<I", held, LINK_HEADER + offset)[0] if common else 0
        self._selects = bool(capabilities & AUTH_SELECTION)
        self._head = "<HI" if capabilities & MINI_HEADER else "<8xHI4x"
        self._expect(4 if self._selects else TICKET, self._mechanism if self._selects else self._ticket)
        return held

    def _open(self, kind: int, number: int) -> None:
        channel = NUMBERS.get(kind)
        if channel is None or channel not in self._allowed:
            raise SpiceError("not a channel of this ticket")
        if self.mode is Mode.VIEW and channel not in SHOWING:
            raise SpiceError("not a channel for someone who only looks")
        if not self._claim(kind, number):
            raise SpiceError("this channel was opened before")
        self.channel = channel

    def _mechanism(self, held: bytes) -> bytes:
        if struct.unpack("<I", held) != (AUTH_SPICE,):
            raise SpiceError("unknown authentication")
        self._expect(TICKET, self._ticket)
        return held

    def _ticket(self, held: bytes) -> bytes:
        """Take the encrypted password, which our displays do not look at."""
        self._expect(struct.calcsize(self._head), self._header)
        if self.channel in STREAMS:
            self._stream(sys.maxsize, passing=True)
        return held

    def _header(self, held: bytes) -> bytes:
        _kind, size = struct.unpack(self._head, held)
        if size > MAX_MESSAGE:
            raise SpiceError("message too long")
        return self._hold(len(held) + size, self._message) if size else self._message(held)

    def _message(self, held: bytes) -> bytes:
        """Decide about a message that is complete."""
        kind, _size = struct.unpack_from(self._head, held)
        length = struct.calcsize(self._head)
        self._expect(length, self._header)
        if self.channel is Channel.MAIN:
            return self._of_main(kind, held, held[length:])
        if self.channel is Channel.INPUTS and kind not in _COMMON:
            return self._of_inputs(kind, held, held[length:])
        return held if self._passes(kind) else b""

    def _passes(self, kind: int) -> bool:
        if self.mode is Mode.CONTROL:
            return True
        return self.channel is not None and kind in PASSED_IN_VIEW[self.channel]

    def _of_main(self, kind: int, held: bytes, body: bytes) -> bytes:
        if kind == Main.AGENT_START:
            self._agent = AgentMessages()
        if kind == Main.AGENT_DATA:
            return held if self._agent.passes(body, self.mode) else b""
        return held if self._passes(kind) else b""

    def _of_inputs(self, kind: int, held: bytes, body: bytes) -> bytes:
        self.acts += 1
        if self.mode is Mode.VIEW:
            return b""
        if kind in (Inputs.KEY_DOWN, Inputs.KEY_UP):
            self._keys.pressed(body[:4].partition(b"\0")[0])
        elif kind == Inputs.KEY_SCANCODE:
            self._keys.pressed(body)
        elif kind in (Inputs.MOUSE_PRESS, Inputs.MOUSE_RELEASE):
            self._buttons = any(body[1:3])
        return held

    def _message_of(self, kind: int, body: bytes) -> bytes:
        return struct.pack(self._head, kind, len(body)) + body


class AgentMessages:
    """Where messages to the guest's agent begin: they come in pieces, and the server allows no other cuts than these.

    The first piece has the whole header and nothing of a second message. What was begun passes or is dropped whole.
    """

    def __init__(self) -> None:
        self._left = 0
        self._passing = False

    @property
    def passing(self) -> bool:
        """Return whether the agent waits for the rest of a message."""
        return self._passing and self._left > 0

    def passes(self, piece: bytes, mode: Mode) -> bool:
        """Return whether a piece goes on.

        Raises:
            SpiceError: it is cut as no server would take it.
        """
        if not self._left:
            if len(piece) < AGENT_HEADER:
                raise SpiceError("half a header of a message to the agent")
            self._left = AGENT_HEADER + int.from_bytes(piece[AGENT_HEADER - 4 : AGENT_HEADER], "little")
            self._passing = mode is Mode.CONTROL
        if len(piece) > self._left:
            raise SpiceError("more than a message to the agent")
        self._left -= len(piece)
        return self._passing


class Keys:
    """Which keys the machine believes to be held, by scancodes of PC keyboards (set 1: bit 7 lets a key go)."""

    def __init__(self) -> None:
        self._prefix = b""
        self._down: set[bytes] = set()

    def pressed(self, codes: bytes) -> None:
        """Follow scancodes.

        Raises:
            SpiceError: too many keys are held.
        """
        for code in codes:
            if code in (0xE0, 0xE1):
                self._prefix = bytes([code])
                continue
            key, self._prefix = self._prefix + bytes([code & 0x7F]), b""
            if code & 0x80:
                self._down.discard(key)
            elif len(self._down) < MAX_KEYS_DOWN:
                self._down.add(key)
            else:
                raise SpiceError("too many keys are held down")

    def let_go(self) -> list[bytes]:
        """Forget the keys; return the bodies of the KEY_UP messages that let them go."""
        codes = [(key[:-1] + bytes([key[-1] | 0x80])).ljust(4, b"\0") for key in sorted(self._down)]
        self._down.clear()
        return codes
