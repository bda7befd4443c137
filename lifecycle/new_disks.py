"""Disks that are made when their machine is defined: before it, and not kept when that fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from hypervisor import blueprint
from hypervisor.connection import Connection
from hypervisor.errors import HostUnreachable, HypervisorError
from hypervisor.names import VolumeName
from lifecycle.models import NewDisk
from machines.models import Machine

log = logging.getLogger(__name__)


@contextmanager
def made(connection: Connection, machine: Machine, xml: str) -> Iterator[str]:
    """Make the new disks that a definition names, and give the definition with their files in their place.

    Where the block fails, those that were made for it are deleted again; they are tried anew the next time. A host that
    is lost in the middle keeps them, and so does a worker that is killed: a disk that is there is taken as it is.

    Raises:
        HypervisorError: a disk could not be made.
    """
    rows = {VolumeName(row.pool, row.volume): row for row in NewDisk.objects.filter(machine=machine)}
    wanted = [rows[name] for name in blueprint.volumes_in(xml) if name in rows] if rows else []
    fresh: list[VolumeName] = []
    files: dict[VolumeName, str] = {}
    try:
        for row in wanted:
            name = VolumeName(row.pool, row.volume)
            there = connection.storage.volume(name.pool, name.volume)
            image = VolumeName(row.image_pool or row.pool, row.image) if row.image else None
            files[name] = connection.storage.make_disk(name, row.capacity_bytes, image)
            fresh += [] if there else [name]
        yield blueprint.with_files(xml, files) if files else xml
    except HostUnreachable:
        raise
    except HypervisorError:
        _delete(connection, fresh)
        raise
    NewDisk.objects.filter(pk__in=[row.pk for row in wanted]).delete()


def _delete(connection: Connection, names: list[VolumeName]) -> None:
    for name in names:
        try:
            connection.storage.delete_volume(name.pool, name.volume)
        except HypervisorError as error:
            log.warning(
                "The volume %s in %s, made for nothing, could not be deleted: %s", name.volume, name.pool, error
            )
