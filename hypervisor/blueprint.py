"""The definition of a machine that is made from a few choices, and the files of its disks in place of their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from lxml import etree
from lxml.builder import E

from hypervisor.definition import AGENT_CHANNEL, domain_element
from hypervisor.errors import BadDefinition
from hypervisor.names import PREFIXES, VolumeName


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What is chosen of a machine.

    `domain_type` is libvirt's (kvm, qemu). An empty `machine_type` leaves it to the host, an empty `network` leaves the
    machine without a network card.
    """

    uuid: UUID
    name: str
    vcpus: int
    memory_bytes: int
    disk: VolumeName
    domain_type: str
    machine_type: str = "q35"
    disk_bus: str = "virtio"
    network: str = ""
    network_card: str = "virtio"
    video: str = "virtio"
    display: str = "vnc"
    title: str = ""


def definition_of(plan: Blueprint) -> str:
    """Return the XML of a machine with one disk, an empty CD-ROM drive, a display and a channel for its guest agent.

    The disk is named by pool and volume: `with_files` puts its file there when it is made. The display has no port and
    no password: only libvirt hands out a way to it (virDomainOpenGraphicsFD).
    """
    titles = [E.title(plan.title)] if plan.title else []
    domain = E.domain(
        E.name(plan.name),
        E.uuid(str(plan.uuid)),
        *titles,
        E.memory(str(plan.memory_bytes // 1024), unit="KiB"),
        E.vcpu(str(plan.vcpus)),
        E.os(_hvm(plan.machine_type), E.boot(dev="hd"), E.boot(dev="cdrom")),
        E.features(E.acpi(), E.apic()),
        *([E.cpu(mode="host-model")] if plan.domain_type == "kvm" else []),
        E.clock(offset="utc"),
        E.devices(*_disks(plan), *_network(plan), *_ports(), *_screen(plan)),
        type=plan.domain_type,
    )
    return etree.tostring(domain, pretty_print=True, encoding="unicode")


def volumes_in(xml: str) -> list[VolumeName]:
    """Return the disks of a definition that are named by pool and volume.

    Raises:
        BadDefinition: as `hypervisor.definition.domain_element`.
    """
    sources = domain_element(xml).iterfind("devices/disk[@type='volume']/source")
    return [VolumeName(source.get("pool", ""), source.get("volume", "")) for source in sources]


def with_files(xml: str, files: Mapping[VolumeName, str]) -> str:
    """Return the XML with files in place of these volumes.

    Raises:
        BadDefinition: as `hypervisor.definition.domain_element`.
    """
    root = domain_element(xml)
    for disk in root.iterfind("devices/disk[@type='volume']"):
        source = disk.find("source")
        if source is None:
            raise BadDefinition("A disk of this definition says no volume.")
        if path := files.get(VolumeName(source.get("pool", ""), source.get("volume", ""))):
            disk.set("type", "file")
            source.attrib.clear()
            source.set("file", path)
    return etree.tostring(root, encoding="unicode")


def _hvm(machine_type: str) -> etree._Element:
    hvm: etree._Element = E.type("hvm")
    if machine_type:
        hvm.set("machine", machine_type)
    return hvm


def _disks(plan: Blueprint) -> Iterable[etree._Element]:
    if plan.disk_bus == "scsi":
        yield E.controller(type="scsi", model="virtio-scsi")
    yield E.disk(
        E.driver(name="qemu", type="qcow2"),
        E.source(pool=plan.disk.pool, volume=plan.disk.volume),
        E.target(dev=f"{PREFIXES[plan.disk_bus]}a", bus=plan.disk_bus),
        type="volume",
        device="disk",
    )
    bus = "ide" if plan.machine_type == "pc" else "sata"
    letter = "b" if PREFIXES[bus] == PREFIXES[plan.disk_bus] else "a"
    yield E.disk(E.target(dev=f"{PREFIXES[bus]}{letter}", bus=bus), E.readonly(), type="file", device="cdrom")


def _network(plan: Blueprint) -> Iterable[etree._Element]:
    if plan.network:
        yield E.interface(E.source(network=plan.network), E.model(type=plan.network_card), type="network")


def _ports() -> Iterable[etree._Element]:
    yield E.serial(E.target(port="0"), type="pty")
    yield E.console(E.target(type="serial", port="0"), type="pty")
    yield E.channel(E.target(type="virtio", name=AGENT_CHANNEL), type="unix")
    yield E.input(type="tablet", bus="usb")


def _screen(plan: Blueprint) -> Iterable[etree._Element]:
    yield E.graphics(E.listen(type="none"), type=plan.display)
    if plan.display == "spice":
        yield E.channel(E.target(type="virtio", name="com.redhat.spice.0"), type="spicevmc")
    yield E.video(E.model(type=plan.video))
    yield E.rng(E.backend("/dev/urandom", model="random"), model="virtio")
