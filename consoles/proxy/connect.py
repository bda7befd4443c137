"""The door for virt-viewer's SPICE connections: HTTP CONNECT, with the ticket of the .vv file as the password.

The file names this door as its proxy. virt-viewer asks it once for each SPICE channel to be connected to the file's
host. That is a name for the machine and nothing else: no CONNECT ever leads anywhere but to the display of its ticket's
own session. The first one uses the ticket up, for the main channel. The others come with the same secret, which is then
worth one connection for each other channel of that session, and nothing after its end.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
import struct
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from threading import Lock

from redis import RedisError

from consoles.proxy import viewer_tickets, visits
from consoles.proxy.doorstep import Doorstep, Enter, Unwelcome, ViewerServer
from consoles.proxy.endings import Ending
from consoles.proxy.server import CARRIERS
from consoles.proxy.sessions import Line, Session
from consoles.proxy.spice import NUMBERS, Channel, channels_of
from consoles.proxy.tickets import Claim, Denied
from consoles.proxy.viewer_tls import Certificate
from consoles.proxy.visits import MAIN, Desk, Visit

logger = logging.getLogger(__name__)

MOST_HEAD = 8 * 1024
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
MOST_LINK = 4096
MOST_CHANNELS = 32
"""Channels of one session; a machine with four screens and four USB sockets has fifteen."""
_LINK_HEAD = struct.Struct("<4sIII")  # magic, version, size of what follows
_LINK_BODY = struct.Struct("<IBB")  # session at the server, channel type, channel number; capabilities follow
PERMISSION_DENIED = _LINK_HEAD.pack(b"REDQ", 2, 2, 178) + struct.pack("<I", 7) + bytes(174)
"""A SpiceLinkReply without a key or capabilities."""
_REQUEST = re.compile(r"([A-Z]+) (\S+) HTTP/1\.[01]")
_BASIC = re.compile(r"Basic +([A-Za-z0-9+/=]+)", re.IGNORECASE)


class Refusal(Exception):
    """The request is answered with this status, and no more is said."""

    def __init__(self, status: HTTPStatus, *headers: str) -> None:
        super().__init__(status)
        lines = (f"HTTP/1.1 {status.value} {status.phrase}", *headers, "Content-Length: 0", "Connection: close")
        self.answer = "".join(f"{line}\r\n" for line in (*lines, "")).encode()


@dataclass(frozen=True, slots=True)
class Request:
    """What a viewer asks for, and the secret that it shows."""

    target: str
    secret: str

    @classmethod
    def parse(cls, head: bytes) -> Request:
        """Read a request's head.

        Raises:
            Refusal: it is no CONNECT, or shows no ticket.
        """
        first, *lines = head.decode("latin-1").split("\r\n")
        if not (line := _REQUEST.fullmatch(first)):
            raise Refusal(HTTPStatus.BAD_REQUEST)
        if line[1] != "CONNECT":
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Allow: CONNECT")
        headers = [line.partition(":") for line in lines]
        shown = [value.strip() for name, _, value in headers if name.lower() == "proxy-authorization"]
        if not shown:
            raise Refusal(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, 'Proxy-Authenticate: Basic realm="kvmportal"')
        return cls(line[2], _secret_of(shown))


class ConnectServer(ViewerServer):
    """Serves the SPICE channels of native viewers. Without a certificate TLS ends in front, or there is none."""

    def __init__(self, listen: str, desk: Desk, certificate: Certificate | None = None) -> None:
        super().__init__(listen, desk, certificate)
        self._inside: dict[str, Claim] = {}  # by ticket, for as long as their main channel is there
        self._lock = Lock()

    def welcome(self, doorstep: Doorstep) -> Enter | None:
        """Read what is asked, and let in who shows a ticket."""
        if self.certificate:
            doorstep.secure(self.certificate.context())
        try:
            request = Request.parse(doorstep.read_head(MOST_HEAD))
            return self._admit(request, doorstep)
        except Refusal as refusal:
            doorstep.send(refusal.answer)
        except Denied:
            doorstep.send(Refusal(HTTPStatus.FORBIDDEN).answer)
        except RedisError as error:
            logger.warning("a viewer's ticket could not be checked: %s", error)
            doorstep.send(Refusal(HTTPStatus.SERVICE_UNAVAILABLE).answer)
        return None

    def _admit(self, request: Request, doorstep: Doorstep) -> Enter:
        """Return what serves the main channel of a new session, or another one of a session that is open.

        Raises:
            Denied: the ticket is good for neither.
            RedisError: it could not be checked.
            Unwelcome: what comes for an open session is not SPICE.
        """
        ticket = viewer_tickets.ticket_of(request.secret)
        with self._lock:
            claim = self._inside.get(ticket)
        if claim:
            _check_target(request, claim)
            session = self.desk.registry.find(claim.session)
            if session is None or session.ending:
                raise Denied
            return partial(self._side, claim, Link.read(doorstep))
        claim = viewer_tickets.claim_of(self.desk.redis, request.secret, "spice")
        _check_target(request, claim)
        claim = replace(claim, channel=MAIN)
        line = visits.admit(self.desk, ticket, claim)
        with self._lock:
            self._inside[ticket] = claim
        return partial(self._main, ticket, claim, line)

    def _main(self, ticket: str, claim: Claim, line: Line, doorstep: Doorstep) -> None:
        """Serve the connection that used the ticket up. It is for the main channel, and its end is the session's."""
        ending = Ending.LEFT
        try:
            link = Link.read(doorstep)
            if link.channel == MAIN:
                ending = self._carry(doorstep, claim, line, link)
            else:
                doorstep.send(PERMISSION_DENIED)
        finally:
            with self._lock:
                del self._inside[ticket]
            line.session.end(ending)
            visits.leave(self.desk, line, ending)

    def _side(self, claim: Claim, link: Link, doorstep: Doorstep) -> None:
        """Serve another channel of a session, for as long as that is open."""
        claim = replace(claim, channel=link.channel)
        line = self.desk.registry.join(claim)
        ending = Ending.LEFT
        try:
            if _may_open(line.session, link):
                ending = self._carry(doorstep, claim, line, link)
            else:
                doorstep.send(PERMISSION_DENIED)
        finally:
            visits.leave(self.desk, line, ending)

    def _carry(self, doorstep: Doorstep, claim: Claim, line: Line, link: Link) -> Ending:
        visit = Visit(self.desk, doorstep.plain(), claim, line, link.data, websocket=False)
        return visits.carry(visit, CARRIERS.get(claim.protocol, visits.no_such_protocol))


