"""Domain XML, read with a parser that follows no entity, no DTD and no network address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from lxml import etree

from hypervisor.errors import BadDefinition
from hypervisor.readings import Definition, Disk

AGENT_CHANNEL = "org.qemu.guest_agent.0"
"""The name of the virtio channel on which libvirt looks for the guest agent."""

GRAPHICS = frozenset({"vnc", "spice"})
"""The displays that the portal can show."""

_UNITS = {
    "b": 1, "bytes": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15, "EB": 10**18,
    "k": 2**10, "KiB": 2**10, "M": 2**20, "MiB": 2**20, "G": 2**30, "GiB": 2**30,
    "T": 2**40, "TiB": 2**40, "P": 2**50, "PiB": 2**50, "E": 2**60, "EiB": 2**60,
}  # fmt: skip
"""libvirt's units of memory; without one it means KiB."""


_PASSWORD = ("passwd", "passwdValidTo")
_DIGITS = 20
"""No number that libvirt takes has as many."""


def parse(xml: str) -> Definition:
    """Read the facts that the portal shows out of a domain's XML; what is missing stays empty.

    Raises:
        BadDefinition: it is no XML, no domain's, or has a document type.
    """
    root = domain_element(xml)
    return Definition(
        xml=xml,
        title=_text(root, "title"),
        description=_text(root, "description"),
        vcpus=_vcpus(root),
        memory_bytes=_memory(root),
        video_model=_attribute(root, "devices/video/model", "type"),
        graphics=graphics_of(root),
        has_serial=has_serial(root),
        has_agent_channel=_agent_channel(root) is not None,
        disks=tuple(_disks(root)),
    )


def domain_element(xml: str) -> etree._Element:
    """Parse a domain's XML.

    Raises:
        BadDefinition: it is no XML, no domain's, or has a document type (the ground of entity attacks).
    """
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True
    )
    try:
        root = etree.fromstring(xml.encode(), parser)
    except (etree.XMLSyntaxError, UnicodeEncodeError) as error:
        raise BadDefinition("This is not well-formed XML.", text=getattr(error, "msg", None) or str(error)) from error
    document: Any = root.getroottree().docinfo
    if document.doctype:
        raise BadDefinition("A definition must not have a document type (<!DOCTYPE ...>).")
    if root.tag != "domain":
        raise BadDefinition("This XML is not the definition of a machine: it has to begin with <domain>.")
    return root


def identity(xml: str) -> tuple[UUID | None, str]:
    """Return the UUID, None where it has none, and the name.

    Raises:
        BadDefinition: as `domain_element`; or the UUID is none.
    """
    root = domain_element(xml)
    text = (root.findtext("uuid") or "").strip()
    try:
        return (UUID(text) if text else None), root.findtext("name") or ""
    except ValueError as error:
        raise BadDefinition("The UUID in this definition is not one.", text=str(error)) from error


def with_identity(xml: str, uuid: UUID) -> str:
    """Return the XML with this UUID, whatever it had.

    Raises:
        BadDefinition: as `domain_element`.
    """
    root = domain_element(xml)
    for element in root.findall("uuid"):
        root.remove(element)
    element = etree.Element("uuid")
    element.text = str(uuid)
    name = root.find("name")
    root.insert(0 if name is None else root.index(name) + 1, element)
    return etree.tostring(root, encoding="unicode")


def with_passwords(xml: str, present: str) -> str:
    """Return the XML with the passwords that the displays of the present definition have and these ones do not name.

    libvirt leaves passwords out of what it shows, so whoever edits that would open the displays to everybody unasked.

    Raises:
        BadDefinition: as `domain_element`.
    """
    root, kept = domain_element(xml), False
    for kind in GRAPHICS:
        pairs = zip(
            *(each.findall(f"devices/graphics[@type='{kind}']") for each in (root, domain_element(present))),
            strict=False,
        )
        for new, old in pairs:
            if "passwd" in old.attrib and "passwd" not in new.attrib:
                new.attrib.update({name: old.attrib[name] for name in _PASSWORD if name in old.attrib})
                kept = True
    return etree.tostring(root, encoding="unicode") if kept else xml


def disks(xml: str) -> list[Disk]:
    """Return its disks in the XML's order.

    Raises:
        BadDefinition: as `domain_element`.
    """
    return list(_disks(domain_element(xml)))


def has_nvram(xml: str) -> bool:
    """Say whether its firmware keeps variables in a file of its own, or will (UEFI).

    Raises:
        BadDefinition: as `domain_element`.
    """
    root = domain_element(xml)
    return root.find("os/nvram") is not None or root.find("os[@firmware='efi']") is not None


def has_tpm(xml: str) -> bool:
    """Say whether it has a TPM that its host emulates, and whose memory its host keeps.

    Raises:
        BadDefinition: as `domain_element`.
    """
    return domain_element(xml).find("devices/tpm/backend[@type='emulator']") is not None


def graphics_of(root: etree._Element) -> tuple[str, ...]:
    """Return the protocols of the displays that the portal can show, in the XML's order."""
    return tuple(kind for kind in graphics_devices(root) if kind in GRAPHICS)


def graphics_devices(root: etree._Element) -> list[str]:
    """Return the type of every graphics device; its place in the list is libvirt's index of it."""
    return [device.get("type", "") for device in root.iterfind("devices/graphics")]


def has_serial(root: etree._Element) -> bool:
    """Say whether it has a serial console that libvirt can open: its first one, when that is a pseudo terminal."""
    console = root.find("devices/console")
    if console is None:
        console = root.find("devices/serial")
    return console is not None and console.get("type") == "pty"


def agent_is_connected(xml: str) -> bool:
    """Say whether a running domain's live XML shows a connected guest agent."""
    channel = _agent_channel(domain_element(xml))
    return channel is not None and channel.get("state") == "connected"


def _agent_channel(root: etree._Element) -> etree._Element | None:
    for target in root.iterfind("devices/channel/target[@type='virtio']"):
        if target.get("name") == AGENT_CHANNEL:
            return target
    return None


def _disks(root: etree._Element) -> Iterator[Disk]:
    for disk in root.iterfind("devices/disk"):
        yield Disk(
            target=_attribute(disk, "target", "dev"),
            source=_attribute(disk, "source", "file") or _attribute(disk, "source", "dev"),
            device=disk.get("device", "disk"),
            readonly=disk.find("readonly") is not None,
            shareable=disk.find("shareable") is not None,
            pool=_attribute(disk, "source", "pool"),
            volume=_attribute(disk, "source", "volume"),
        )


def _text(root: etree._Element, path: str) -> str:
    return root.findtext(path) or ""


def _attribute(root: etree._Element, path: str, name: str) -> str:
    element = root.find(path)
    return "" if element is None else element.get(name, "")


def _vcpus(root: etree._Element) -> int:
    element = root.find("vcpu")
    if element is None:
        return 1
    return _number(element.get("current") or element.text)


def _memory(root: etree._Element) -> int:
    element = root.find("currentMemory")
    if element is None:
        element = root.find("memory")
    if element is None:
        return 0
    return _number(element.text) * _UNITS.get(element.get("unit", "KiB"), 0)


def _number(text: str | None) -> int:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else 0
