"""A watcher's line to Redis, in a thread of its own: requests to read again come in, signs of life go out.

A Redis that hangs must not keep the watcher from renewing its leases, which are in the database.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any
from uuid import UUID

from redis import RedisError
from redis.client import PubSub

from machines.redis_client import redis_client
from machines.reread import CHANNEL

HEARTBEAT = "kvmportal:watcher:"
"""The keys by which readiness checks and other watchers know that a watcher lives; its name follows."""
LIFETIME = 10
"""Seconds."""
BEAT_EVERY = 2.0
RETRY_AFTER = 1.0

log = logging.getLogger(__name__)


class RedisLine(threading.Thread):
    """Calls `ask` for each request, `ask_all` whenever requests may have been lost; counts the watchers that live."""

    def __init__(self, name: str, ask: Callable[[int, UUID], None], ask_all: Callable[[], None]) -> None:
        super().__init__(name="redis line", daemon=True)
        self.watchers = 1
        self._key = HEARTBEAT + name
        self._ask = ask
        self._ask_all = ask_all
        self._alive_at = time.monotonic()
        self._beat_at = 0.0
        self._closed = threading.Event()

    def still_alive(self) -> None:
        """Take note that the watcher did its round."""
        self._alive_at = time.monotonic()

    def close(self) -> None:
        """End the heartbeat, so that others know at once."""
        self._closed.set()
        try:
            redis_client().delete(self._key)
        except RedisError as error:
            log.debug("the heartbeat was not removed: %s", error)

    def run(self) -> None:
        """Listen, and listen again when the line breaks."""
        broken = False
        while not self._closed.is_set():
            try:
                self._listen(again=broken)
            except RedisError as error:
                if not broken:
                    log.warning("no line to Redis, trying again: %s", error)
                broken = True
                self._closed.wait(RETRY_AFTER)
            except Exception:
                log.exception("the line to Redis failed, trying again")
                broken = True
                self._closed.wait(RETRY_AFTER)

    def _listen(self, *, again: bool) -> None:
        pubsub: PubSub = redis_client().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        with closing(pubsub) as line:
            line.subscribe(CHANNEL)
            if again:
                log.info("the line to Redis stands again")
                self._ask_all()
            while not self._closed.is_set():
                self._beat()
                if message := line.get_message(timeout=1.0):
                    self._heed(message["data"])

    def _heed(self, text: Any) -> None:
        try:
            request = json.loads(text)
            self._ask(int(request["host"]), UUID(request["machine"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("not a request to read again: %r (%s)", text, error)

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._beat_at < BEAT_EVERY or now - self._alive_at > LIFETIME:
            return
        self._beat_at = now
        redis_client().set(self._key, int(time.time()), ex=LIFETIME)
        self.watchers = sum(1 for _ in redis_client().scan_iter(match=HEARTBEAT + "*"))
