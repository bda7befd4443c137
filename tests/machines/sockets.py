"""A real web process, and browsers' sockets to it."""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any, Self

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from demo.kept import Kept
from demo.servers import free_port
from tests.machines.processes import portal_environment


class Web:
    """daphne with the portal, on the tests' database and Redis; a context manager."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.url = f"ws://127.0.0.1:{self.port}/ws/updates/"
        command = [
            sys.executable,
            "-m",
            "daphne",
            "-b",
            "127.0.0.1",
            "-p",
            str(self.port),
            "kvmportal.asgi:application",
        ]
        self._kept = Kept(command, log=directory / "web.log", env=portal_environment())

    def __enter__(self) -> Self:
        self._kept.start()
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self
        raise AssertionError(self._kept.last_words())

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    @property
    def log(self) -> str:
        """All that it logged."""
        return self._kept.log.read_text()


def sign_in(user: User) -> str:
    """Make a login session and return its key."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


class Socket:
    """One open socket of live updates; a context manager."""

    def __init__(self, web: Web, session: str = "", **options: Any) -> None:
        options.setdefault("origin", web.origin)
        headers = {"Cookie": f"sessionid={session}"} if session else {}
        url = options.pop("url", web.url)
        # With a limited queue a socket that nobody takes from for a while would not answer pings, and be closed.
        self._ws = connect(url, additional_headers=headers, proxy=None, max_size=None, max_queue=None, **options)
        self.subprotocol = self._ws.subprotocol

    def say(self, message: Any) -> None:
        """Send something: a text or bytes as it is, anything else as JSON."""
        self._ws.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def watch(self, *machines: Any) -> list[dict[str, Any]]:
        """Watch these machines; return what came up to the message that ends such an answer."""
        self.say({"type": "watch", "machines": [str(getattr(one, "uuid", one)) for one in machines]})
        return self.take_until("rights")

    def take(self, wait: float = 5) -> dict[str, Any]:
        """Return the next message."""
        return json.loads(self._ws.recv(wait))

    def take_until(self, kind: str, wait: float = 5) -> list[dict[str, Any]]:
        """Return all messages up to the first of this type."""
        messages = [self.take(wait)]
        while messages[-1]["type"] != kind:
            messages.append(self.take(wait))
        return messages

    def rest(self, wait: float = 0.4, *, listing: bool = False) -> list[dict[str, Any]]:
        """Return what comes until nothing comes for a while; news of lists only when asked for: they come late."""
        messages = []
        while True:
            try:
                messages.append(self.take(wait))
            except TimeoutError:
                return [message for message in messages if listing or message["type"] != "listing"]

    def closing_code(self, wait: float = 3) -> int:
        """Wait for the server to close the socket; return its code."""
        try:
            while True:
                self.take(wait)
        except ConnectionClosed as closed:
            assert closed.rcvd
            return closed.rcvd.code

    def close(self) -> None:
        self._ws.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
