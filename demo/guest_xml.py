"""The definition of the small guest: a domain that boots demo.guest's image directly and has every device we show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal
from uuid import UUID

from lxml import etree
from lxml.builder import E, ElementMaker

from demo.guest import GuestImage

DomainType = Literal["qemu", "kvm"]
Graphics = Literal["vnc", "spice"]
Clipboard = Literal["qemu-vdagent", "spicevmc"]

NAMESPACE = "https://kvmportal.invalid/guest/1"
"""Of the metadata by which a demo or a test run knows its own domains; also the key for `virsh metadata`."""
OURS = ElementMaker(namespace=NAMESPACE, nsmap={"kvmportal-demo": NAMESPACE})
KERNEL_ARGUMENTS = (
    "console=ttyS0 console=tty1 quiet nokaslr",
    "random.trust_cpu=on mitigations=off audit=0 lsm= nowatchdog",  # for a quick boot without KVM
)


def guest_xml(
    name: str,
    image: GuestImage,
    *,
    uuid: UUID | None = None,
    title: str = "",
    domain_type: DomainType = "qemu",
    memory_mib: int = 128,
    vcpus: int = 1,
    graphics: Sequence[Graphics] = ("vnc",),
    video: str = "vga",
    agent: bool = True,
    network: bool = True,
    serial: bool = True,
    clipboard: Clipboard | None = None,
    made_by: str = "",
) -> str:
    """Return the domain's XML.

    Displays have no port and no password: only libvirt hands out a way to them. `clipboard` says who talks to the
    guest's clipboard agent: QEMU itself, for VNC, or the SPICE server. `made_by` is kept in the metadata.
    """
    domain = E.domain(
        E.name(name),
        *([E.uuid(str(uuid))] if uuid else []),
        *([E.title(title)] if title else []),
        *([E.metadata(OURS.guest(by=made_by))] if made_by else []),
        E.memory(str(memory_mib), unit="MiB"),
        E.vcpu(str(vcpus)),
        _boot(name, image),
        *_processor(domain_type),
        E.clock(offset="utc"),
        E.on_poweroff("destroy"),
        E.on_reboot("restart"),
        E.on_crash("preserve"),
        E.pm(E("suspend-to-mem", enabled="yes"), E("suspend-to-disk", enabled="no")),
        E.devices(*_ports(serial, agent), *_clipboard(clipboard), *_devices(graphics, video, network)),
        type=domain_type,
    )
    return etree.tostring(domain, pretty_print=True, encoding="unicode")


def _boot(name: str, image: GuestImage) -> etree._Element:
    boot: etree._Element = E.os(
        E.type("hvm", arch="x86_64", machine="q35"),
        E.kernel(str(image.kernel)),
        E.initrd(str(image.initrd)),
        E.cmdline(" ".join((*KERNEL_ARGUMENTS, f"GUEST_NAME={name}"))),
    )
    return boot


def _processor(domain_type: DomainType) -> Iterable[etree._Element]:
    """Yield what differs: without KVM, QEMU's default processor boots quickest and a small cache saves memory."""
    if domain_type == "kvm":
        yield E.features(E.acpi(), E.apic())
        yield E.cpu(mode="host-passthrough")
    else:
        yield E.features(E.acpi(), E.apic(), E.tcg(E("tb-cache", "64", unit="MiB")))


def _ports(serial: bool, agent: bool) -> Iterable[etree._Element]:
    yield E.emulator("/usr/bin/qemu-system-x86_64")
    if serial:
        yield E.serial(E.target(port="0"), type="pty")
        yield E.console(E.target(type="serial", port="0"), type="pty")
    if agent:
        yield E.channel(E.target(type="virtio", name="org.qemu.guest_agent.0"), type="unix")


def _clipboard(kind: Clipboard | None) -> Iterable[etree._Element]:
    if kind:
        shared = [E.source(E.clipboard(copypaste="yes"))] if kind == "qemu-vdagent" else []
        yield E.channel(*shared, E.target(type="virtio", name="com.redhat.spice.0"), type=kind)


def _devices(graphics: Sequence[Graphics], video: str, network: bool) -> Iterable[etree._Element]:
    yield E.controller(type="usb", model="none") if video != "qxl" else E.controller(type="usb", model="qemu-xhci")
    if network:
        yield E.interface(E.model(type="virtio"), E.rom(enabled="no"), type="user")
    for protocol in graphics:
        yield E.graphics(E.listen(type="none"), type=protocol)
    yield E.video(E.model(type=video))
    yield E.memballoon(E.stats(period="5"), model="virtio")
    yield E.rng(E.backend("/dev/urandom", model="random"), model="virtio")
    yield E.panic(model="isa")
