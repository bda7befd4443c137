"""What libvirt answers about a running domain, its job and its guest's addresses, as our values."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from itertools import islice
from typing import Any

import libvirt

from hypervisor.readings import Address, JobProgress

MOST_ADDRESSES = 64
MOST_NAME = 64
"""Characters of an interface's name."""

_RUNNING_JOBS = frozenset({libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED})
_JOBS = {
    libvirt.VIR_DOMAIN_JOB_OPERATION_START: "start",
    libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE: "save",
    libvirt.VIR_DOMAIN_JOB_OPERATION_RESTORE: "restore",
    libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN: "migration in",
    libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT: "migration out",
    libvirt.VIR_DOMAIN_JOB_OPERATION_SNAPSHOT: "snapshot",
    libvirt.VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT: "revert",
    libvirt.VIR_DOMAIN_JOB_OPERATION_DUMP: "dump",
    libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP: "backup",
}


def progress(statistics: Mapping[str, Any]) -> JobProgress | None:
    """Return how far a job is, None where none is under way."""
    if statistics.get("type", libvirt.VIR_DOMAIN_JOB_NONE) not in _RUNNING_JOBS:
        return None
    total = statistics.get(libvirt.VIR_DOMAIN_JOB_DATA_TOTAL, 0)
    return JobProgress(
        operation=_JOBS.get(statistics.get("operation", 0), "unknown"),
        # not libvirt's "processed", which leaves out empty pages and so ends at a third
        processed_bytes=max(0, total - statistics.get(libvirt.VIR_DOMAIN_JOB_DATA_REMAINING, total)),
        total_bytes=total,
    )


def addresses(interfaces: Mapping[str, Any]) -> list[Address]:
    """Return what a guest says of its addresses, cut to what is plausible: its agent may say anything."""
    found = (
        Address(name[:MOST_NAME], (interface["hwaddr"] or "")[:MOST_NAME], entry["addr"], entry["prefix"])
        for name, interface in interfaces.items()
        for entry in interface["addrs"] or ()
        if _is_worth_showing(entry["addr"])
    )
    return list(islice(found, MOST_ADDRESSES))


def _is_worth_showing(text: str) -> bool:
    try:
        return not ip_address(text).is_loopback
    except ValueError:
        return False
