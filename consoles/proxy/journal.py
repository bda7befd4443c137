"""What the proxy reports to the portal's audit: one entry in a Redis stream for each session opened and closed."""

from __future__ import annotations

import logging
import time
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

from redis import Redis, RedisError

from consoles.proxy import redis_names
from consoles.proxy.endings import Ending
from consoles.proxy.sessions import Session

logger = logging.getLogger(__name__)

Entry = dict[Any, Any]

AT_ONCE = 100
"""Entries that are written together when many wait: each write by itself would cost as much as serving a console."""


def entry(session: Session, event: str, reason: str = "", **more: str | float) -> Entry:
    """Return a stream entry about a session, as of now."""
    return {
        "session": session.id,
        "event": event,
        "at": time.time(),
        "to_client": session.to_client,
        "from_client": session.from_client,
        "reason": reason,
    } | more


class Journal:
    """Writes entries by a thread of its own, so that no pump waits for Redis; keeps them while Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._queue: SimpleQueue[Entry | None] = SimpleQueue()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, patience: float) -> None:
        """Write what is left, for at most `patience` seconds."""
        self._queue.put(None)
        self._thread.join(patience)
        self._stopping.set()

    def opened(self, session: Session) -> None:
        """Report that a session's display is open."""
        logger.info("console session %s opened (%s)", session.id, session.mode)
        self._queue.put(entry(session, "opened"))

    def closed(self, session: Session, ending: Ending) -> None:
        """Report that a session is over, and why."""
        logger.info(
            "console session %s closed (%s), %d bytes to the client, %d from it",
            session.id,
            ending,
            session.to_client,
            session.from_client,
        )
        self._queue.put(entry(session, "closed", ending.value))

    def report(self, session: Session, event: str, reason: str = "", **more: str | float) -> None:
        """Report anything else about a session: see redis_names.EVENTS_STREAM."""
        logger.info("console session %s: %s", session.id, " ".join(map(str, (event, reason, *more.values()))))
        self._queue.put(entry(session, event, reason, **more))

    def _run(self) -> None:
        while batch := self._batch():
            try:
                while not self._write(batch) and not self._stopping.wait(1):
                    pass
            except Exception:
                logger.exception("reports about consoles were lost; the next ones are written")

    def _batch(self) -> list[Entry]:
        """Wait for something to write; return all that is there by then, in its order. Nothing: it is over."""
        batch: list[Entry] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == AT_ONCE or self._queue.empty():
                return batch
            item = self._queue.get()  # nobody else takes from it
        if batch:
            self._queue.put(None)  # the end, to be found again
        return batch

    def _write(self, batch: list[Entry]) -> bool:
        try:
            with self._redis.pipeline(transaction=True) as pipe:
                for item in batch:
                    pipe.xadd(redis_names.EVENTS_STREAM, item, maxlen=redis_names.EVENTS_KEPT, approximate=True)
                if over := [redis_names.lease_key(item["session"]) for item in batch if item["event"] == "closed"]:
                    pipe.delete(*over)  # their other tickets, if they have any, open nothing any more
                pipe.execute()
        except RedisError as error:
            logger.warning("the audit of consoles waits for Redis: %s", error)
            return False
        return True
