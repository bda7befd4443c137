"""Asks hosts what machines' disks can hold: storage may be slow or hang, so in a thread of its own beside the readings.

A machine is asked for whenever its definition was read: when something happened to it, and every few minutes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from itertools import islice
from uuid import UUID

from django.db import Error as DatabaseFailure
from django.db import connection as database

from hypervisor.connection import Connection
from hypervisor.errors import HypervisorError
from hypervisor.readings import Capacity, Disk, Reading
from machines import mirror
from machines.leases import HeldLease, LeaseLost

AT_ONCE = 64
"""Machines that are asked for before what was found is written."""

log = logging.getLogger(__name__)


class DiskSizes:
    """The side thread of one connection, from its making to `close`."""

    def __init__(self, host: str, held: HeldLease, connection: Connection) -> None:
        self._host = host
        self._held = held
        self._connection = connection
        self._news = threading.Condition()
        self._due: dict[UUID, tuple[Disk, ...]] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"disks {host}", daemon=True)
        self._thread.start()

    def follow(self, readings: Iterable[Reading]) -> None:
        """Ask for the disks of those whose definition was read, once however often that was meanwhile."""
        read = {reading.uuid: reading.definition.disks for reading in readings if reading.definition}
        if not read:
            return
        with self._news:
            self._due |= read
            self._news.notify()

    def close(self) -> None:
        """Ask no more; does not wait for a question under way."""
        with self._news:
            self._closed = True
            self._news.notify()

    def _run(self) -> None:
        try:
            while due := self._next():
                self._ask(due)
        except LeaseLost:
            log.debug("disks are another watcher's business now")
        finally:
            database.close()

    def _next(self) -> dict[UUID, tuple[Disk, ...]]:
        """Wait until machines are due and return some of them; none when closed."""
        with self._news:
            self._news.wait_for(lambda: self._due or self._closed)
            if self._closed:
                return {}
            return {uuid: self._due.pop(uuid) for uuid in list(islice(self._due, AT_ONCE))}

    def _ask(self, due: dict[UUID, tuple[Disk, ...]]) -> None:
        found: dict[UUID, Capacity] = {}
        try:
            self._look(due, found)
            mirror.set_disk_bytes(self._held, found)
        except DatabaseFailure as error:
            log.warning("%s: what disks can hold was not written: %s", self._host, error)
            database.close()
        except LeaseLost:
            raise
        except Exception:
            log.exception("%s: asking what disks can hold failed", self._host)

    def _look(self, due: dict[UUID, tuple[Disk, ...]], found: dict[UUID, Capacity]) -> None:
        try:
            for uuid, disks in due.items():
                found[uuid] = self._connection.disk_capacity(uuid, disks)
        except HypervisorError as error:  # the others are asked for when their definitions are read again
            log.debug("%s did not tell what disks can hold: %s", self._host, error)
