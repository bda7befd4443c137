"""A long call's progress: libvirt works in one thread, its job is looked at (and aborted on request) in another."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.models import Q

from hypervisor.errors import HypervisorError
from hypervisor.readings import JobProgress
from lifecycle.connections import Purpose, domain_of
from lifecycle.models import Operation, Status
from lifecycle.operations import advance

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
"""Seconds between two looks at a job."""
WRITE_EVERY = 1.0
"""Seconds between two writes of progress."""


class Call:
    """One blocking call in a thread of its own. The thread touches libvirt only, never the database."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._error: BaseException | None = None
        self._done = threading.Event()
        threading.Thread(target=self._run, name="long-call", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; return whether it came."""
        return self._done.wait(seconds)

    def result(self) -> None:
        """Raise what the call raised, if it did."""
        if self._error:
            raise self._error

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as error:  # handed to the thread that waits
            self._error = error
        finally:
            self._done.set()


class ProgressWriter:
    """Writes a job's progress to its row, at most once a second and only when it moved."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._holder = operation.worker
        self._written_at = 0.0
        self._bytes = (0, 0)

    def write(self, progress: JobProgress) -> None:
        """Write it, if it is time. A hundred percent is written by the end of the operation only."""
        seen = (progress.processed_bytes, progress.total_bytes)
        if seen == self._bytes or time.monotonic() < self._written_at + WRITE_EVERY:
            return
        self._bytes, self._written_at = seen, time.monotonic()
        advance(
            self._operation,
            where=Q(worker=self._holder),
            progress=min(99, progress.percent),
            processed_bytes=progress.processed_bytes,
            total_bytes=progress.total_bytes,
        )


def follow(operation: Operation, call: Callable[[], None]) -> None:
    """Make a long call; write its job's progress and abort it when asked, until it returns.

    Raises:
        HypervisorError: what the call raised.
    """
    running = Call(call)
    writer = ProgressWriter(operation)
    while not running.wait(LOOK_EVERY):
        try:
            look(operation, writer)
        except HypervisorError as error:
            log.info("Operation %s: its job could not be looked at: %s", operation.pk, error)
        except DatabaseFailure as error:  # libvirt works on regardless
            log.warning("Operation %s: the database failed during its call: %s", operation.pk, error)
            connection.close()
    running.result()


def follow_job(operation: Operation) -> None:
    """Follow a job that a call of somebody else started, until libvirt has none any more.

    Raises:
        HypervisorError: the host could not say.
    """
    writer = ProgressWriter(operation)
    while look(operation, writer):
        time.sleep(LOOK_EVERY)


def look(operation: Operation, writer: ProgressWriter) -> bool:
    """Look at the operation's job once, abort it if that was asked for; return whether there is a job.

    Raises:
        HypervisorError: the host could not say.
    """
    domain = domain_of(operation.machine, Purpose.QUICK)
    if Operation.objects.filter(pk=operation.pk, status=Status.RUNNING, cancel_requested=True).exists():
        domain.abort_job()
    progress = domain.job_progress()
    if progress:
        writer.write(progress)
    return progress is not None
