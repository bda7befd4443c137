"""The words for what new machines are made of. It needs no libvirt and no XML, so that every process may know them."""

from __future__ import annotations

from dataclasses import dataclass

PREFIXES = {"virtio": "vd", "ide": "hd", "sata": "sd", "scsi": "sd"}
"""The disk buses that can be chosen, with how libvirt names disks on them."""
NETWORK_CARDS = ("virtio", "e1000e", "e1000", "rtl8139")
VIDEO_MODELS = ("virtio", "qxl", "vga", "cirrus", "vmvga")
DISPLAYS = ("vnc", "spice")
CHIPSETS = ("q35", "pc")
"""The machine types of x86 that can be chosen: PCI Express with SATA, or that of 1996 with IDE."""


@dataclass(frozen=True, slots=True)
class VolumeName:
    """A volume by its pool and name, which libvirt may not have made yet."""

    pool: str
    volume: str
