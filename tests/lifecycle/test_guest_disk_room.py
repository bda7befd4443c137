"""Room for disks, on a real libvirt: the worker refuses with the figures what only the host can measure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from lxml import etree
from lxml.builder import E

from demo.libvirtd import LibvirtFailed, PrivateLibvirtd
from lifecycle import new_machines, operations, running
from lifecycle.models import Status
from machines.models import Machine
from people.models import Quota
from sharing import asks
from tests.guest import unused_name
from tests.lifecycle.conftest import Watch, ended, eventually
from tests.lifecycle.test_guest_definitions import succeeds

pytestmark = [pytest.mark.guest, pytest.mark.django_db(transaction=True)]

GIB = 2**30


@pytest.fixture
def definition(libvirtd: PrivateLibvirtd, tmp_path: Path) -> Iterator[str]:
    """A machine with a disk of 3 GiB, which its pool has not heard of yet; undefined at the end."""
    name, pool = unused_name(), f"pool-{uuid4().hex[:8]}"
    libvirtd.virsh("pool-create-as", pool, "dir", "--target", str(tmp_path))
    (tmp_path / "disk").touch()
    with (tmp_path / "disk").open("r+b") as file:
        file.truncate(3 * GIB)
    source, target = E.source(file=str(tmp_path / "disk")), E.target(dev="sda", bus="scsi")
    disk = E.disk(E.driver(type="raw"), source, target, type="file")
    domain = E.domain(E.name(name), E.memory("16", unit="MiB"), E.os(E.type("hvm")), E.devices(disk), type="qemu")
    yield etree.tostring(domain, encoding="unicode")
    for command in (("undefine", name), ("pool-destroy", pool)):
        with suppress(LibvirtFailed):
            libvirtd.virsh(*command)


def test_a_disk_too_large_for_the_quota_is_refused_before_it_is_defined_and_room_for_it_can_be_asked(
    watch: Watch, libvirtd: PrivateLibvirtd, definition: str, admin: User, owner: User
) -> None:
    host = watch(libvirtd.uri)
    eventually(lambda: type(host).objects.filter(pk=host.pk, reachable=True).exists())
    Quota.objects.create(user=owner, disk_gib=2)
    asked = new_machines.ask_for(admin, definition, host=host.name, owner=owner.username)
    running.run(asked.pk)
    failed = ended(asked)
    sentence = "The quota of owner does not allow it: Disk would be 3 GiB of 2 GiB."
    assert (failed.status, failed.error_code, failed.message) == (Status.FAILED, "quota_exceeded", sentence)
    assert failed.machine.name not in libvirtd.virsh("list", "--all", "--name").split()
    asks.grant(asks.ask_room(failed.machine, admin), admin, None)
    assert Quota.objects.get().disk_gib == 3
    machine = Machine.objects.get(pk=failed.machine_id)
    assert machine.disk_bytes == 3 * GIB
    succeeds(operations.request(machine, "define", by=admin, parameters={}))
    eventually(lambda: Machine.objects.filter(pk=failed.machine_id, state="shutoff", disk_bytes=3 * GIB).exists())
