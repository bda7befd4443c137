"""A machine that was asked for, made on a real libvirt: it boots from the template's image."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from demo.guest_xml import DomainType
from demo.libvirtd import LibvirtFailed, PrivateLibvirtd
from lifecycle import operations, running
from lifecycle.models import NewDisk, Operation, Status
from machines.models import Host, Machine
from making import requests
from making.models import MachineRequest, MachineTemplate
from tests.lifecycle.conftest import Watch, ended, eventually, watch  # noqa: F401  # the last is a fixture

pytestmark = [pytest.mark.guest, pytest.mark.django_db(transaction=True)]

POOL = "disks-of-made-machines"


@pytest.fixture
def pool(libvirtd: PrivateLibvirtd, tmp_path: Path, guest_disk: Path) -> Iterator[Path]:
    """The directory of a storage pool that holds a bootable image."""
    place = tmp_path / "pool"
    place.mkdir()
    shutil.copyfile(guest_disk, place / "image.raw")
    libvirtd.virsh("pool-create-as", POOL, "dir", "--target", str(place))
    yield place
    libvirtd.virsh("pool-destroy", POOL)


@pytest.fixture
def name(libvirtd: PrivateLibvirtd) -> Iterator[str]:
    """A machine's name that no domain has afterwards."""
    name = f"made-{uuid4().hex[:8]}"
    yield name
    for command in ("destroy", "undefine"):
        with suppress(LibvirtFailed):
            libvirtd.virsh(command, name)


@pytest.fixture
def template(
    libvirtd: PrivateLibvirtd,
    pool: Path,
    watch: Watch,  # noqa: F811
    guest_type: DomainType,
) -> MachineTemplate:
    """A template on the private libvirt, which a watcher follows."""
    host = watch(libvirtd.uri)
    eventually(lambda: Host.objects.get(pk=host.pk).reachable)
    return MachineTemplate.objects.create(
        name="Boots",
        host=host,
        pool=POOL,
        image="image.raw",
        vcpus=1,
        memory_mib=128,
        disk_gib=1,
        domain_type=guest_type,
    )


def granted(by: User, template: MachineTemplate, name: str, asker: User) -> tuple[MachineRequest, Operation]:
    """Ask, grant and carry it out."""
    row = requests.grant(requests.ask(asker, {"name": name, "template": template.name}), by, {})
    operation = Operation.objects.get(machine=row.machine)
    running.run(operation.pk)
    return row, ended(operation)


def disk_of(libvirtd: PrivateLibvirtd, name: str) -> dict[str, Any]:
    [line] = [line for line in libvirtd.virsh("domblklist", name).splitlines() if line.strip().startswith("vda")]
    command = ["qemu-img", "info", "--force-share", "--output=json", line.split(maxsplit=1)[1].strip()]
    said: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return said


def test_it_is_made_with_its_disk_and_boots_from_the_image(
    libvirtd: PrivateLibvirtd, pool: Path, template: MachineTemplate, name: str, owner: User, admin: User
) -> None:
    row, made = granted(admin, template, name, owner)
    assert made.status == Status.SUCCEEDED, (made.message, made.error_text)
    machine = Machine.objects.get(pk=row.machine_id)
    assert machine.owner == owner
    eventually(lambda: Machine.objects.get(pk=machine.pk).state == "shutoff")
    disk = disk_of(libvirtd, name)
    assert disk["virtual-size"] == 2**30
    assert disk["backing-filename"] == str(pool / "image.raw")
    assert not NewDisk.objects.exists()

    start = operations.request(machine, "start", by=owner, parameters={})
    running.run(start.pk)
    assert ended(start).status == Status.SUCCEEDED, ended(start).error_text
    eventually(lambda: Machine.objects.get(pk=machine.pk).agent_connected, 60)
    assert libvirtd.virsh("qemu-agent-command", name, '{"execute": "guest-ping"}').strip() == '{"return":{}}'


def test_what_cannot_be_made_leaves_no_file_and_can_be_defined_later(
    libvirtd: PrivateLibvirtd, pool: Path, template: MachineTemplate, name: str, owner: User, admin: User
) -> None:
    before = sorted(path.name for path in pool.iterdir())
    template.machine_type = "no-such"  # libvirt refuses it, after the disk was made
    template.save()
    row, made = granted(admin, template, name, owner)
    assert (made.status, made.error_code) == (Status.FAILED, "bad_definition")
    assert made.error_text
    assert sorted(path.name for path in pool.iterdir()) == before
    machine = Machine.objects.get(pk=row.machine_id)
    assert (machine.state, machine.owner) == ("undefined", owner)

    machine.definition_xml = machine.definition_xml.replace("no-such", "q35")
    machine.save(update_fields=["definition_xml"])
    again = operations.request(machine, "define", by=owner, parameters={})
    running.run(again.pk)
    assert ended(again).status == Status.SUCCEEDED, ended(again).error_text
    assert disk_of(libvirtd, name)["backing-filename"] == str(pool / "image.raw")


def test_an_image_that_is_gone_is_said(
    libvirtd: PrivateLibvirtd, pool: Path, template: MachineTemplate, name: str, owner: User, admin: User
) -> None:
    (pool / "image.raw").unlink()
    _row, made = granted(admin, template, name, owner)
    assert (made.status, made.error_code) == (Status.FAILED, "volume_not_found")
    assert "image" in made.message
    assert list(pool.iterdir()) == []
    with pytest.raises(LibvirtFailed):
        libvirtd.virsh("domuuid", name)


def test_a_disk_that_a_killed_worker_made_is_taken_as_it_is(
    libvirtd: PrivateLibvirtd, pool: Path, template: MachineTemplate, name: str, owner: User, admin: User
) -> None:
    row = requests.grant(requests.ask(owner, {"name": name, "template": template.name}), admin, {})
    disk = NewDisk.objects.get()
    libvirtd.virsh("vol-create-as", POOL, disk.volume, "1M", "--format", "qcow2")
    operation = Operation.objects.get(machine=row.machine)
    running.run(operation.pk)
    assert ended(operation).status == Status.SUCCEEDED, ended(operation).error_text
    assert disk_of(libvirtd, name)["virtual-size"] == 2**20
    assert {path.name for path in pool.iterdir()} == {"image.raw", disk.volume}
