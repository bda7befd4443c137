"""Connections for the seam's tests: to libvirt's test driver where that will do, to a private libvirtd where not."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from uuid import UUID

import libvirt
import pytest
from lxml import etree
from lxml.builder import E

from demo.libvirtd import PrivateLibvirtd
from hypervisor.connection import Connection
from hypervisor.domain import Domain
from hypervisor.events import Event, EventKind
from hypervisor.readings import Reading
from tests.guest import Guest

TEST_DRIVER = "test:///default"
TEST_DOMAIN = UUID("6695eb01-f6a4-8304-79aa-97f2502e193f")
"""The one domain of the test driver, running at first; what one connection does to it ends with the last connection."""


def domain_xml(name: str) -> str:
    """Return the definition of a small domain for the test driver."""
    children = [E.name(name), E.memory("1024"), E.os(E.type("hvm"))]
    return etree.tostring(E.domain(*children, type="test"), encoding="unicode")


def eventually(what: Callable[[], object], limit: float = 20) -> None:
    """Wait until it is true, looking every 20 ms."""
    until = time.monotonic() + limit
    while not what():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.02)


class Heard:
    """The events of one connection, in the order in which they came."""

    def __init__(self, connection: Connection) -> None:
        self._queue: Queue[Event] = Queue()
        connection.watch(self._queue.put)

    def wait_for(self, uuid: UUID, kind: EventKind, limit: float = 10) -> None:
        """Wait for one event, dropping others before it."""
        until = time.monotonic() + limit
        while True:
            try:
                if self._queue.get(timeout=max(0, until - time.monotonic())) == Event(uuid, kind):
                    return
            except Empty:
                pytest.fail(f"no {kind} event came for {uuid}")

    def drain(self) -> list[Event]:
        """Return what has come and not been waited for."""
        events = []
        while not self._queue.empty():
            events.append(self._queue.get())
        return events


class Real:
    """A real guest as the seam sees it, beside virsh as the witness."""

    def __init__(self, guest: Guest, connection: Connection) -> None:
        self.guest = guest
        self.uuid = guest.uuid
        self.connection = connection
        self.domain: Domain = connection.domain(guest.uuid)

    def read(self) -> Reading:
        """Read it through the seam."""
        reading = self.connection.read(self.uuid)
        assert reading
        return reading


@pytest.fixture
def driver() -> Iterator[Connection]:
    """A connection to libvirt's test driver, which is as new."""
    connection = Connection(TEST_DRIVER)
    connection.open()
    _renew()
    yield connection
    connection.close()


def _renew() -> None:
    """Undo what others did to the driver's domains, where a connection of theirs is still held, by a traceback say."""
    handle = libvirt.open(TEST_DRIVER)
    for domain in handle.listAllDomains():
        if domain.isActive():
            domain.destroy()
        if domain.UUID() != TEST_DOMAIN.bytes:
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
    domain = handle.lookupByUUID(TEST_DOMAIN.bytes)
    domain.setAutostart(False)
    if domain.hasManagedSaveImage():
        domain.managedSaveRemove()
    domain.create()


@pytest.fixture
def domain(driver: Connection) -> Domain:
    """The test driver's domain."""
    return driver.domain(TEST_DOMAIN)


@pytest.fixture
def host(libvirtd: PrivateLibvirtd) -> Iterator[Connection]:
    """A connection to the private libvirtd."""
    connection = Connection(libvirtd.uri)
    connection.open()
    yield connection
    connection.close()


@pytest.fixture
def make_real(make_guest: Callable[..., Guest], host: Connection) -> Callable[..., Real]:
    """A function that makes a real guest, with the options of `make_guest`."""
    return lambda **options: Real(make_guest(**options), host)


@pytest.fixture
def silent_uri(tmp_path: Path) -> Iterator[str]:
    """The URI of a host that takes connections and never answers."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "silent"))
        server.listen()
        yield f"qemu+unix:///system?socket={tmp_path / 'silent'}"
