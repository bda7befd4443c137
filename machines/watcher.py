"""The watcher process: which hosts it watches, by leases; each host is followed in a thread of its own."""

from __future__ import annotations

import logging
import math
import threading
import time
from uuid import UUID, uuid4

from django.db import Error as DatabaseFailure
from django.db import connection as database

from machines import expiry, leases, mirror
from machines.host_watch import HostWatch
from machines.leases import LeaseLost
from machines.models import Host
from machines.watcher_line import RedisLine

TICK = 1.0
"""Seconds between renewals of the leases, and between looks at the table of hosts."""
FAREWELL = 1.0
"""Seconds that all hosts' threads together get to end."""
OTHERS_FIRST = 3.0
"""Seconds for which a host that this watcher gave back, having too many, is left for others."""

log = logging.getLogger(__name__)


class Watcher:
    """Holds leases, runs a `HostWatch` for each, and shares the hosts with other watchers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.holder = f"{name[:40]}:{uuid4().hex[:16]}"
        self.watches: dict[int, HostWatch] = {}
        self._given_back: dict[int, float] = {}
        self._line = RedisLine(name, self.ask, self.ask_all)

    def run(self, stop: threading.Event) -> None:
        """Watch until told to stop; then give the leases back."""
        log.info("watcher %s begins", self.name)
        self._line.start()
        try:
            while not stop.is_set():
                began = time.monotonic()
                self.tick()
                stop.wait(max(0.0, began + TICK - time.monotonic()))
        finally:
            self.close()

    def tick(self) -> None:
        """Renew, let go, take: all that has to be done once a second. A database that fails is tried again."""
        try:
            self._renew()
            self._follow_the_table()
            expiry.end_expired()
        except DatabaseFailure as error:
            log.warning("the database failed, trying again: %s", error)
            database.close()
        except Exception:
            log.exception("a round of the watcher failed")
        else:
            self._line.still_alive()

    def ask(self, host_id: int, machine: UUID) -> None:
        """Have a machine read again, if its host is watched here."""
        if watch := self.watches.get(host_id):
            watch.inbox.ask(machine)

    def ask_all(self) -> None:
        """Have every machine looked at again: requests may have been lost."""
        for watch in list(self.watches.values()):
            watch.inbox.ask_all()

    def close(self) -> None:
        """Stop all threads and give all leases back, so that another watcher can take over at once."""
        self._line.close()
        for watch in self.watches.values():
            watch.stop()
        until = time.monotonic() + FAREWELL
        for watch in self.watches.values():
            watch.join(max(0.0, until - time.monotonic()))
        try:
            leases.give_back([watch.held for watch in self.watches.values()])
        except DatabaseFailure as error:
            log.warning("the leases could not be given back, they end in seconds: %s", error)
        self.watches.clear()
        database.close()
        log.info("watcher %s ends", self.name)

    def _renew(self) -> None:
        for host_id in leases.renew(watch.held for watch in self.watches.values()):
            self.watches.pop(host_id).stop()

    def _follow_the_table(self) -> None:
        """Bring the watched hosts in line with what administrators wrote, and with this watcher's share."""
        hosts = {host.pk: host for host in Host.objects.filter(enabled=True)}
        for host_id, watch in list(self.watches.items()):
            if host_id not in hosts:
                self._let_go(host_id, "The host is disabled.")
            elif hosts[host_id].uri != watch.uri or not watch.is_alive():
                self._let_go(host_id)
            else:
                watch.host = hosts[host_id].name
        share = math.ceil(len(hosts) / max(1, self._line.watchers))
        if len(self.watches) > share:
            self._given_back[next(iter(self.watches))] = time.monotonic()
            self._let_go(next(iter(self.watches)))
        self._take_up_to(share)

    def _take_up_to(self, share: int) -> None:
        """Take free hosts; beyond this watcher's share only those of dead watchers, or that nobody else wants."""
        for host in leases.free_hosts(abandoned=len(self.watches) >= share):
            if time.monotonic() - self._given_back.get(host.pk, -OTHERS_FIRST) < OTHERS_FIRST:
                continue
            if held := leases.take(host.pk, self.holder):
                self.watches[host.pk] = HostWatch(host.name, host.uri, held)
                self.watches[host.pk].start()

    def _let_go(self, host_id: int, reason: str = "") -> None:
        """Stop watching a host; with a reason, its machines show from now on that nobody follows them."""
        watch = self.watches.pop(host_id)
        watch.stop()
        watch.join(FAREWELL / 2)
        try:
            if reason:
                mirror.host_lost(watch.held, reason)
            leases.give_back([watch.held])
        except LeaseLost:
            log.info("%s is gone, or another watcher's", watch.host)
