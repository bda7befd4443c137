"""Asks guest agents for their addresses: a slow question, so in a thread of its own, one guest of a host at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from uuid import UUID

from django.db import Error as DatabaseFailure
from django.db import connection as database

from hypervisor.connection import Connection
from hypervisor.errors import HypervisorError
from hypervisor.readings import Reading
from hypervisor.states import DomainState
from machines import mirror
from machines.leases import HeldLease, LeaseLost

AGAIN_AFTER = 60.0
"""Seconds between questions to one guest."""
SOON_AFTER = 5.0
"""Seconds until a guest is asked again that has no address yet: its agent is often up before its network."""
SOON_TIMES = 3

log = logging.getLogger(__name__)


class GuestAddresses:
    """The side thread of one connection, from its making to `close`."""

    def __init__(self, host: str, held: HeldLease, connection: Connection) -> None:
        self._held = held
        self._connection = connection
        self._news = threading.Condition()
        self._due: dict[UUID, float] = {}
        self._tries: dict[UUID, int] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"addresses {host}", daemon=True)
        self._thread.start()

    def follow(self, readings: Iterable[Reading], *, complete: bool = False) -> None:
        """Ask the running guests whose agent is connected, now and every minute, and the others no more.

        Args:
            readings: what was read; where the agent was not read, nothing changes unless the guest stopped.
            complete: these are all machines of the host.
        """
        readings = list(readings)
        with self._news:
            for reading in readings:
                if reading.state is not DomainState.RUNNING or reading.agent_connected is False:
                    self._drop(reading.uuid)
                elif reading.agent_connected and reading.uuid not in self._due:
                    self._due[reading.uuid] = time.monotonic()
            if complete:
                for uuid in self._due.keys() - {reading.uuid for reading in readings}:
                    self._drop(uuid)
            self._news.notify()

    def close(self) -> None:
        """Ask no more; does not wait for a question under way."""
        with self._news:
            self._closed = True
            self._news.notify()

    def _drop(self, uuid: UUID) -> None:
        self._due.pop(uuid, None)
        self._tries.pop(uuid, None)

    def _run(self) -> None:
        try:
            while (uuid := self._next()) is not None:
                self._ask(uuid)
        except LeaseLost:
            log.debug("addresses are another watcher's business now")
        finally:
            database.close()

    def _next(self) -> UUID | None:
        """Wait until a guest is due and return it; None when closed."""
        with self._news:
            while not self._closed:
                uuid = min(self._due, key=self._due.__getitem__, default=None)
                wait = self._due[uuid] - time.monotonic() if uuid else None
                if uuid and wait is not None and wait <= 0:
                    return uuid
                self._news.wait(wait)
        return None

    def _ask(self, uuid: UUID) -> None:
        found = 0
        try:
            addresses = self._connection.domain(uuid).addresses()
            found = len(addresses)
            mirror.set_addresses(self._held, uuid, addresses)
        except HypervisorError as error:
            log.debug("%s did not tell its addresses: %s", uuid, error)
        except DatabaseFailure as error:
            log.warning("addresses of %s were not written: %s", uuid, error)
            database.close()
        except LeaseLost:
            raise
        except Exception:
            log.exception("asking %s for its addresses failed", uuid)
        self._ask_again(uuid, soon=not found)

    def _ask_again(self, uuid: UUID, *, soon: bool) -> None:
        with self._news:
            if uuid in self._due:
                self._tries[uuid] = self._tries.get(uuid, 0) + 1
                early = soon and self._tries[uuid] <= SOON_TIMES
                self._due[uuid] = time.monotonic() + (SOON_AFTER if early else AGAIN_AFTER)
