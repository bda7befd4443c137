"""The public doors for native viewers: everything before a viewer has shown its ticket, bounded in time and memory."""

from __future__ import annotations

import logging
import socket
import socketserver
import ssl
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from consoles.proxy.tls_pipe import plain
from consoles.proxy.viewer_tls import Certificate
from consoles.proxy.visits import Desk

logger = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds that a viewer may take from its connection to being let in; a viewer takes tenths."""
MOST_WAITING = 200
"""Connections at once that are not let in yet; more are closed unheard, and nobody inside notices."""
_TCP_OPTIONS = {
    socket.TCP_KEEPIDLE: 30,
    socket.TCP_KEEPINTVL: 10,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_NODELAY: 1,
    socket.TCP_NOTSENT_LOWAT: 128 * 1024,
}
"""A dead peer is found within a minute; a slow one has at most so many bytes waiting in the kernel."""


class Unwelcome(Exception):
    """Who stands there does not speak as it should, is too slow or has gone. It gets no answer."""


class Doorstep:
    """A connection that has proved nothing yet: all of it has to come before one deadline."""

    def __init__(self, connection: socket.socket, patience: float) -> None:
        self.connection = connection
        self._until = time.monotonic() + patience

    def read(self, count: int) -> bytes:
        """Return exactly so many bytes.

        Raises:
            Unwelcome: they did not come in time.
        """
        data = b""
        while len(data) < count:
            data += self._receive(count - len(data))
        return data

    def read_head(self, most: int) -> bytes:
        """Return what comes before an empty line. Nothing may come behind it before it is answered.

        Raises:
            Unwelcome: no such line within `most` bytes, or not in time.
        """
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            if len(data) >= most or b"\r\n\r\n" in data:
                raise Unwelcome
            data += self._receive(most - len(data))
        return data.removesuffix(b"\r\n\r\n")

    def send(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            Unwelcome: the other side does not take it in time.
        """
        try:
            self.connection.settimeout(self._left())
            self.connection.sendall(data)
        except OSError as error:
            raise Unwelcome from error

    def secure(self, context: ssl.SSLContext) -> None:
        """Shake hands for TLS; everything after goes through it.

        Raises:
            Unwelcome: the other side does not.
        """
        try:
            self.connection.settimeout(self._left())
            self.connection = context.wrap_socket(self.connection, server_side=True)
        except OSError as error:
            raise Unwelcome from error

    def plain(self) -> socket.socket:
        """Return the connection as a socket of plain bytes, for someone who was let in."""
        self.connection = plain(self.connection)
        return self.connection

    def _receive(self, most: int) -> bytes:
        try:
            self.connection.settimeout(self._left())
            data = self.connection.recv(most)
        except OSError as error:
            raise Unwelcome from error
        if not data:
            raise Unwelcome
        return data

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise Unwelcome
        return left


Enter = Callable[[Doorstep], None]
"""Serves a connection that was let in; may raise Unwelcome."""


class ViewerServer(ABC, socketserver.ThreadingTCPServer):
    """A thread for each viewer's connection. Its subclasses know what is said at the door."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, listen: str, desk: Desk, certificate: Certificate | None = None) -> None:
        """Bind and listen.

        Args:
            listen: `host:port`.
            desk: what every connection needs.
            certificate: what the server proves itself with; what None means is the subclass's to say.

        Raises:
            OSError: the address cannot be had.
        """
        self.desk = desk
        self.certificate = certificate
        self._places = threading.BoundedSemaphore(MOST_WAITING)
        host, _, port = listen.rpartition(":")
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host.strip("[]"), int(port)), socketserver.BaseRequestHandler)

    @abstractmethod
    def welcome(self, doorstep: Doorstep) -> Enter | None:
        """Hear who stands there; return what serves it, None when it is not let in.

        Raises:
            Unwelcome: it may not even be answered.
        """

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection."""
        request.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _TCP_OPTIONS.items():
            request.setsockopt(socket.IPPROTO_TCP, option, value)
        doorstep = Doorstep(request, PATIENCE)
        try:
            if enter := self._let_in(doorstep):
                enter(doorstep)
        except Unwelcome:
            pass
        finally:
            doorstep.connection.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong; a viewer that is simply gone is nothing to log."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            logger.exception("a viewer's connection failed")

    def _let_in(self, doorstep: Doorstep) -> Enter | None:
        if not self._places.acquire(blocking=False):
            return None
        try:
            return self.welcome(doorstep)
        except Unwelcome:
            return None
        finally:
            self._places.release()
