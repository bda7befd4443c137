"""The thread that ends sessions which were idle, or open, for as long as they may be, and warns of it before."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from threading import Event, Thread

from consoles.proxy.endings import Ending
from consoles.proxy.journal import Journal
from consoles.proxy.sessions import Registry, Session

logger = logging.getLogger(__name__)

WARNING = 60.0
"""Seconds before the end at which its person is warned; at half-time where the limit is shorter than twice that."""
EVERY = 0.5
"""Seconds between two looks."""


class Limits:
    """Looks at all sessions twice a second."""

    def __init__(self, registry: Registry, journal: Journal) -> None:
        self._registry = registry
        self._journal = journal
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="limits", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY):
            now = time.monotonic()
            for session in self._registry.all():
                try:
                    self._look_at(session, now)
                except Exception:
                    logger.exception("the limits of a console session were not looked at")

    def _look_at(self, session: Session, now: float) -> None:
        for ending, ends_at, span in _ends(session):
            if now >= ends_at:
                session.end(ending)
            elif now >= ends_at - min(WARNING, span / 2) and session.warned.get(ending) != ends_at:
                session.warned[ending] = ends_at
                at = time.time() + ends_at - now
                self._journal.report(session, "warned", ending.value, ends_at=round(at, 3))


def _ends(session: Session) -> Iterator[tuple[Ending, float, float]]:
    """Yield how a session will end, when (by the monotonic clock), and how long the limit is."""
    if session.claim.idle_limit:
        yield Ending.IDLE, session.acted_at + session.claim.idle_limit, session.claim.idle_limit
    if session.claim.limit:
        yield Ending.LIMIT, session.began_at + session.claim.limit, session.claim.limit
