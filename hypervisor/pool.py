"""The connections of one process, shared between its threads: opened when first asked for, replaced when dead."""

from __future__ import annotations

import threading
import time

from hypervisor.calls import PATIENCE
from hypervisor.connection import Connection
from hypervisor.errors import HypervisorError

REST_SECONDS = 2.0
"""How long a host that could not be reached is left alone."""


class Pool:
    """Connections by URI. Opening one host holds up nobody who asks for another."""

    def __init__(self, *, patience: float = PATIENCE) -> None:
        """Start with none; `patience` is that of each connection (see `Connection`)."""
        self._patience = patience
        self._guard = threading.Lock()
        self._hosts: dict[str, _Host] = {}

    def connection(self, uri: str) -> Connection:
        """Return an open connection to a host, usually one that is there.

        Raises:
            HostUnreachable: it cannot be opened; the same again, at once, for REST_SECONDS.
        """
        with self._guard:
            host = self._hosts.setdefault(uri, _Host(uri, self._patience))
        return host.connection()

    def close(self) -> None:
        """Close every connection; the pool can be used again."""
        with self._guard:
            hosts, self._hosts = list(self._hosts.values()), {}
        for host in hosts:
            host.close()


class _Host:
    """The connection to one host, and how the last attempt to open one failed."""

    def __init__(self, uri: str, patience: float) -> None:
        self._uri = uri
        self._patience = patience
        self._guard = threading.Lock()
        self._open: Connection | None = None
        self._failure: HypervisorError | None = None
        self._failed_at = 0.0

    def connection(self) -> Connection:
        connection = self._open
        if connection and connection.alive:
            return connection
        with self._guard:
            if self._open and self._open.alive:
                return self._open
            self._clear_away()
            return self._opened()

    def close(self) -> None:
        with self._guard:
            self._clear_away()

    def _clear_away(self) -> None:
        connection, self._open = self._open, None
        if connection:
            connection.close()

    def _opened(self) -> Connection:
        if self._failure and time.monotonic() - self._failed_at < REST_SECONDS:
            raise self._failure.again()
        connection = Connection(self._uri, patience=self._patience)
        try:
            connection.open()
        except HypervisorError as error:
            self._failure, self._failed_at = error.again(), time.monotonic()
            raise
        self._failure = None
        self._open = connection
        return connection
