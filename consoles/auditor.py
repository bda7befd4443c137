"""Writes what proxies report into the audit, and renews or ends the leases of open sessions.

A thread in every web process. Reports are shared out between them by a Redis consumer group; leases are looked after
by one of them at a time.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import close_old_connections
from redis import Redis, ResponseError

from consoles import leases, presence, reports, sessions
from consoles.models import ConsoleSession, Protocol
from consoles.proxy import redis_names
from consoles.proxy.endings import Ending
from machines.redis_client import redis_client

logger = logging.getLogger(__name__)

Report = tuple[str, dict[str, str]]

LOCK_KEY = "console:auditor"
LOCK_SECONDS = redis_names.RENEW_SECONDS - 3
ABANDONED_SECONDS = 30
"""After how long a report that another process took is taken over from it."""
OVERDUE_SECONDS = 10
"""How long a steady flow of reports may put the leases off; they live for a minute."""
BATCH = 200
BLOCK_SECONDS = 2
_RETRY_SECONDS = 2.0

_started = Lock()
_thread: Thread | None = None


def start() -> None:
    """Run an auditor in this process for as long as it lives. Called by the ASGI application; again is fine."""
    global _thread
    with _started:
        if _thread is None or not _thread.is_alive():
            _thread = Thread(target=Auditor().run, name="console-auditor", daemon=True)
            _thread.start()


class Auditor:
    """One process's share of the audit. Its methods say whether they found something to do."""

    def __init__(self, redis: Redis | None = None) -> None:
        self._redis = redis or redis_client()
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._stopping = Event()

    def stop(self) -> None:
        """End `run` within a few seconds."""
        self._stopping.set()

    def run(self) -> None:
        """Audit until stopped; whatever fails is tried again."""
        due = 0.0
        while not self._stopping.is_set():
            try:
                close_old_connections()
                found = self.read_reports(block=BLOCK_SECONDS)
                late = time.monotonic() - due
                if late >= (OVERDUE_SECONDS if found else 0):  # reports first, or the sweep would call them missing
                    due = time.monotonic() + redis_names.RENEW_SECONDS
                    self.look_after_leases()
            except Exception as error:
                logger.warning("the console audit waits: %s", error, exc_info=not isinstance(error, OSError))
                self._stopping.wait(_RETRY_SECONDS)
            finally:
                close_old_connections()

    def read_reports(self, block: float | None = None) -> bool:
        """Write reports that nobody has read yet into the audit; wait up to `block` seconds for one."""
        milliseconds = int(block * 1000) if block else None
        streams: Any = {redis_names.EVENTS_STREAM: ">"}
        try:
            answer: Any = self._redis.xreadgroup(
                redis_names.AUDIT_GROUP, self._name, streams, count=BATCH, block=milliseconds
            )
        except ResponseError as error:
            self._make_group(error)
            return True
        found: list[Report] = [report for _, batch in answer for report in batch]
        self._write(found)
        return bool(found)

    def take_over(self) -> bool:
        """Write reports that a process read and then died over."""
        try:
            answer: Any = self._redis.xautoclaim(
                redis_names.EVENTS_STREAM,
                redis_names.AUDIT_GROUP,
                self._name,
                min_idle_time=ABANDONED_SECONDS * 1000,
                count=BATCH,
            )
        except ResponseError as error:
            self._make_group(error)
            return False
        self._write(answer[1])
        return bool(answer[1])

    def look_after_leases(self) -> bool:
        """Renew the leases of open sessions that are still allowed and served; end all others.

        Returns:
            False when another process did it a moment ago.
        """
        if not self._redis.set(LOCK_KEY, self._name, nx=True, ex=LOCK_SECONDS):
            return False
        self.take_over()
        present = list(sessions.not_ended())
        verdict = sessions.verdict_on(present)
        verdict.carry_out()
        allowed = [session for session in present if session.pk not in verdict.due]
        self._renew([session for session in allowed if session.opened_at])
        self._sweep([session for session in allowed if not session.opened_at])
        return True

    def _renew(self, opened: list[ConsoleSession]) -> None:
        """Prolong leases that are still there and right them; a session without a proxy is over."""
        with self._redis.pipeline(transaction=False) as pipe:
            for session in opened:  # only a lease that exists: one that was taken away stays away
                pipe.expire(redis_names.lease_key(str(session.pk)), redis_names.LEASE_SECONDS)
            for session in opened:
                pipe.get(redis_names.lease_key(str(session.pk)))
            for session in opened:
                pipe.exists(redis_names.pulse_key(str(session.pk)))
            answers = pipe.execute()
        modes, served = answers[len(opened) : -len(opened)], answers[2 * len(opened) :]
        wrong = [session.pk for session, mode in zip(opened, modes, strict=True) if mode not in {None, session.mode}]
        if wrong:
            leases.write_modes(wrong)
        lost = [session for session, pulse in zip(opened, served, strict=True) if not pulse]
        for ending in (Ending.LOST, Ending.SILENT):
            these = [session.pk for session in lost if _ending_without_pulse(session) is ending]
            sessions.end(these, ending)
            _close(these, ending)

    def _sweep(self, unopened: list[ConsoleSession]) -> None:
        """Close the rows of tickets that nobody used while they could be."""
        with self._redis.pipeline(transaction=False) as pipe:
            for session in unopened:
                pipe.exists(redis_names.lease_key(str(session.pk)))
            leases = pipe.execute()
        _close([session.pk for session, lease in zip(unopened, leases, strict=True) if not lease], Ending.UNUSED)

    def _write(self, batch: Iterable[Report]) -> None:
        """Write reports into their rows, then tell Redis that they are done, and pages who is where."""
        changed: set[UUID] = set()
        for identity, fields in batch:
            try:
                changed |= reports.write(fields)
            except (KeyError, ValueError, OverflowError, ValidationError):
                logger.warning("a report about a console was not understood")
            self._redis.xack(redis_names.EVENTS_STREAM, redis_names.AUDIT_GROUP, identity)
        presence.tell(changed)

    def _make_group(self, error: ResponseError) -> None:
        """Make the consumer group, which a new or emptied Redis lacks; raise any other error again."""
        if not str(error).startswith("NOGROUP"):
            raise error
        with suppress(ResponseError):  # another process was faster
            self._redis.xgroup_create(redis_names.EVENTS_STREAM, redis_names.AUDIT_GROUP, id="0", mkstream=True)


def _ending_without_pulse(session: ConsoleSession) -> Ending:
    """Say who is gone: the proxy, or the page itself, where there is no proxy."""
    return Ending.SILENT if session.protocol == Protocol.PICTURES else Ending.LOST


def _close(rows: list[UUID], ending: Ending) -> None:
    if rows:
        presence.tell(sessions.close(sessions.not_ended().filter(pk__in=rows), ending))
