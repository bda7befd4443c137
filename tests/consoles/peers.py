"""Both ends of a console under test: tickets as the portal writes them, a display behind TCP, a client before it."""

from __future__ import annotations

import json
import secrets
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Queue
from threading import Thread
from time import monotonic, sleep
from typing import Any, Self

import pytest
from redis import Redis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from consoles.proxy import redis_names
from consoles.proxy.display import NoDisplay
from consoles.proxy.endings import Ending
from consoles.proxy.limits import Limits
from consoles.proxy.server import ConsoleServer
from consoles.proxy.tickets import Claim
from consoles.proxy.visits import Desk
from consoles.proxy.watch import Watch
from people.logins import login_digest

ORIGIN = "http://portal.test"
SESSION_KEY = "owners-session-key"


@dataclass(frozen=True)
class Issued:
    """A ticket, its session, and what a browser sends with it."""

    ticket: str
    session: str
    cookie: str = f"sessionid={SESSION_KEY}"


def issue(
    redis: Redis, *, mode: str = "control", by_token: bool = False, session: str | None = None, **claim: Any
) -> Issued:
    """Write ticket and lease as the portal does; another ticket of a session when it is given."""
    issued = Issued(secrets.token_urlsafe(32), session or str(uuid.uuid4()))
    content = {
        "session": issued.session,
        "machine": str(uuid.uuid4()),
        "uri": "test:///default",
        "protocol": "vnc",
        "mode": mode,
        "login": login_digest("token:1" if by_token else f"session:{SESSION_KEY}"),
        "by_token": by_token,
        "user": 1,
        "client": "script" if by_token else "page",
        "channel": None,
        "record": False,
        "idle_limit": 0,
        "limit": 0,
    } | claim
    redis.set(redis_names.lease_key(issued.session), mode, ex=redis_names.LEASE_SECONDS)
    redis.set(redis_names.ticket_key(issued.ticket), json.dumps(content), ex=redis_names.TICKET_SECONDS)
    return issued


def issue_channels(redis: Redis, *names: str, **claim: Any) -> dict[str, Issued]:
    """Write a SPICE session's tickets, one for each channel."""
    session = str(uuid.uuid4())
    return {name: issue(redis, protocol="spice", session=session, channel=name, **claim) for name in names}


def tell(redis: Redis, session: str, what: str = "mode", **more: str) -> None:
    """Tell the proxies about a session as the portal does: the lease first, so that a lost message heals."""
    if mode := more.get("mode"):
        redis.set(redis_names.lease_key(session), mode, ex=redis_names.LEASE_SECONDS)
    redis.publish(redis_names.TELL_CHANNEL, json.dumps({"session": session, "tell": what, **more}))


def reports(redis: Redis, event: str) -> list[dict[str, str]]:
    """Return what the proxy reported of this kind."""
    return [fields for _, fields in redis.xrange(redis_names.EVENTS_STREAM) if fields["event"] == event]


def open_console(
    url: str, issued: Issued, *, origin: str | None = ORIGIN, cookie: str | None = None, **options: Any
) -> ClientConnection:
    """Connect as a browser does; raises `websockets.exceptions.InvalidStatus` when refused."""
    headers = {"Cookie": issued.cookie if cookie is None else cookie}
    return connect(
        url,
        subprotocols=["binary", f"ticket.{issued.ticket}"],
        origin=origin,
        additional_headers=headers,
        compression=None,
        open_timeout=5,
        close_timeout=2,
        ping_interval=None,
        proxy=None,
        **options,
    )


def closed_with(console: ClientConnection, within: float = 5) -> tuple[int, str]:
    """Read until the proxy closes; return its code and reason."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            console.recv(timeout=within)
    assert closed.value.rcvd is not None, "no close frame came"
    return closed.value.rcvd.code, closed.value.rcvd.reason


class TcpDisplay:
    """Listens where the proxy connects to; every connection is taken and waits in `taken`."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.taken: Queue[socket.socket] = Queue()
        self._all: list[socket.socket] = []
        Thread(target=self._accept, daemon=True).start()

    def open(self, claim: Claim) -> socket.socket:
        """What the proxy opens displays with."""
        if claim.protocol == "none":
            raise NoDisplay(Ending.NO_DISPLAY)
        return socket.create_connection(self._listener.getsockname(), timeout=2)

    def peer(self) -> socket.socket:
        """The machine's end of the newest console."""
        peer = self.taken.get(timeout=5)
        peer.settimeout(5)
        return peer

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._all.append(peer)
            self.taken.put(peer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._all:
            peer.close()


@dataclass(frozen=True)
class Proxy:
    """A proxy that serves."""

    url: str


@contextmanager
def served(desk: Desk) -> Iterator[Proxy]:
    """Serve in this process what `python -m consoles.proxy` serves in its own."""
    server = ConsoleServer("127.0.0.1:0", desk)
    limits = Limits(desk.registry, desk.journal)
    watch = Watch(desk.redis, desk.registry, desk.journal)
    desk.journal.start()
    watch.start()
    limits.start()
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Proxy(f"ws://127.0.0.1:{server.server_address[1]}/console")
    finally:
        server.shutdown()
        desk.registry.end_all(Ending.STOPPING, patience=5)
        limits.stop()
        watch.stop()
        desk.journal.stop(2)


def receive_exactly(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = peer.recv(count - len(data))
        if not more:
            raise AssertionError(f"the other side closed after {data!r}")
        data += more
    return data


def eventually(condition: Callable[[], Any], within: float = 5.0) -> Any:
    """Wait until the condition holds and return what it returned."""
    until = monotonic() + within
    while not (found := condition()):
        if monotonic() > until:
            raise AssertionError("it did not happen in time")
        sleep(0.01)
    return found
