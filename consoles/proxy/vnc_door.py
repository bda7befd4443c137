"""The door for virt-viewer's VNC connections: RFB with TLS, and the ticket of the .vv file as the password.

gtk-vnc knows no proxies, so this speaks the server's half of the handshake itself (RFC 6143 with VeNCrypt: TLS, then
user name and password), and only then opens the display and shakes hands with it as a client without a password, which
libvirt's file descriptor needs none of. From ClientInit on everything passes through the same filter as a page's.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from functools import partial

from redis import RedisError

from consoles.proxy import rfb, viewer_tickets, visits
from consoles.proxy.display import NoDisplay
from consoles.proxy.doorstep import Doorstep, Enter, Unwelcome, ViewerServer
from consoles.proxy.endings import GOODBYES, Ending
from consoles.proxy.pump import Pump
from consoles.proxy.rfb import ClientStream
from consoles.proxy.sessions import Line
from consoles.proxy.tickets import Claim, Denied
from consoles.proxy.viewer_tls import anonymous
from consoles.proxy.visits import Visit

logger = logging.getLogger(__name__)

VERSION = b"RFB 003.008\n"
VENCRYPT = 19
VENCRYPT_VERSION = b"\x00\x02"
TLS_PLAIN, X509_PLAIN = 259, 262
"""User name and password within TLS that has no certificate, or one."""
_OK, _FAILED = struct.pack(">I", 0), struct.pack(">I", 1)
_MOST_WORDS = 128
_DISPLAY_SECONDS = 5.0


class VncServer(ViewerServer):
    """Serves native viewers of VNC displays; by TLS without a certificate where it has none, for portals of http."""

    def welcome(self, doorstep: Doorstep) -> Enter | None:
        """Ask for a ticket and let its holder in."""
        self._begin(doorstep)
        secret = _secret(doorstep)
        try:
            claim = viewer_tickets.claim_of(self.desk.redis, secret, "vnc")
            line = visits.admit(self.desk, viewer_tickets.ticket_of(secret), claim)
        except Denied as denied:
            doorstep.send(_refusal(denied.message))
            return None
        except RedisError as error:
            logger.warning("a viewer's ticket could not be checked: %s", error)
            doorstep.send(_refusal("The portal could not check the ticket: try again in a moment."))
            return None
        return partial(self._serve, claim, line)

    def _begin(self, doorstep: Doorstep) -> None:
        """Agree on RFB 3.8, VeNCrypt and TLS.

        Raises:
            Unwelcome: the viewer does not.
        """
        kind = struct.pack(">I", X509_PLAIN if self.certificate else TLS_PLAIN)
        for said, answer in (
            (VERSION, VERSION),
            (bytes([1, VENCRYPT]), bytes([VENCRYPT])),
            (VENCRYPT_VERSION, VENCRYPT_VERSION),
            (b"\x00\x01" + kind, kind),  # version taken; one way
        ):
            doorstep.send(said)
            if doorstep.read(len(answer)) != answer:
                raise Unwelcome
        doorstep.send(b"\x01")
        doorstep.secure(self.certificate.context() if self.certificate else anonymous())

    def _serve(self, claim: Claim, line: Line, doorstep: Doorstep) -> None:
        """Carry the viewer's bytes to the display and back."""
        ending = Ending.FAILED
        try:
            ending = visits.carry(Visit(self.desk, doorstep.plain(), claim, line, websocket=False), carry)
        finally:
            visits.leave(self.desk, line, ending)


def carry(visit: Visit) -> Ending:
    """Open the display, tell the viewer whether that worked, and carry its bytes through the RFB filter."""
    stream = ClientStream(visit.session.mode)
    try:
        display = visit.open_display()
        _greet(display, stream)
    except NoDisplay as error:
        with contextlib.suppress(OSError):
            visit.client.sendall(_refusal(GOODBYES[error.ending].sentence))
        raise
    visit.client.sendall(_OK)
    return Pump(visit.client, display, visit.line, stream, websocket=False).run()


def _greet(display: socket.socket, stream: ClientStream) -> None:
    """Shake hands with the display, up to where the viewer's ClientInit comes next in the stream.

    Raises:
        NoDisplay: it is none that lets us in; it is closed then.
    """
    doorstep = Doorstep(display, _DISPLAY_SECONDS)
    try:
        doorstep.read(len(VERSION))
        doorstep.send(stream.feed(VERSION))
        if rfb.SECURITY_NONE not in doorstep.read(doorstep.read(1)[0]):
            raise Unwelcome
        doorstep.send(stream.feed(bytes([rfb.SECURITY_NONE])))
        if doorstep.read(len(_OK)) != _OK:
            raise Unwelcome
    except Unwelcome as error:
        display.close()
        raise NoDisplay(Ending.NO_DISPLAY) from error


def _secret(doorstep: Doorstep) -> str:
    """Return the password that the viewer sends.

    Raises:
        Unwelcome: it sends something else.
    """
    sizes = struct.unpack(">II", doorstep.read(8))
    if max(sizes) > _MOST_WORDS:
        raise Unwelcome
    _user, password = (doorstep.read(size) for size in sizes)
    return password.decode("latin-1")


def _refusal(sentence: str) -> bytes:
    words = sentence.encode()
    return _FAILED + struct.pack(">I", len(words)) + words
