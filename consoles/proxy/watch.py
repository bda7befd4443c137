"""The thread that hears the portal: it ends sessions that are no longer vouched for and changes what others may do."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from threading import Event, Thread
from typing import Any

from redis import Redis, RedisError
from redis.client import PubSub

from consoles.proxy import redis_names
from consoles.proxy.endings import Ending, ending_of
from consoles.proxy.journal import Journal, entry
from consoles.proxy.modes import Mode, mode_of
from consoles.proxy.sessions import Registry, Session

logger = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds without Redis after which nothing can be vouched for any more."""
_RETRY = 0.5


class Watch:
    """Hears `console:end` and `console:tell`; every 15 s, and whenever Redis came back, looks at all leases.

    A published message may be lost, so the leases are what counts; the message makes it quick.
    """

    def __init__(self, redis: Redis, registry: Registry, journal: Journal) -> None:
        self._redis = redis
        self._registry = registry
        self._journal = journal
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="watch", daemon=True)
        self._last_answer = time.monotonic()
        self._waiting = False
        self._reported: dict[str, tuple[int, int]] = {}

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; the thread ends within a second and touches no session until then."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._redis.pubsub() as pubsub:  # type: ignore[no-untyped-call]
                    self._listen(pubsub)
            except Exception as error:
                self._without_redis(error)

    def _without_redis(self, error: Exception) -> None:
        """Say so once, try again soon, and end all sessions when it takes too long."""
        if self._stopping.is_set():
            return
        if not self._waiting:
            self._waiting = True
            logger.warning("console sessions wait for Redis: %s", error, exc_info=not isinstance(error, RedisError))
        if time.monotonic() - self._last_answer > PATIENCE:
            self._registry.end_all(Ending.UNCHECKED)
        self._stopping.wait(_RETRY)

    def _listen(self, pubsub: PubSub) -> None:
        """Hear messages and look at leases until Redis fails or the proxy stops."""
        pubsub.subscribe(redis_names.END_CHANNEL, redis_names.TELL_CHANNEL)
        due = time.monotonic() + redis_names.RENEW_SECONDS
        while not self._stopping.is_set():
            message = pubsub.get_message(timeout=min(1.0, max(0.0, due - time.monotonic())))
            if message and message["type"] == "message":
                self._heard(message["channel"], message["data"])
            subscribed = bool(message) and message["type"] == "subscribe"  # from here on nothing is missed
            if subscribed or time.monotonic() >= due:
                self._look_at_leases()
                due = time.monotonic() + redis_names.RENEW_SECONDS

    def _heard(self, channel: str, text: Any) -> None:
        """Do what a message says, if its session is served here."""
        try:
            message = json.loads(text)
            session = self._registry.find(str(message["session"]))
            if channel == redis_names.END_CHANNEL:
                reason = str(message["reason"])
                if session:
                    session.end(ending_of(reason))
            elif session:
                self._told(session, message)
        except (ValueError, TypeError, KeyError):
            logger.warning("not understood on %s", channel)

    def _told(self, session: Session, message: dict[str, Any]) -> None:
        """Change a session as told.

        Raises:
            KeyError, ValueError: the message makes no sense.
        """
        if message["tell"] == "keep":
            session.acted()
        elif message["tell"] == "mode":
            self._change_mode(session, Mode(message["mode"]))
        else:
            raise ValueError(message["tell"])

    def _change_mode(self, session: Session, mode: Mode) -> None:
        if session.change_mode(mode):
            self._journal.report(session, "mode", mode=mode.value)

    def _look_at_leases(self) -> None:
        """Show that this proxy serves its sessions, report their bytes, and end those whose lease is gone."""
        sessions = self._registry.all()
        with self._redis.pipeline(transaction=False) as pipe:
            for session in sessions:
                pipe.get(redis_names.lease_key(session.id))
            for session in sessions:
                pipe.set(redis_names.pulse_key(session.id), "1", ex=redis_names.PULSE_SECONDS)
            pipe.zadd(redis_names.PROXIES, {self._name: time.time()})
            pipe.zremrangebyscore(redis_names.PROXIES, 0, time.time() - redis_names.PULSE_SECONDS)
            for session in self._grown(sessions):
                pipe.xadd(
                    redis_names.EVENTS_STREAM,
                    entry(session, "bytes"),
                    maxlen=redis_names.EVENTS_KEPT,
                    approximate=True,
                )
            pipe.ping()
            answers = pipe.execute()
        self._last_answer = time.monotonic()
        self._waiting = False
        for session, lease in zip(sessions, answers, strict=False):
            if lease is None:
                session.end(Ending.LAPSED)
            elif mode := mode_of(lease):  # a lost message heals here
                self._change_mode(session, mode)

    def _grown(self, sessions: list[Session]) -> list[Session]:
        """Return the sessions that carried bytes since they were last reported."""
        counts = {session.id: (session.to_client, session.from_client) for session in sessions}
        grown = [session for session in sessions if self._reported.get(session.id, (0, 0)) != counts[session.id]]
        self._reported = counts
        return grown
