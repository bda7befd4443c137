"""One connection whose ticket was taken, and what every connection needs of its process."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from redis import Redis

from consoles.proxy import tickets
from consoles.proxy.display import NoDisplay, OpenDisplay
from consoles.proxy.endings import Ending
from consoles.proxy.journal import Journal
from consoles.proxy.modes import Mode, mode_of
from consoles.proxy.pump import Tee, say_goodbye
from consoles.proxy.sessions import Line, Registry, Session
from consoles.proxy.shared_console import Console, SharedConsoles
from consoles.proxy.tickets import Claim
from hypervisor.pool import Pool

MAIN = "main"
"""The SPICE channel whose end is its session's end."""


class MakeTee(Protocol):
    """Makes what is given every byte that a display sends, for sessions that are recorded."""

    def __call__(self, visit: Visit) -> Tee | None:
        """Return None when this visit is not recorded."""


def _no_console(_claim: Claim, _on_output: object, _on_end: object) -> Console:
    raise NoDisplay(Ending.NO_DISPLAY)


def _no_tee(visit: Visit) -> Tee | None:
    return None


@dataclass(frozen=True, slots=True)
class Desk:
    """What every connection needs of its process."""

    redis: Redis
    origins: frozenset[str]
    registry: Registry
    journal: Journal
    open_display: OpenDisplay
    pool: Pool = field(default_factory=Pool)
    serial_consoles: SharedConsoles = field(default_factory=lambda: SharedConsoles(_no_console))
    make_tee: MakeTee = _no_tee


@dataclass(frozen=True, slots=True)
class Visit:
    """One connection, from when its ticket was taken."""

    desk: Desk
    client: socket.socket
    claim: Claim
    line: Line
    early: bytes = b""
    """What the client sent together with its request."""
    websocket: bool = True
    """False where the client's bytes are not framed (HTTP CONNECT)."""

    @property
    def session(self) -> Session:
        """The session it belongs to, together with others or alone."""
        return self.line.session

    def open_display(self) -> socket.socket:
        """Open the machine's display as it is now, and report it.

        Raises:
            NoDisplay: there is none.
        """
        display = self.desk.open_display(self.claim)
        self.opened()
        return display

    def opened(self) -> None:
        """Report that its session is open, if it is the first connection of it."""
        if self.session.open_first():
            self.desk.journal.opened(self.session)

    def tee(self) -> Tee | None:
        """Return what keeps a copy of what the display sends."""
        return self.desk.make_tee(self) if self.claim.record else None


Carrier = Callable[[Visit], Ending]
"""Carries one connection's bytes until it ends; says goodbye to its client; raises NoDisplay before it began."""


def admit(desk: Desk, ticket: str, claim: Claim) -> Line:
    """Use a ticket up and begin to serve its connection. Whoever calls lets it `leave` in the end.

    Raises:
        Denied: someone else was first, or the portal no longer vouches for the session.
        RedisError: Redis did not answer.
    """
    line = desk.registry.join(claim)  # before the ticket is taken: an ending that comes meanwhile is not missed
    try:
        lease = tickets.take(desk.redis, ticket, claim)
    except BaseException:
        leave(desk, line)
        raise
    line.session.taken = True
    if mode_of(lease) is Mode.VIEW:  # never more than the ticket says: the lease may have changed since it was read
        line.session.change_mode(Mode.VIEW)
    return line


def leave(desk: Desk, line: Line, ending: Ending = Ending.LEFT) -> None:
    """Stop serving a connection; report its session's end when it was the last."""

    def over(session: Session) -> None:
        if session.taken:
            desk.journal.closed(session, session.ending or ending)

    desk.registry.leave(line, over)


def carry(visit: Visit, carrier: Carrier) -> Ending:
    """Serve a connection to its end; return why it ended."""
    ending = Ending.FAILED
    try:
        if visit.session.ending:
            raise NoDisplay(visit.session.ending)
        ending = carrier(visit)
    except NoDisplay as error:
        ending = error.ending
        visit.client.setblocking(False)
        say_goodbye(visit.client, ending, websocket=visit.websocket)
    finally:
        if visit.line.channel in (None, MAIN) or ending not in (Ending.LEFT, Ending.DISPLAY_CLOSED, Ending.REVOKED):
            visit.session.end(ending)  # a side channel may go before the others
    return ending


def no_such_protocol(_visit: Visit) -> Ending:
    """Serve a protocol that this proxy does not speak."""
    raise NoDisplay(Ending.NO_DISPLAY)
