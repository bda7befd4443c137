"""The heartbeat of the operations that this process runs: one thread, one UPDATE every few seconds for all of them."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import close_old_connections
from django.utils import timezone

from lifecycle.models import Operation, Status

log = logging.getLogger(__name__)

EVERY = 5.0
"""Seconds between heartbeats."""
DEAD_AFTER = timedelta(seconds=20)
"""A row whose heartbeat is older has lost its worker (see `lifecycle.reconcile`)."""

WORKER = f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(3)}"
"""This process, as rows name their worker; a new process never has an old one's name."""


class Pulse:
    """Keeps alive the rows this process holds."""

    def __init__(self) -> None:
        self._held: set[int] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def holding(self, operation_id: int) -> Iterator[None]:
        """Keep this row's heartbeat fresh for the duration."""
        with self._lock:
            self._held.add(operation_id)
            if self._thread is None:
                self._thread = threading.Thread(target=self._live, name="operation-heartbeat", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(operation_id)

    def _live(self) -> None:
        while True:
            time.sleep(EVERY)
            try:
                self._beat()
            except Exception:  # without this thread every long operation would look like an orphan
                log.warning("Heartbeats could not be written", exc_info=True)
            finally:
                close_old_connections()

    def _beat(self) -> None:
        with self._lock:
            held = list(self._held)
        if held:
            rows = Operation.objects.filter(pk__in=held, status=Status.RUNNING, worker=WORKER)
            rows.update(heartbeat_at=timezone.now())


pulse = Pulse()
