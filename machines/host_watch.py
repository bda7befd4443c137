"""One host's thread: follows a libvirt by its events, and by bulk reads for what libvirt sends no event for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Container, Sequence
from contextlib import closing
from uuid import UUID

from django.db import Error as DatabaseFailure
from django.db import connection as database

from hypervisor.connection import Connection
from hypervisor.errors import HostUnreachable, HypervisorError
from hypervisor.readings import Reading
from machines import mirror
from machines.backoff import Backoff
from machines.companions import Companion, companions
from machines.disk_sizes import DiskSizes
from machines.guest_addresses import GuestAddresses
from machines.inbox import Batch, Inbox
from machines.leases import HeldLease, LeaseLost
from machines.models import Machine
from machines.quietness import Quietness

PASS_EVERY = 5.0
"""Seconds between bulk reads: they find snapshots of shut-off machines, autostart, removed images, CPU time."""
DEFINITIONS_EVERY = 300.0
"""Seconds between bulk reads with every definition, in case an event was lost."""
BULK_FROM = 16
"""From so many machines on, one bulk read is cheaper than reading each."""
LOGGED_AT_MOST = 20
"""Machines of one look that are logged each on its own line; at a first look there may be thousands."""

log = logging.getLogger(__name__)


class HostWatch(threading.Thread):
    """Watches one host under one lease until it is stopped or the lease is lost.

    connecting -> following -> (connection lost) -> waiting -> connecting ...
    Connecting for the first time, connecting again and looking again all run `_look`.
    """

    def __init__(self, name: str, uri: str, held: HeldLease) -> None:
        super().__init__(name=f"host {name}", daemon=True)
        self.host = name
        self.uri = uri
        self.held = held
        self.inbox = Inbox()
        self._backoff = Backoff()
        self._quietness = Quietness()
        self._described: set[UUID] = set()
        self._companions: list[Companion] = []

    def run(self) -> None:
        """Connect and follow, again and again."""
        self._companions = [begin(self.host, self.uri, self.held) for begin in companions]
        try:
            while not self.inbox.stopped:
                self._try()
        except LeaseLost:
            log.warning("%s: another watcher has taken it over", self.host)
        finally:
            self._part()
            database.close()

    def stop(self) -> None:
        """Have the thread end soon; it may hang in a call to libvirt until that returns. Companions end at once."""
        self.inbox.stop()
        self._part()

    def _part(self) -> None:
        for companion in self._companions:
            companion.close()

    def _try(self) -> None:
        """Follow the host until something fails, then wait."""
        try:
            self._connect_and_follow()
        except HostUnreachable as error:
            self._lost(error)
        except HypervisorError as error:  # it answers, so its machines may be used meanwhile
            log.warning("%s: reading it failed, trying again: %s", self.host, error)
        except DatabaseFailure as error:
            log.warning("%s: the database failed: %s", self.host, error)
            database.close()
        except LeaseLost:
            raise
        except Exception:
            log.exception("%s: cannot be followed", self.host)
        self.inbox.pause(self._backoff.wait())

    def _lost(self, error: HypervisorError) -> None:
        log.warning("%s: %s (%s)", self.host, error.sentence, error.text)
        try:
            mirror.host_lost(self.held, "\n".join(filter(None, (error.sentence, error.text))))
        except DatabaseFailure as failure:
            log.warning("%s: the database failed: %s", self.host, failure)
            database.close()

    def _connect_and_follow(self) -> None:
        """Connect, read everything, then follow. Events are watched for before the first read, so none is missed."""
        with closing(Connection(self.uri, on_close=self.inbox.ask_all)) as connection:
            connection.open()
            connection.watch(self.inbox.put)
            with closing(_Side(self.host, self.held, connection)) as side:
                self._look(connection, side, definitions=True)
                mirror.host_seen(self.held)
                log.info("%s: followed, %d machines", self.host, len(self._described))
                mirror.host_seen(self.held, connection.host_facts())
                self._backoff.reset()
                self._follow(connection, side)

    def _follow(self, connection: Connection, side: _Side) -> None:
        look_at = time.monotonic() + PASS_EVERY
        definitions_at = time.monotonic() + DEFINITIONS_EVERY
        while not self.inbox.stopped:
            batch = self.inbox.take(max(0.0, look_at - time.monotonic()))
            if not connection.alive:
                raise HostUnreachable("The connection to the host broke off.")
            if batch.machines:
                self._read_or_keep(connection, side, batch)
            now = time.monotonic()
            if batch.everything or now >= look_at:
                self._look(connection, side, definitions=now >= definitions_at)
                look_at = now + PASS_EVERY
                if now >= definitions_at:
                    definitions_at = now + DEFINITIONS_EVERY
                    mirror.host_seen(self.held, connection.host_facts())  # its free memory has changed

    def _read_or_keep(self, connection: Connection, side: _Side, batch: Batch) -> None:
        """Read what is in a batch; put it back when that fails, since nothing else tells of a reboot."""
        try:
            self._read(connection, side, batch)
        except Exception:
            self.inbox.put_back(batch)
            raise

    def _look(self, connection: Connection, side: _Side, *, definitions: bool) -> None:
        """Read all machines by bulk calls, with the definitions of all or only of those that are new."""
        readings = connection.read_all(None if definitions else _Without(self._described))
        quiet = self._quietness.observe(readings, time.monotonic())
        self._report(mirror.apply(self.held, readings, complete=True, quiet=quiet))
        self._described = {reading.uuid for reading in readings}
        side.follow(readings, complete=True)

    def _read(self, connection: Connection, side: _Side, batch: Batch) -> None:
        """Read the machines that something happened to."""
        if len(batch.machines) < BULK_FROM:
            found = [connection.read(uuid) for uuid in batch.machines]
            readings = [reading for reading in found if reading]
        else:
            every = connection.read_all(batch.machines)
            readings = [reading for reading in every if reading.uuid in batch.machines]
        changed = mirror.apply(self.held, readings, started=batch.started, rebooted=batch.rebooted)
        if missing := batch.machines - {reading.uuid for reading in readings}:
            changed += mirror.gone(self.held, missing)
        self._report(changed)
        self._described |= {reading.uuid for reading in readings}
        side.follow(readings)

    def _report(self, changed: list[Machine]) -> None:
        if len(changed) > LOGGED_AT_MOST:
            log.info("%s: %d machines changed", self.host, len(changed))
            return
        for machine in changed:
            log.info("%s: %s %s is %s (%s)", self.host, machine.uuid, machine.name, machine.state, machine.state_reason)


class _Side:
    """The threads beside one connection, for questions whose answers may take long: no state waits for them."""

    def __init__(self, host: str, held: HeldLease, connection: Connection) -> None:
        self._addresses = GuestAddresses(host, held, connection)
        self._disks = DiskSizes(host, held, connection)

    def follow(self, readings: Sequence[Reading], *, complete: bool = False) -> None:
        """Ask about what was read, when it is written; `complete`: these are all machines of the host."""
        self._addresses.follow(readings, complete=complete)
        self._disks.follow(readings)

    def close(self) -> None:
        """Ask no more; does not wait for questions under way."""
        self._addresses.close()
        self._disks.close()


class _Without(Container[UUID]):
    """Every UUID but these."""

    def __init__(self, known: set[UUID]) -> None:
        self._known = known

    def __contains__(self, uuid: object) -> bool:
        return uuid not in self._known
