"""Making the file of a disk in a storage pool."""

from __future__ import annotations

from typing import Any

from lxml import etree
from lxml.builder import E

from hypervisor.errors import NotSupported

_FORMATS = frozenset({"raw", "qcow2"})
"""Formats of images that a disk may begin with."""


def make(pool: Any, name: str, capacity: int, image: Any = None) -> Any:
    """Make a qcow2 volume of so many bytes; with an image (libvirt's volume), as an overlay of it.

    Raises:
        NotSupported: the image is larger than the disk, or is neither raw nor qcow2.
        libvirt.libvirtError: libvirt's own reasons.
    """
    volume = E.volume(
        E.name(name),
        E.capacity(str(capacity), unit="bytes"),
        E.target(E.format(type="qcow2")),
        *([_backing(image, capacity)] if image else []),
    )
    return pool.createXML(etree.tostring(volume, encoding="unicode"), 0)


def _backing(image: Any, capacity: int) -> etree._Element:
    root = etree.fromstring(image.XMLDesc(0))
    found = root.find("target/format")
    format_ = "" if found is None else found.get("type", "")
    if format_ not in _FORMATS:
        raise NotSupported("The image that this disk begins with is in a format that no disk can begin with.")
    if int(root.findtext("capacity") or 0) > capacity:
        raise NotSupported("The image that this disk begins with is larger than the disk is to be. Make it larger.")
    backing: etree._Element = E.backingStore(E.path(image.path()), E.format(type=format_))
    return backing
