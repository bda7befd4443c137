"""A host's storage pools, as far as the portal needs them: files of saved machines, disks that are made and deleted."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import libvirt
from lxml import etree
from lxml.builder import E

from hypervisor.calls import Calls
from hypervisor.disk_making import make
from hypervisor.errors import VolumeInUse, VolumeNotFound
from hypervisor.names import VolumeName
from hypervisor.translation import DELETING_DISK, STORING


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume of a pool. In bytes: what it takes of the storage, and what it can hold."""

    name: str
    path: str
    allocation: int
    capacity: int


class Storage:
    """The storage pools of one connection's host. Threads may share it.

    Every method raises what a `Connection`'s methods raise, and PoolNotFound where the pool is not there or cannot be
    used. Calls may take as long as the storage does; none waits for a domain.
    """

    def __init__(self, calls: Calls) -> None:
        """Take the turns of its connection. Made by `Connection`."""
        self._calls = calls

    def ensure_pool(self, name: str, directory: str) -> None:
        """Have an active pool of that name (virStoragePoolDefineXML, virStoragePoolCreate with its build).

        A pool of that name that is there is used as it is, of whatever kind, and is started where it does not run. Only
        where there is none a directory pool is made; it starts with its host. Several processes may do so at once.

        Raises:
            PermissionDenied: the host's libvirt may not make the directory.
        """
        with self._calls.slow(STORING) as line:
            pool = _found(line, name)
            if pool:
                _start(pool, build=_is_directory(pool, directory))
            else:
                _make(line, name, directory)

    def volumes(self, pool: str) -> list[Volume]:
        """Return a pool's volumes as they are now (virStoragePoolRefresh, virStoragePoolListAllVolumes)."""
        with self._refreshed(pool) as found:
            return [volume for raw in found.listAllVolumes() for volume in _read(raw)]

    def volume(self, pool: str, name: str) -> Volume | None:
        """Return one volume of a pool as it is now, None when it is not there (virStorageVolLookupByName)."""
        with self._refreshed(pool) as found:
            raw = _volume(found, name)
            return next(_read(raw), None) if raw else None

    def volume_path(self, pool: str, name: str) -> str:
        """Return the path of a volume that is there or may be made, in a pool whose volumes are files.

        Raises:
            ValueError: the name is no file's.
        """
        if not name or name in {".", ".."} or "/" in name or "\0" in name:
            raise ValueError(f"{name!r} is no name of a volume")
        with self._calls.slow(STORING) as line:
            target = etree.fromstring(_pool(line, pool).XMLDesc(0)).findtext("target/path")
        return str(PurePosixPath(target or "/nonexistent") / name)

    def delete_volume(self, pool: str, name: str) -> None:
        """Delete one volume of a pool; a missing one is fine (virStorageVolDelete)."""
        with self._refreshed(pool) as found:
            if raw := _volume(found, name):
                raw.delete(0)

    def make_disk(self, name: VolumeName, capacity: int, image: VolumeName | None = None) -> str:
        """Make a disk in a pool, empty or as an overlay of an image, and return its path (virStorageVolCreateXML).

        The disk is a qcow2 file that grows as it is written. One of that name that is there already stays as it is.

        Args:
            name: where and how it is called.
            capacity: bytes.
            image: what it begins with, from any pool of the host: a volume in raw or qcow2 that must not change later.

        Raises:
            PoolNotFound: a pool is not there.
            VolumeNotFound: the image is not there.
            NotSupported: the image is larger than the disk, or is neither raw nor qcow2.
            NoSpace: the pool is full.
        """
        below = None
        if image:
            with self._refreshed(image.pool) as pool:
                below = _volume(pool, image.volume)
                if below is None:
                    raise VolumeNotFound("The image that this disk begins with is not in the host's storage.")
        with self._refreshed(name.pool) as pool:
            volume = _volume(pool, name.volume) or make(pool, name.volume, capacity, below)
            return str(volume.path())

    def delete_disk(self, path: str) -> None:
        """Delete the volume of this path, in whichever active pool it is (virStorageVolLookupByPath).

        Raises:
            VolumeNotFound: no active pool has it, or it is gone.
            VolumeInUse: a domain of the host has it, or a volume is an overlay of it. Other hosts are not asked.
        """
        with self._calls.slow(DELETING_DISK) as line:
            pools = line.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)
            for pool in pools:
                with suppress(libvirt.libvirtError):  # one that cannot be refreshed does not have it
                    pool.refresh(0)
            volume = line.storageVolLookupByPath(path)
            if posixpath.normpath(path) in _files_of_domains(line) | _backing_files(pools):
                raise VolumeInUse("Another machine uses this file, or another disk builds on it. It was not deleted.")
            volume.delete(0)

    def free_bytes(self, pool: str) -> int:
        """Return how much room a pool has (virStoragePoolGetInfo)."""
        with self._refreshed(pool) as found:
            _state, _capacity, _allocation, available = found.info()
            return int(available)

    @contextmanager
    def _refreshed(self, name: str) -> Iterator[Any]:
        with self._calls.slow(STORING) as line:
            pool = _pool(line, name)
            _start(pool)
            pool.refresh(0)
            yield pool


