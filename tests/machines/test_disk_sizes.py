"""Following what machines' disks can hold, on a real libvirt."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from uuid import uuid4

import pytest
from lxml import etree
from lxml.builder import E

from demo.libvirtd import LibvirtFailed, PrivateLibvirtd
from hypervisor.calls import LINES
from hypervisor.connection import Connection
from hypervisor.readings import Definition, Disk
from machines.disk_sizes import AT_ONCE, DiskSizes
from machines.leases import HeldLease
from machines.models import Host, Machine
from tests.cast import MakeMachine
from tests.guest import Guest, unused_name
from tests.machines.conftest import until
from tests.machines.readings import reading
from tests.machines.test_truth import tell

pytestmark = pytest.mark.django_db(transaction=True)

GIB = 2**30


@pytest.fixture
def volume(libvirtd: PrivateLibvirtd, tmp_path: Path) -> Iterator[Path]:
    """A volume of 3 GiB in an active pool."""
    name, place = f"pool-{uuid4().hex[:8]}", tmp_path / "pool"
    libvirtd.virsh("pool-create-as", name, "dir", "--target", str(place), "--build")
    libvirtd.virsh("vol-create-as", name, "disk", "3G", "--format", "qcow2")
    yield place / "disk"
    with suppress(LibvirtFailed):
        libvirtd.virsh("pool-destroy", name)


@pytest.fixture
def domain(libvirtd: PrivateLibvirtd, volume: Path) -> Iterator[Guest]:
    """A domain that is off, with that volume."""
    guest = Guest(libvirtd, unused_name(), uuid4())
    disk = E.disk(E.driver(type="qcow2"), E.source(file=str(volume)), E.target(dev="sda", bus="scsi"), type="file")
    children = [E.name(guest.name), E.uuid(str(guest.uuid)), E.memory("16", unit="MiB"), E.os(E.type("hvm"))]
    tell(libvirtd, etree.tostring(E.domain(*children, E.devices(disk), type="qemu"), encoding="unicode"), "define")
    yield guest
    guest.remove()


def test_a_machines_disk_is_known_soon_and_again_after_it_has_grown(
    follow: Callable[[Host], object], libvirt_host: Host, domain: Guest, volume: Path, libvirtd: PrivateLibvirtd
) -> None:
    follow(libvirt_host)
    until(lambda: Machine.objects.filter(pk=domain.uuid, disk_bytes=3 * GIB).exists(), 10)
    libvirtd.virsh("vol-resize", str(volume), "5G")
    domain.virsh("desc", "--title", "Grown", "--config")
    until(lambda: Machine.objects.filter(pk=domain.uuid, disk_bytes=5 * GIB, title="Grown").exists(), 10)


@pytest.fixture
def connection(libvirtd: PrivateLibvirtd) -> Iterator[Connection]:
    """A connection whose calls wait half a second for their turn."""
    with closing(Connection(libvirtd.uri, patience=0.5)) as connection:
        connection.open()
        yield connection


@pytest.fixture
def sizes(held: HeldLease, connection: Connection) -> Iterator[DiskSizes]:
    """The side thread under test, of a host whose rows are made by hand."""
    with closing(DiskSizes("host-1", held, connection)) as sizes:
        yield sizes
    until(lambda: not [one for one in threading.enumerate() if one.name == "disks host-1"])


def test_storage_that_does_not_answer_holds_up_no_reading_and_is_asked_again(
    make_machine: MakeMachine, connection: Connection, sizes: DiskSizes, domain: Guest, volume: Path
) -> None:
    machines = [make_machine(f"m{number}") for number in range(AT_ONCE + 1)]
    definition = Definition("<domain/>", disks=(Disk("sda", str(volume)),))
    readings = [reading(identity=machine.uuid, definition=definition) for machine in machines]
    with ExitStack() as hanging:
        for _ in range(LINES - 1):
            hanging.enter_context(connection._calls.slow())
        for _ in range(3):
            sizes.follow(readings)
            assert connection.read(domain.uuid)
            time.sleep(0.4)
        sizes.follow([reading(identity=machines[0].uuid)])
    sizes.follow(readings)
    until(lambda: Machine.objects.filter(disk_bytes=3 * GIB).count() == AT_ONCE + 1, 10)
