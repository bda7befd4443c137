"""What the disks of domains can hold, on a real libvirt; qemu-img and virsh are the witnesses."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from lxml import etree
from lxml.builder import E

from demo.libvirtd import LibvirtFailed, PrivateLibvirtd
from hypervisor import definition
from hypervisor.connection import Connection
from hypervisor.readings import Capacity
from tests.guest import unused_name
from tests.hypervisor.test_guest_faults import BRISK, seconds, stopped

MIB = 2**20

Define = Callable[..., UUID]


@pytest.fixture
def pool(libvirtd: PrivateLibvirtd, tmp_path: Path) -> Iterator[Path]:
    """The directory of an active pool, whose name is its own."""
    place = tmp_path / f"pool-{uuid4().hex[:8]}"
    place.mkdir()
    libvirtd.virsh("pool-create-as", place.name, "dir", "--target", str(place))
    yield place
    with suppress(LibvirtFailed):
        libvirtd.virsh("pool-destroy", place.name)


@pytest.fixture
def define(host: Connection) -> Iterator[Define]:
    """A function that defines a domain with these disks; they are forgotten afterwards."""
    made: list[UUID] = []

    def define(*disks: etree._Element) -> UUID:
        children = [E.name(unused_name()), E.memory("16", unit="MiB"), E.os(E.type("hvm")), E.devices(*disks)]
        made.append(host.define(etree.tostring(E.domain(*children, type="qemu"), encoding="unicode")))
        return made[-1]

    yield define
    for uuid in made:
        with suppress(Exception):
            host.domain(uuid).destroy()
        host.domain(uuid).undefine()


def disk(
    target: str, *children: etree._Element, kind: str = "file", device: str = "disk", form: str = "qcow2"
) -> etree._Element:
    return E.disk(
        E.driver(name="qemu", type=form), *children, E.target(dev=target, bus="scsi"), type=kind, device=device
    )


def of_file(path: Path, target: str = "sda", *more: etree._Element, **options: str) -> etree._Element:
    return disk(target, E.source(file=str(path)), *more, **options)


def image(path: Path, mib: int) -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), f"{mib}M"], check=True, timeout=30)
    return path


def volume(libvirtd: PrivateLibvirtd, pool: Path, name: str, mib: int) -> Path:
    libvirtd.virsh("vol-create-as", pool.name, name, f"{mib}M", "--format", "qcow2")
    return pool / name


def capacity(host: Connection, uuid: UUID) -> Capacity:
    reading = host.read(uuid)
    assert reading
    assert reading.definition
    return host.disk_capacity(uuid, reading.definition.disks)


def test_volumes_count_by_what_they_can_hold_also_when_that_has_changed(
    host: Connection, libvirtd: PrivateLibvirtd, pool: Path, define: Define
) -> None:
    first, second = volume(libvirtd, pool, "first", 5000), volume(libvirtd, pool, "second", 300)
    by_name = disk("sdb", E.source(pool=pool.name, volume="second"), kind="volume")
    uuid = define(of_file(first), by_name)
    assert capacity(host, uuid) == Capacity(5300 * MIB, complete=True)
    assert second.stat().st_size < MIB
    libvirtd.virsh("vol-resize", str(first), "6000M")
    assert capacity(host, uuid) == Capacity(6300 * MIB, complete=True)
    subprocess.run(["qemu-img", "resize", "-q", str(second), "400M"], check=True, timeout=30)
    assert capacity(host, uuid) == Capacity(6400 * MIB, complete=True)


def test_media_and_disks_that_are_not_its_own_count_nothing(
    host: Connection, libvirtd: PrivateLibvirtd, pool: Path, define: Define
) -> None:
    names = ("own", "shared", "readonly", "medium")
    own, shared, readonly, medium = (volume(libvirtd, pool, name, 100) for name in names)
    uuid = define(
        of_file(own),
        of_file(shared, "sdb", E.shareable(), form="raw"),
        of_file(readonly, "sdc", E.readonly()),
        of_file(medium, "sdd", E.readonly(), device="cdrom"),
        disk("sde", device="cdrom"),
    )
    assert capacity(host, uuid) == Capacity(100 * MIB, complete=True)
    assert capacity(host, define()) == Capacity(0, complete=True)


def test_a_file_in_no_pool_counts_while_the_machine_is_off_and_is_unknown_while_it_runs(
    host: Connection, libvirtd: PrivateLibvirtd, pool: Path, tmp_path: Path, define: Define
) -> None:
    outside = image(tmp_path / "outside", 200)
    uuid = define(of_file(volume(libvirtd, pool, "inside", 100)), of_file(outside, "sdb"))
    assert capacity(host, uuid) == Capacity(300 * MIB, complete=True)
    host.domain(uuid).start()
    assert capacity(host, uuid) == Capacity(100 * MIB, complete=False)
    with stopped(libvirtd.qemu_pid(host.domain(uuid).name)):
        for _ in range(5):
            assert seconds(lambda: capacity(host, uuid)) < BRISK
    host.domain(uuid).destroy()
    assert capacity(host, uuid) == Capacity(300 * MIB, complete=True)


def test_what_cannot_be_answered_counts_nothing_and_hides_nothing(
    host: Connection, libvirtd: PrivateLibvirtd, pool: Path, tmp_path: Path, define: Define
) -> None:
    rbd = E.source(E.host(name="127.0.0.1", port="1"), protocol="nbd")
    gone = volume(libvirtd, pool, "gone", 50)
    uuid = define(
        of_file(volume(libvirtd, pool, "there", 100)),
        of_file(tmp_path / "missing", "sdb"),
        disk("sdc", E.source(pool="nowhere", volume="nothing"), kind="volume"),
        disk("sdd", rbd, kind="network"),
        of_file(gone, "sde"),
    )
    gone.unlink()
    assert capacity(host, uuid) == Capacity(100 * MIB, complete=True)
    libvirtd.virsh("pool-destroy", pool.name)
    assert capacity(host, uuid) == Capacity(100 * MIB, complete=True)  # libvirt opens the file itself


def test_before_a_domain_has_them_disks_are_found_in_pools_that_do_not_know_them_yet(
    host: Connection, libvirtd: PrivateLibvirtd, pool: Path, tmp_path: Path
) -> None:
    volume(libvirtd, pool, "known", 100)
    new, outside = image(pool / "new", 200), image(tmp_path / "outside", 400)
    disks = [of_file(pool / "known"), of_file(new, "sdb"), of_file(outside, "sdc")]
    xml = etree.tostring(E.domain(E.name("new"), E.devices(*disks)), encoding="unicode")
    assert host.capacity_in_pools(definition.parse(xml).disks) == 300 * MIB
