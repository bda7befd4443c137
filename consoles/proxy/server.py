"""The WebSocket server: websockify's threaded server and handshake with our checks before it and our pump behind it."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import socketserver
import sys
import threading
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from redis import Redis, RedisError
from websockify.websocketproxy import LibProxyServer, ProxyRequestHandler

from consoles.proxy import tickets
from consoles.proxy.display import NoDisplay, OpenDisplay
from consoles.proxy.endings import Ending
from consoles.proxy.journal import Journal
from consoles.proxy.pump import Pump, say_goodbye
from consoles.proxy.sessions import Registry, Session
from consoles.proxy.tickets import Denied

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 10
"""How long a client may take to send its request."""
EARLY_BYTES = 64 * 1024
MOST_CONNECTIONS = 2000
_BAD_REQUEST = ("bad_request", "Open a WebSocket with the address and a ticket that the portal gave.")
_REFUSALS = {
    HTTPStatus.NOT_FOUND: ("not_found", "Only consoles are here: open a WebSocket with a ticket of the portal."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method_not_allowed", "Use GET."),
    HTTPStatus.NOT_IMPLEMENTED: ("method_not_allowed", "Use GET."),
    HTTPStatus.SERVICE_UNAVAILABLE: ("unavailable", "The portal could not check the ticket: try again in a moment."),
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What every connection needs of its process."""

    redis: Redis
    origins: frozenset[str]
    registry: Registry
    journal: Journal
    open_display: OpenDisplay


class ConsoleHandler(ProxyRequestHandler):  # type: ignore[misc]
    """One connection. Nothing of its request is ever logged or echoed: it holds the ticket and the login's cookie."""

    timeout = REQUEST_SECONDS
    server: ConsoleServer
    server_version = "kvmportal"
    sys_version = ""
    session: Session | None = None

    def validate_connection(self) -> None:
        """Check everything about the ticket, before the WebSocket is accepted.

        Raises:
            Denied: the client gets 403 and learns nothing more.
            RedisError: the ticket could not be checked.
        """
        desk = self.server.desk
        if self.headers.get("Sec-WebSocket-Version") != "13" or not self.headers.get("Sec-WebSocket-Key"):
            raise Denied
        ticket = tickets.ticket_of(self.headers)
        self.claim = tickets.claim_of(desk.redis, ticket, self.headers, desk.origins)
        self.session = Session(self.claim.session, self.claim.mode)
        desk.registry.add(self.session)
        tickets.take(desk.redis, ticket, self.claim)
        self.headers.replace_header("Sec-WebSocket-Protocol", "binary")

    def handle_upgrade(self) -> None:
        """Serve a WebSocket, or say no."""
        try:
            super().handle_upgrade()
        except Denied as denied:
            self._refuse(HTTPStatus.FORBIDDEN, denied.code, denied.message)
        except RedisError as error:
            logger.warning("a console ticket could not be checked: %s", error)
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
        finally:
            if self.session:
                self.server.desk.registry.remove(self.session)

    def handle_websocket(self) -> None:
        """Open the display and carry bytes. In place of websockify's own, which logs requests and can record."""
        if self.session is None:
            raise Denied
        journal = self.server.desk.journal
        early = self._early()
        try:
            display = self.server.desk.open_display(self.claim)
        except NoDisplay as error:
            say_goodbye(self.connection, error.ending)
            journal.closed(self.session, error.ending)
            return
        journal.opened(self.session)
        ending = Ending.FAILED
        try:
            ending = Pump(self.connection, display, self.session).run(early)
        finally:
            journal.closed(self.session, ending)

    def _early(self) -> bytes:
        """Return what the client sent behind its request before it had our answer."""
        self.connection.setblocking(False)
        return self.rfile.read1(EARLY_BYTES) or b""

    def do_GET(self) -> None:
        """Answer whether the process is alive; there is nothing else to get."""
        if self.path == "/healthz":
            self._answer(HTTPStatus.OK, "ok\n")
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_HEAD(self) -> None:
        """Answer nothing."""
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request without repeating any of it."""
        self._refuse(HTTPStatus(code), *_REFUSALS.get(HTTPStatus(code), _BAD_REQUEST))

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the request names the ticket."""

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        """Answer an error in the shape of the REST API's."""
        error = {"code": code, "message": message, "details": {}}
        self._answer(status, json.dumps({"error": error}), "application/json")

    def _answer(self, status: HTTPStatus, body: str, content_type: str = "text/plain") -> None:
        self.close_connection = True
        self.send_response_only(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        with contextlib.suppress(OSError):
            self.end_headers()
            self.wfile.write(body.encode())


class ConsoleServer(LibProxyServer):  # type: ignore[misc]
    """A thread for each connection. Listens on loopback or a unix socket; TLS ends in the reverse proxy before it."""

    unix_listen = None  # websockify's handler asks for it, its threaded server lacks it
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, listen: str, desk: Desk) -> None:
        """Bind and listen.

        Args:
            listen: `host:port` or `unix:/path`.
            desk: what every connection needs.

        Raises:
            OSError: the address cannot be had.
        """
        self.desk = desk
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        if listen.startswith("unix:"):
            self.address_family = socket.AF_UNIX
            super().__init__(ConsoleHandler, listen_host=listen.removeprefix("unix:"))
        else:
            host, _, port = listen.rpartition(":")
            self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            super().__init__(ConsoleHandler, listen_host=host.strip("[]"), listen_port=int(port))

    def server_bind(self) -> None:
        """Bind; a unix socket replaces the one that a process which was killed left behind."""
        if self.address_family != socket.AF_UNIX:
            socketserver.TCPServer.server_bind(self)
            return
        path = Path(self.server_address[0])
        if path.is_socket():
            path.unlink()
        self.socket.bind(str(path))
        path.chmod(0o660)

    def process_request_thread(self, request: socket.socket, client_address: Any) -> None:
        """Serve one connection in its thread; too many at once are closed unserved."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: socket.socket, client_address: Any) -> None:
        """Log what went wrong in a connection; a client that is simply gone is nothing to log."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            logger.exception("a console connection failed")
