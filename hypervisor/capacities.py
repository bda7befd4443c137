"""What the disks of a domain can hold together, without asking its QEMU process.

A volume of a storage pool tells it by two calls (0.4 to 0.6 ms for a disk, whether the host has one pool or fifty, or
500 volumes: tried with libvirt 9.0), which read the header of its file and so see what `qemu-img resize` did. A file in
no active pool libvirt opens itself, but only while the domain is off: of a running one it would ask QEMU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from uuid import UUID

import libvirt

from hypervisor.calls import is_alive
from hypervisor.readings import Capacity, Disk

_BLOCKS = libvirt.VIR_DOMAIN_STATS_BLOCK
_NO_WAITING = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT


def of_domain(line: Any, uuid: UUID, disks: Iterable[Disk]) -> Capacity:
    """Return what a domain's own disks can hold; those that libvirt cannot answer for count nothing.

    Calls: virStorageVolLookupByPath (or virStoragePoolLookupByName and virStorageVolLookupByName) with
    virStorageVolGetInfo for each disk; virConnectGetAllDomainStats for a domain that is off, where one is in no pool.

    Raises:
        libvirt.libvirtError: only where the connection is gone.
    """
    known, unknown = _in_pools(line, disks)
    if not unknown:
        return Capacity(known, complete=True)
    found = _answer(line, _off, uuid)
    if found is None:
        return Capacity(known, complete=not any(disk.source or disk.volume for disk in unknown))
    return Capacity(known + sum(found.get(disk.target, 0) for disk in unknown), complete=True)


def in_pools(line: Any, disks: Iterable[Disk]) -> int:
    """Return what the disks of a definition can hold that no domain has yet, as far as they are in active pools.

    A pool does not know the files that were put into it by others since it was refreshed: where a disk is in none,
    all are refreshed (virStoragePoolRefresh), which may take as long as the storage does.

    Raises:
        libvirt.libvirtError: only where the connection is gone.
    """
    known, unknown = _in_pools(line, disks)
    if not unknown:
        return known
    for pool in _answer(line, _active_pools) or ():
        with suppress(libvirt.libvirtError):  # one that cannot be refreshed has nothing new
            pool.refresh(0)
    found, _unknown = _in_pools(line, unknown)
    return known + found


def _in_pools(line: Any, disks: Iterable[Disk]) -> tuple[int, list[Disk]]:
    """Return the capacity of a definition's own disks that are volumes, and the own disks that are not."""
    total, unknown = 0, []
    for disk in filter(_is_own, disks):
        capacity = _answer(line, _volume_capacity, disk)
        if capacity is None:
            unknown.append(disk)
        else:
            total += capacity
    return total, unknown


def _is_own(disk: Disk) -> bool:
    """Say whether a disk belongs to its domain alone, and can be written."""
    return disk.device == "disk" and not disk.readonly and not disk.shareable


def _volume_capacity(line: Any, disk: Disk) -> int | None:
    if disk.volume:
        volume = line.storagePoolLookupByName(disk.pool).storageVolLookupByName(disk.volume)
    elif disk.source:
        volume = line.storageVolLookupByPath(disk.source)
    else:
        return None
    _kind, capacity, _allocation = volume.info()
    return int(capacity)


def _off(line: Any, uuid: UUID) -> dict[str, int] | None:
    """Return the capacity of each disk of a domain that is off by its target, as far as its files tell; else None.

    With NOWAIT it waits for no job of the domain, not even for a start under way.
    """
    domain = line.lookupByUUID(uuid.bytes)
    if domain.isActive():
        return None
    [(_domain, said)] = line.domainListGetStats([domain], _BLOCKS, _NO_WAITING)
    numbers = range(said.get("block.count", 0))
    return {said[f"block.{number}.name"]: said.get(f"block.{number}.capacity", 0) for number in numbers}


def _active_pools(line: Any) -> Any:
    return line.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)


def _answer(line: Any, ask: Callable[..., Any], *given: Any) -> Any:
    """Return libvirt's answer, None where it has none: whatever is wrong with one disk is not the others' fault."""
    try:
        return ask(line, *given)
    except libvirt.libvirtError:
        if not is_alive(line):
            raise
        return None
