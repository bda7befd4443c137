"""Whose turn it is to call a host's libvirt, on which line, and what its errors mean.

A line is one libvirt connection, and carries one call at a time:

- While one call on a libvirt connection hangs (on a QEMU process that does not answer), every other call on it may lose
  its wake-up and stand still until the next keepalive packet, 5 s later (tried with libvirt 9.0: one call in five).
- libvirtd stops reading from a connection that has five calls in flight, keepalive included, and so takes it down.

There is one line as long as one call is made at a time, and at most LINES. Verbs wait for a domain's job and may hang,
so a domain has one verb at a time, and the last line is kept for what does not hang, and for "force off".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import libvirt

from hypervisor.errors import DomainBusy, HostBusy, HostUnreachable
from hypervisor.translation import UNREACHABLE, Meanings, from_libvirt, unreachable

LINES = 8
PATIENCE = 10.0
"""Seconds that a call waits for its turn."""


class Calls:
    """The turns and the lines of one `Connection`: every call to the host is made inside one of these contexts.

    Each raises HostUnreachable where the host does not answer, HostBusy when no turn comes within the patience, and
    whatever libvirt's error means (`translation.from_libvirt`).
    """

    def __init__(self, open_line: Callable[[], Any], patience: float = PATIENCE) -> None:
        """Start closed.

        Args:
            open_line: opens one more libvirt connection, or raises HostUnreachable.
            patience: seconds that a call waits for its turn.
        """
        self._open_line = open_line
        self._patience = patience
        self._turns = threading.Condition()
        self._in_flight = 0
        self._verbs = 0
        self._busy_domains: set[UUID] = set()
        self._first: Any = None
        self._idle: list[Any] = []

    @property
    def first(self) -> Any:
        """The first line, on which events arrive and whose end is that of all; None when closed."""
        return self._first

    def open(self, line: Any) -> None:
        """Begin, with a first line."""
        with self._turns:
            self._first, self._idle = line, [line]

    def close(self) -> list[Any]:
        """Let no further call begin. Returns the lines not in use, the first one first; calls give the others up."""
        with self._turns:
            lines = [self._first, *self._idle] if self._first else []
            self._first, self._idle = None, []
            return lines

    @contextmanager
    def host(self, meanings: Meanings | None = None) -> Iterator[Any]:
        """Make calls that wait for no domain's job; yields libvirt's connection."""
        with self._turn(verb=False, domain=None), self._line(meanings) as line:
            yield line

    @contextmanager
    def read(self, domain: UUID) -> Iterator[Any]:
        """Make a call that waits for no job, or one that must get through (destroy); yields libvirt's domain."""
        with self.host() as line:
            yield line.lookupByUUID(domain.bytes)

    @contextmanager
    def slow(self, meanings: Meanings | None = None, domain: UUID | None = None) -> Iterator[Any]:
        """Make calls that may take long: of storage, or to bring a domain up; yields libvirt's connection.

        Args:
            meanings: what some of libvirt's numbers mean here.
            domain: the domain whose job they take, which libvirt need not know yet.
        """
        with self._turn(verb=True, domain=domain), self._line(meanings) as line:
            yield line

    @contextmanager
    def job_query(self, domain: UUID) -> Iterator[Any]:
        """Make a call that may wait for a domain, but beside a verb on it (job statistics); yields libvirt's domain."""
        with self.slow() as line:
            yield line.lookupByUUID(domain.bytes)

    @contextmanager
    def verb(self, domain: UUID, meanings: Meanings | None = None) -> Iterator[Any]:
        """Make a call that takes the domain's job; yields libvirt's domain.

        Raises:
            DomainBusy: the domain's last verb has not returned within the patience.
        """
        with self.slow(meanings, domain) as line:
            yield line.lookupByUUID(domain.bytes)

    @contextmanager
    def line_of_its_own(self, domain: UUID, meanings: Meanings | None = None) -> Iterator[Any]:
        """Begin what outlives the call and may hang (a stream); yields libvirt's domain on a line of its own.

        That line is closed with the last reference to it: nothing else is ever called on it.
        """
        with self._turn(verb=True, domain=domain):
            if not is_alive(self._first):
                raise HostUnreachable(UNREACHABLE[1], text="the connection is closed")
            line = self._open_line()
            with _understood(line, meanings):
                yield line.lookupByUUID(domain.bytes)

    @contextmanager
    def _line(self, meanings: Meanings | None) -> Iterator[Any]:
        line = self._idle_line() or self._open_line()
        try:
            with _understood(line, meanings):
                yield line
        finally:
            with self._turns:
                if self._first:
                    self._idle.append(line)

    def _idle_line(self) -> Any:
        """Return the line that was used last, None where one has to be opened; dead ones are dropped on the way."""
        with self._turns:
            if not is_alive(self._first):
                raise HostUnreachable(UNREACHABLE[1], text="the connection is closed")
            while self._idle:
                line = self._idle.pop()
                if is_alive(line):
                    return line
            return None

    @contextmanager
    def _turn(self, *, verb: bool, domain: UUID | None) -> Iterator[None]:
        with self._turns:
            if not self._turns.wait_for(lambda: self._is_free(verb, domain), self._patience):
                raise self._too_busy(domain)
            self._in_flight += 1
            self._verbs += verb
            if domain:
                self._busy_domains.add(domain)
        try:
            yield
        finally:
            self._give_back(verb, domain)

    def _is_free(self, verb: bool, domain: UUID | None) -> bool:
        if self._in_flight >= LINES or (verb and self._verbs >= LINES - 1):
            return False
        return domain not in self._busy_domains

    def _too_busy(self, domain: UUID | None) -> DomainBusy | HostBusy:
        if domain in self._busy_domains:
            return DomainBusy(
                "The machine is still busy with what was asked of it before, or its process on the host does not "
                "answer. Try again, or force it off."
            )
        return HostBusy("The host is busy with too many things at once. Try again in a moment.")

    def _give_back(self, verb: bool, domain: UUID | None) -> None:
        with self._turns:
            self._in_flight -= 1
            self._verbs -= verb
            if domain:
                self._busy_domains.discard(domain)
            self._turns.notify_all()


@contextmanager
def _understood(line: Any, meanings: Meanings | None) -> Iterator[None]:
    """Raise our error for libvirt's."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise (from_libvirt(error, meanings) if is_alive(line) else unreachable(error)) from error


def is_alive(line: Any) -> bool:
    """Say whether a libvirt connection is there and not known to be dead; asks nobody (virConnectIsAlive)."""
    try:
        return line is not None and bool(line.isAlive())
    except libvirt.libvirtError:
        return False
