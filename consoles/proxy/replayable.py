"""What the player of recordings understands. A recorded client is held to it, or its tape would show nothing.

A tape holds what the display sent, and the player (noVNC, static/js/replay.js) draws that as its own client would have
agreed on it: it cannot ask the display for anything. So a client that agrees on something else would not be recorded.
"""

from __future__ import annotations

import struct

from consoles.proxy import rfb
from consoles.proxy.endings import Ending
from consoles.proxy.filters import FilterError
from consoles.proxy.rfb import ClientStream, Type

VERSION = b"RFB 003.008\n"
"""An older one leaves messages out that the player waits for."""
PIXEL_FORMAT = struct.pack(">BBBBHHHBBB", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)
"""Bits, depth, order, true colour, the most of red, green and blue, and their shifts."""
ENCODINGS = frozenset(
    {
        *(0, 1, 2, 5, 6, 7, 16, 21, 50, -260),  # raw, CopyRect, RRE, Hextile, zlib, Tight, ZRLE, JPEG, H.264, TightPNG
        *range(-32, -22),  # quality
        *range(-256, -246),  # compression
        *(-223, -224, -239, -307, -308, 0x574D5664),  # size, last rectangle, cursor, name, extended size, alpha cursor
        *(-258, -261, -309, -312, -313, -316),  # QEMU's keys and lamps, xvp, fences, continuous updates, more buttons
        0xC0A1E5CE - (1 << 32),  # extended clipboard
    }
)
"""All that noVNC 1.7's core/encodings.js names."""
_ASKS = frozenset({Type.UPDATE_REQUEST, Type.CONTINUOUS_UPDATES})


class Unreplayable(FilterError):
    """The client asks for what a recording could not show."""

    ending = Ending.UNREPLAYABLE


class ReplayableStream(ClientStream):
    """The filter of a session that is recorded: what the player would not understand ends it, and does not go on."""

    _formatted = False

    def _version(self, held: bytes) -> bytes:
        _check(held == VERSION, "another version")
        return super()._version(held)

    def _security(self, held: bytes) -> bytes:
        _check(held[0] == rfb.SECURITY_NONE, "another handshake")
        return super()._security(held)

    def _message(self, held: bytes) -> bytes:
        kind = held[0]
        if kind == Type.SET_PIXEL_FORMAT:
            _check(held[4:17] == PIXEL_FORMAT, "another pixel format")
            self._formatted = True
        elif kind == Type.SET_ENCODINGS:
            _check(ENCODINGS.issuperset(rfb.encodings_of(held)), "an encoding that is not drawn")
        elif kind in _ASKS:
            _check(self._formatted, "pictures in the display's own format")
        return super()._message(held)


def _check(understood: bool, otherwise: str) -> None:
    if not understood:
        raise Unreplayable(otherwise)
