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
        while (item := self._queue.get()) is not None:
            try:
                while not self._write(item) and not self._stopping.wait(1):
                    pass
            except Exception:
                logger.exception("a report about a console was lost; the next ones are written")

    def _write(self, item: Entry) -> bool:
        try:
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.xadd(redis_names.EVENTS_STREAM, item, maxlen=redis_names.EVENTS_KEPT, approximate=True)
                if item["event"] == "closed":  # its other tickets, if it has any, open nothing any more
                    pipe.delete(redis_names.lease_key(item["session"]))
                pipe.execute()
        except RedisError as error:
            logger.warning("the audit of consoles waits for Redis: %s", error)
            return False
        return True