@dataclass(frozen=True, slots=True)
class Link:
    """What a SPICE client says first on each connection: which channel it is for."""

    kind: int
    number: int
    data: bytes
    """The whole message, for the display."""

    @property
    def channel(self) -> Channel | None:
        """Return the channel, None for one that there is not."""
        return NUMBERS.get(self.kind)

    @classmethod
    def read(cls, doorstep: Doorstep) -> Link:
        """Answer CONNECT and read what comes through.

        Raises:
            Unwelcome: it is not SPICE, or does not come in time.
        """
        doorstep.send(ESTABLISHED)
        head = doorstep.read(_LINK_HEAD.size)
        magic, _major, _minor, size = _LINK_HEAD.unpack(head)
        if magic != b"REDQ" or not _LINK_BODY.size <= size <= MOST_LINK:
            raise Unwelcome
        body = doorstep.read(size)
        _connection, kind, number = _LINK_BODY.unpack_from(body)
        return cls(kind, number, head + body)


def _may_open(session: Session, link: Link) -> bool:
    """Return whether this session may open this channel beside its main one, and has not opened it before."""
    if not session.taken:  # it has gone in this moment, and the registry made a new one
        return False
    if link.channel == MAIN or len(session.channels) >= MOST_CHANNELS:
        return False
    allowed = channels_of(viewer_tickets.VIEWER, session.mode, microphone=session.claim.microphone)
    return link.channel in allowed and (link.kind, link.number) not in session.channels


def _check_target(request: Request, claim: Claim) -> None:
    if request.target != viewer_tickets.target_of(claim.machine):
        raise Denied


def _secret_of(shown: list[str]) -> str:
    """Return the password of Basic credentials; what is none is one that no ticket has."""
    match = _BASIC.fullmatch(shown[0]) if len(shown) == 1 else None
    try:
        user, _, secret = base64.b64decode(match[1] if match else "", validate=True).decode("latin-1").partition(":")
    except binascii.Error:
        return ""
    return secret if user == viewer_tickets.USER else ""
