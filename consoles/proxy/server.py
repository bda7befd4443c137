"""The WebSocket server: websockify's threaded server and handshake with our checks before it and our pump behind it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import socket
import socketserver
import sys
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

from redis import RedisError
from websockify.websocketproxy import LibProxyServer, ProxyRequestHandler

from consoles.proxy import probing, serial, tickets, visits
from consoles.proxy.carriers import carry_spice, carry_vnc
from consoles.proxy.endings import Ending
from consoles.proxy.sessions import Line
from consoles.proxy.tickets import Denied
from consoles.proxy.visits import Carrier, Desk, Visit

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 10
"""How long a client may take to send its request."""
EARLY_BYTES = 64 * 1024
CONNECTIONS_BESIDE = 1000
"""Connections that may be served beside four for each session: they send their requests or are refused."""
_BAD_REQUEST = ("bad_request", "Open a WebSocket with the address and a ticket that the portal gave.")
_REFUSALS = {
    HTTPStatus.NOT_FOUND: ("not_found", "Only consoles are here: open a WebSocket with a ticket of the portal."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method_not_allowed", "Use GET."),
    HTTPStatus.NOT_IMPLEMENTED: ("method_not_allowed", "Use GET."),
    HTTPStatus.SERVICE_UNAVAILABLE: ("unavailable", "The portal could not check the ticket: try again in a moment."),
}


CARRIERS: dict[str, Carrier] = {"vnc": carry_vnc, "spice": carry_spice, "serial": serial.carry}
"""What carries a console, by the protocol of its ticket."""


class ConsoleHandler(ProxyRequestHandler):  # type: ignore[misc]
    """One connection. Nothing of its request is ever logged or echoed: it holds the ticket and the login's cookie."""

    timeout = REQUEST_SECONDS
    server: ConsoleServer
    server_version = "kvmportal"
    sys_version = ""
    line: Line | None = None
    ending = Ending.LEFT

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
        self.line = visits.admit(desk, ticket, self.claim)
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
            if self.line:
                visits.leave(self.server.desk, self.line, self.ending)

    def handle_websocket(self) -> None:
        """Carry bytes. In place of websockify's own, which logs requests and can record."""
        if self.line is None:
            raise Denied
        visit = Visit(self.server.desk, self.connection, self.claim, self.line, self._early())
        carrier = CARRIERS.get(self.claim.protocol, visits.no_such_protocol)
        self.ending = visits.carry(visit, probing.carry if self.claim.probe else carrier)

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
        self._places = threading.BoundedSemaphore(4 * desk.registry.most + CONNECTIONS_BESIDE)
        self._stopping = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stopped = threading.Event()
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

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Accept connections until `shutdown`, those that have come by then included."""
        self.socket.setblocking(False)
        poll = select.poll()
        for number in (self.socket.fileno(), self._stopping):
            poll.register(number, select.POLLIN)
        stopping = False
        while not stopping:
            stopping = any(number == self._stopping for number, _ in poll.poll())
            self._accept_all()
        self.socket.close()
        self._stopped.set()

    def _accept_all(self) -> None:
        while True:
            try:
                request, address = self.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:  # no file or memory left, or the client is gone
                logger.warning("a connection was not accepted: %s", error)
                time.sleep(0.1)
                return
            request.setblocking(True)
            self.process_request(request, address)

    def shutdown(self) -> None:
        """Stop listening, at once; what was accepted goes on."""
        os.eventfd_write(self._stopping, 1)
        self._stopped.wait(5)

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
