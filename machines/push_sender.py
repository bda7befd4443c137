"""The thread that hands messages to the channel layer, in order, for the whole process."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from channels.layers import get_channel_layer

QUEUED_AT_MOST = 10_000
"""Messages kept while Redis is slow; the oldest are dropped then, and heal by the sockets' versions."""
SEND_LIMIT = 5.0  # seconds
LISTING_INTERVAL = 1.0  # seconds
FAREWELL = 1.0  # seconds
RETRY_AFTER = 0.5  # seconds between attempts while Redis is away

log = logging.getLogger(__name__)
Message = dict[str, Any]


class Sender:
    """One daemon thread with one event loop, so that a push costs its caller an append and no thread switch."""

    def __init__(self) -> None:
        self._queue: deque[tuple[str, Message]] = deque(maxlen=QUEUED_AT_MOST)
        self._wake = asyncio.Event()
        self._quiet: dict[str, str | None] = {}
        self._lost = 0
        self._idle = False
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="push", daemon=True)
        self._thread.start()

    def send(self, group: str, message: Message) -> None:
        """Queue a message for a group."""
        self._queue.append((group, message))
        if self._idle:  # waking costs more than all the rest
            self._loop.call_soon_threadsafe(self._wake.set)

    def listing(self, groups: Iterable[str], changed: str) -> None:
        """Queue a `listing` message for each group, at most one a second: the first at once, the last is not lost."""
        self._loop.call_soon_threadsafe(self._listing, list(groups), changed)

    def close(self) -> None:
        """Send what is queued, for a moment at most, and end the thread."""
        self._closing = True
        with suppress(RuntimeError):  # closed before
            self._loop.call_soon_threadsafe(self._wake.set)
        self._thread.join(FAREWELL)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._drain())
        self._loop.close()

    async def _drain(self) -> None:
        while not (self._closing and not self._queue):
            self._idle = True
            if not self._queue:  # looked at after `_idle` was set: whoever adds from now on wakes this
                await self._wake.wait()
            self._wake.clear()
            self._idle = False
            while self._queue:
                await self._deliver(*self._queue.popleft())

    async def _deliver(self, group: str, message: Message) -> None:
        """Send one message. One that fails is dropped, after a pause that keeps an outage from becoming a storm."""
        try:
            async with asyncio.timeout(SEND_LIMIT):
                await get_channel_layer().group_send(group, message)
        except Exception as error:  # whatever the layer raises, the next message must still be sent
            if not self._lost:
                log.warning("pushes are not delivered: %s", error)
            self._lost += 1
            await asyncio.sleep(RETRY_AFTER)
        else:
            if self._lost:
                log.warning("pushes are delivered again, %d were lost", self._lost)
                self._lost = 0

    def _listing(self, groups: list[str], changed: str) -> None:
        for group in groups:
            if group not in self._quiet:
                self._send_listing(group, changed)
            elif self._quiet[group] != "machines":
                self._quiet[group] = changed

    def _send_listing(self, group: str, changed: str) -> None:
        text = json.dumps({"type": "listing", "changed": changed}, separators=(",", ":"))
        self._queue.append((group, {"type": "push.text", "text": text}))
        self._wake.set()
        self._quiet[group] = None
        self._loop.call_later(LISTING_INTERVAL, self._listing_again, group)

    def _listing_again(self, group: str) -> None:
        if changed := self._quiet.pop(group):
            self._send_listing(group, changed)
