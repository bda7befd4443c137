"""Takes the pictures of one host's screens, beside its watch: only of machines that somebody looks at now."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Collection
from uuid import UUID

from django.db import Error as DatabaseFailure
from django.db import connection as database
from redis import RedisError

from consoles import picture_shelf, thumbnails
from consoles.picture_making import NoPicture, decoded, webp
from consoles.picture_schedule import Schedule
from consoles.picture_shelf import Wishes
from consoles.picture_sizes import Size
from hypervisor.errors import HypervisorError
from hypervisor.pool import Pool
from machines import push
from machines.leases import HeldLease
from machines.models import Machine

TICK = 0.2
"""Seconds from one picture of a host to the next: five a second at most, however many are wanted."""
LOOK_EVERY = 0.5
"""Seconds between looks at what is wanted."""
PATIENCE = 1.0
"""Seconds for which a picture waits for its turn at the host."""
RETRY_AFTER = 5.0
"""Seconds after Redis or the database failed."""

log = logging.getLogger(__name__)


class PictureTaker:
    """One host's thread, with libvirt connections of its own; each picture is taken in a thread that ends with it."""

    def __init__(self, host: str, uri: str, held: HeldLease) -> None:
        self._host = host
        self._uri = uri
        self._held = held
        self._pool = Pool(patience=PATIENCE)
        self._schedule = Schedule()
        self._guard = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pictures {host}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more pictures; one under way is thrown away."""
        self._closed.set()

    def _run(self) -> None:
        try:
            pause = 0.0
            while not self._closed.wait(pause):
                pause = self._round()
        finally:
            self._pool.close()
            database.close()

    def _round(self) -> float:
        """Look at what is wanted, take pictures for a while; return the seconds until the next look."""
        try:
            wishes = self._wishes()
        except (RedisError, DatabaseFailure) as error:
            log.warning("%s: nobody knows which pictures are wanted, trying again: %s", self._host, error)
            database.close()
            return RETRY_AFTER
        except Exception:
            log.exception("%s: looking for wanted pictures failed", self._host)
            return RETRY_AFTER
        with self._guard:
            self._schedule.follow(wishes)
        until = time.monotonic() + LOOK_EVERY
        while wishes and time.monotonic() < until and not self._closed.wait(TICK):
            self._begin()
        return 0.0 if wishes else LOOK_EVERY

    def _wishes(self) -> Wishes:
        """Return what is wanted and may be taken."""
        wanted = picture_shelf.wishes(self._held.host_id)
        if not wanted:
            return {}
        machines = Machine.objects.filter(pk__in=wanted, host=self._held.host_id).select_related("host")
        return thumbnails.takeable(wanted, machines.defer("definition_xml"))

    def _begin(self) -> None:
        with self._guard:
            turn = self._schedule.next(time.monotonic())
        if turn:
            threading.Thread(target=self._take, args=turn, name=f"picture {turn[0]}", daemon=True).start()

    def _take(self, machine: UUID, sizes: Collection[Size]) -> None:
        well = False
        try:
            if self._closed.is_set():
                return
            content = self._pool.connection(self._uri).domain(machine).screenshot()
            if not self._closed.is_set():
                _keep(machine, sizes, content)
            well = True
        except (HypervisorError, NoPicture, RedisError) as error:
            log.debug("%s: no picture of %s: %s", self._host, machine, error)
        except Exception:
            log.exception("%s: taking a picture of %s failed", self._host, machine)
        finally:
            with self._guard:
                self._schedule.done(machine, time.monotonic(), well=well)


def _keep(machine: UUID, sizes: Collection[Size], content: bytes) -> None:
    """Keep a screenshot in each size, and tell who looks; one that shows what the last one showed is no news."""
    digest = hashlib.sha256(content).hexdigest()
    news = [size for size in sizes if not picture_shelf.is_kept(machine, size, digest)]
    screen = decoded(content) if news else None
    for size in news:
        if screen:
            version = picture_shelf.keep(machine, size, webp(screen, size), digest)
            push.picture(machine, size, version)