def _pool(line: Any, name: str) -> Any:
    return line.storagePoolLookupByName(name)


def _found(line: Any, name: str) -> Any:
    try:
        return _pool(line, name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
            return None
        raise


def _make(line: Any, name: str, directory: str) -> None:
    """Define and start a pool; one that cannot be started does not stay. Where another was quicker it is that one."""
    xml = etree.tostring(E.pool(E.name(name), E.target(E.path(directory)), type="dir"), encoding="unicode")
    try:
        pool = line.storagePoolDefineXML(xml)
    except libvirt.libvirtError:
        pool = _found(line, name)
        if not pool:
            raise
    try:
        _start(pool, build=True)
    except libvirt.libvirtError:
        with suppress(libvirt.libvirtError):
            pool.undefine()
        raise
    with suppress(libvirt.libvirtError):  # a pool that does not start with its host is started when it is needed
        pool.setAutostart(1)


def _is_directory(pool: Any, directory: str) -> bool:
    """Say whether a pool is the one that the portal makes, whose directory may be made again."""
    root = etree.fromstring(pool.XMLDesc(0))
    return root.get("type") == "dir" and root.findtext("target/path") == directory


def _start(pool: Any, *, build: bool = False) -> None:
    """Start it; somebody else may at the same time."""
    if pool.isActive():
        return
    try:
        pool.create(libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD if build else 0)
    except libvirt.libvirtError:
        if not pool.isActive():
            raise


def _volume(pool: Any, name: str) -> Any:
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
            return None
        raise


def _files_of_domains(line: Any) -> set[str]:
    """Return the files that domains are defined with or run with, also those below their disks."""
    found: set[str] = set()
    for domain in line.listAllDomains():
        for flags in (0, libvirt.VIR_DOMAIN_XML_INACTIVE):
            with suppress(libvirt.libvirtError):  # it has gone meanwhile
                found |= _paths(domain.XMLDesc(flags), "devices/disk//source", "file")
    return found


def _backing_files(pools: list[Any]) -> set[str]:
    """Return the files on which volumes build."""
    found: set[str] = set()
    for pool in pools:
        with suppress(libvirt.libvirtError):
            for volume in pool.listAllVolumes():
                with suppress(libvirt.libvirtError):
                    found |= _paths(volume.XMLDesc(0), "backingStore/path")
    return found


def _paths(xml: str, where: str, attribute: str = "") -> set[str]:
    elements = etree.fromstring(xml).iterfind(where)
    paths = (element.get(attribute, "") if attribute else element.text for element in elements)
    return {posixpath.normpath(path) for path in paths if path}


def _read(volume: Any) -> Iterator[Volume]:
    """Yield the volume, or nothing where it goes away meanwhile."""
    try:
        _kind, capacity, allocation = volume.info()
        yield Volume(volume.name(), volume.path(), allocation, capacity)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise
