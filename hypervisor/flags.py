"""Our words for libvirt's numbers: ways to ask a guest, what goes with a definition, states that need care."""

from __future__ import annotations

from typing import Any

import libvirt

from hypervisor.definition import has_nvram, has_tpm

SHUTDOWN = {
    "default": libvirt.VIR_DOMAIN_SHUTDOWN_DEFAULT,
    "acpi": libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN,
    "agent": libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT,
}
REBOOT = {
    "default": libvirt.VIR_DOMAIN_REBOOT_DEFAULT,
    "acpi": libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN,
    "agent": libvirt.VIR_DOMAIN_REBOOT_GUEST_AGENT,
}
SLEEP = {
    "mem": libvirt.VIR_NODE_SUSPEND_TARGET_MEM,
    "disk": libvirt.VIR_NODE_SUSPEND_TARGET_DISK,
    "hybrid": libvirt.VIR_NODE_SUSPEND_TARGET_HYBRID,
}
MOST_KEYS = 16
"""At once: libvirt's VIR_DOMAIN_SEND_KEY_MAX_KEYS."""

CRASHED_ALIVE = frozenset(
    {
        (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_UNKNOWN),
        (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_CRASHED),
    }
)
"""States and reasons of a guest that crashed while its QEMU process stayed."""


def undefining(domain: Any, *, saved_image: bool, snapshots: bool, nvram: bool, checkpoints: bool) -> int:
    """Return the flags to undefine a libvirt domain with: libvirt wants to be told of NVRAM where there is some.

    What its TPM keeps (keys of encrypted disks, for example) always stays, where libvirt would delete it unasked.
    """
    flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE if saved_image else 0
    flags |= libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA if snapshots else 0
    flags |= libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA if checkpoints else 0
    xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    if has_nvram(xml):
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_NVRAM if nvram else libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
    if has_tpm(xml):
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_KEEP_TPM
    return int(flags)
