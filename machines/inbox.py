"""What a host's thread has to look at next: filled by callbacks of any thread, which only put things down here."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from uuid import UUID

from hypervisor.events import Event, EventKind


@dataclass(slots=True)
class Batch:
    """What came since the last batch, however often: many events of one domain are one reason to read it.

    - machines: to be read again.
    - started: those of them of which a run began.
    - rebooted: those of them whose guest rebooted or was reset.
    - everything: look at the connection and at all machines of the host.
    """

    machines: set[UUID] = field(default_factory=set)
    started: set[UUID] = field(default_factory=set)
    rebooted: set[UUID] = field(default_factory=set)
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.machines or self.everything)


class Inbox:
    """A coalescing queue with one reader."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._batch = Batch()
        self._stopped = False

    def put(self, event: Event) -> None:
        """Take note of libvirt's event."""
        with self._news:
            self._batch.machines.add(event.uuid)
            if event.kind is EventKind.STARTED:
                self._batch.started.add(event.uuid)
            if event.kind is EventKind.REBOOTED:
                self._batch.rebooted.add(event.uuid)
            self._news.notify()

    def put_back(self, batch: Batch) -> None:
        """Keep what could not be dealt with for the next batch."""
        with self._news:
            self._batch.machines |= batch.machines
            self._batch.started |= batch.started
            self._batch.rebooted |= batch.rebooted
            self._batch.everything |= batch.everything
            self._news.notify()

    def ask(self, machine: UUID) -> None:
        """Have a machine read again."""
        with self._news:
            self._batch.machines.add(machine)
            self._news.notify()

    def ask_all(self) -> None:
        """Have all machines looked at: messages may have been lost, or the connection has died."""
        with self._news:
            self._batch.everything = True
            self._news.notify()

    def stop(self) -> None:
        """Wake the reader for the last time."""
        with self._news:
            self._stopped = True
            self._news.notify()

    @property
    def stopped(self) -> bool:
        """Whether the reader shall end."""
        return self._stopped

    def take(self, timeout: float) -> Batch:
        """Wait for news, at most `timeout` seconds, and take it all; an empty batch when nothing came."""
        with self._news:
            self._news.wait_for(lambda: self._batch or self._stopped, timeout)
            batch, self._batch = self._batch, Batch()
            return batch

    def forget(self) -> None:
        """Drop what came from a connection that is no more; all machines are about to be read anyway."""
        with self._news:
            self._batch = Batch()

    def pause(self, seconds: float) -> None:
        """Wait, unless the reader shall end."""
        with self._news:
            self._news.wait_for(lambda: self._stopped, seconds)
