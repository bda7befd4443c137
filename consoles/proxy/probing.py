"""Looks whether a machine's display answers, for the console doctor: nobody who is connected to it notices.

The display is opened and said hello to, no further than it goes without being a client of it: a second client that is
let in throws the first one out of a SPICE screen. A serial console is opened and given back, unless somebody looks at
it through this proxy: then it is open. The page gets one byte when all is well, and otherwise a close code.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from consoles.proxy.display import NoDisplay
from consoles.proxy.doorstep import Doorstep, Unwelcome
from consoles.proxy.endings import Ending
from consoles.proxy.frames import Opcode, header
from consoles.proxy.pump import say_goodbye
from consoles.proxy.spice import AUTH_SELECTION, LINK_LEAST, LINK_MOST, MAGIC, MAJOR, MINI_HEADER
from consoles.proxy.visits import Visit, no_such_protocol

PATIENCE = 6.0
"""Seconds that a display may take; the page waits for a little less."""
_BANNER = 12
_LINK_HEAD = struct.Struct("<4sIII")  # magic, version, size of what follows
_MAIN = struct.pack("<IBBIIII", 0, 1, 0, 1, 0, LINK_LEAST, AUTH_SELECTION | MINI_HEADER)
HELLO_SPICE = _LINK_HEAD.pack(MAGIC, MAJOR, 2, len(_MAIN)) + _MAIN
"""A link message for the main channel. What would follow, authentication, is what makes it a client."""


def carry(visit: Visit) -> Ending:
    """Look at the display that the claim names, and say so to the page.

    Raises:
        NoDisplay: it is not there, or does not answer as it should.
    """
    _LOOKS.get(visit.claim.protocol, no_such_protocol)(visit)
    visit.client.setblocking(False)
    said = memoryview(header(Opcode.BINARY, 1) + b"\x01")
    say_goodbye(visit.client, Ending.LEFT, [said], websocket=visit.websocket)
    return Ending.LEFT


def _look_at_serial(visit: Visit) -> None:
    visit.desk.serial_consoles.examine(visit.claim)


def _look_at(greet: Callable[[Doorstep], bool]) -> Callable[[Visit], None]:
    """Return what opens a display, and raises NoDisplay unless it greets as expected."""

    def look(visit: Visit) -> None:
        display = visit.desk.open_display(visit.claim)
        try:
            if not greet(Doorstep(display, PATIENCE)):
                raise NoDisplay(Ending.NO_DISPLAY)
        except Unwelcome as error:
            raise NoDisplay(Ending.DISPLAY_CLOSED) from error
        finally:
            display.close()

    return look


def _greets_by_rfb(display: Doorstep) -> bool:
    return display.read(_BANNER).startswith(b"RFB ")


def _greets_by_spice(display: Doorstep) -> bool:
    display.send(HELLO_SPICE)
    magic, major, _minor, size = _LINK_HEAD.unpack(display.read(_LINK_HEAD.size))
    if magic != MAGIC or major != MAJOR or not 4 <= size <= LINK_MOST:
        return False
    (error,) = struct.unpack_from("<I", display.read(size))
    return bool(error == 0)


_LOOKS: dict[str, Callable[[Visit], object]] = {
    "vnc": _look_at(_greets_by_rfb),
    "spice": _look_at(_greets_by_spice),
    "serial": _look_at_serial,
}
