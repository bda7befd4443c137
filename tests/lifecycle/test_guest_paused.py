"""A real guest that QEMU pauses by itself, since the storage of its disk is full; with room again it goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from django.contrib.auth.models import User
from lxml import etree
from lxml.builder import E

from demo.libvirtd import PrivateLibvirtd
from lifecycle import operations, running
from lifecycle.models import Operation, Status
from machines.models import Machine
from tests.cast import ClientOf
from tests.guest import Guest
from tests.lifecycle.conftest import MakeVm, ended, eventually

pytestmark = [
    pytest.mark.guest,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system"),
]

SENTENCE = "A disk of it could not be written or read, perhaps because its host&#x27;s is full."
MEGABYTES = 6
"""What the guest writes: more than fits at first."""


@dataclass
class SmallStorage:
    """A file system of 2 MiB that only this libvirt and its guests see, and that can be made larger."""

    libvirtd: PrivateLibvirtd
    place: Path

    def run(self, *command: str) -> str:
        """Run a command where the guests run."""
        inside = ["nsenter", "--target", str(self.libvirtd.pid), "--mount"]
        return subprocess.run([*inside, *command], check=True, capture_output=True, text=True).stdout

    def mount(self) -> None:
        self.run("mkdir", "-p", str(self.place))
        self.run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(self.place))

    def make_room(self) -> None:
        self.run("mount", "-o", "remount,size=64m", str(self.place))

    def disk(self) -> str:
        """Make a disk of which only what is written takes room, and return its device for a definition."""
        image = str(self.place / "disk.qcow2")
        self.run("qemu-img", "create", "-q", "-f", "qcow2", image, "32M")
        driver = E.driver(name="qemu", type="qcow2", error_policy="stop")
        disk = E.disk(driver, E.source(file=image), E.target(dev="vda", bus="virtio"), type="file", device="disk")
        return etree.tostring(disk, encoding="unicode")


@pytest.fixture
def storage(libvirtd: PrivateLibvirtd) -> Iterator[SmallStorage]:
    storage = SmallStorage(libvirtd, Path("/var/lib/libvirt/kvmportal-small"))
    storage.mount()
    yield storage
    storage.run("umount", "--lazy", str(storage.place))  # the guest still has its disk there


def attach(guest: Guest, disk: str) -> None:
    with NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(disk)
        file.flush()
        guest.virsh("attach-device", file.name, "--config")


def test_a_guest_whose_disk_is_full_is_paused_with_the_reason_and_goes_on_when_there_is_room(
    storage: SmallStorage, make_vm: MakeVm, owner: User, client_of: ClientOf
) -> None:
    guest, machine = make_vm(start=False)
    attach(guest, storage.disk())
    client = client_of(owner)

    def do(kind: str) -> Operation:
        operation = operations.request(Machine.objects.get(pk=machine.pk), kind, by=owner, parameters={})
        running.run(operation.pk)
        return ended(operation)

    def wait_for(state: str, reason: str) -> None:
        eventually(lambda: Machine.objects.filter(pk=machine.pk, state=state, state_reason=reason).exists(), 30)

    assert do("start").status == Status.SUCCEEDED
    guest.wait_for_agent()
    wait_for("running", "booted")
    write = f"dd if=/dev/urandom of=/tmp/data bs=1M count={MEGABYTES} && dd if=/tmp/data of=/dev/vda bs=1M conv=fsync"
    guest.agent("guest-exec", path="/bin/sh", arg=["-c", f"{write} && touch /tmp/written"])

    wait_for("paused", "I/O error")
    assert (guest.state, guest.reason) == ("paused", "I/O error")
    shown = client.get(f"/api/v1/machines/{machine.pk}").json()
    assert (shown["state"], shown["state_reason"]) == ("paused", "I/O error")
    assert {"resume", "destroy"} <= set(shown["allowed_operations"])
    assert SENTENCE in client.get(f"/machines/{machine.pk}/").content.decode()
    assert [one["name"] for one in client.get("/api/v1/machines?state=paused").json()["items"]] == [guest.name]

    do("resume")  # it tries to write again, and there still is no room
    eventually(lambda: guest.reason == "I/O error")
    wait_for("paused", "I/O error")

    storage.make_room()
    assert do("resume").status == Status.SUCCEEDED
    wait_for("running", "unpaused")
    assert guest.state == "running"
    eventually(lambda: "/tmp/written" in guest.run("ls /tmp/written"), 30)
    assert guest.run(f"dd if=/dev/vda bs=1M count={MEGABYTES} 2>/dev/null | cmp - /tmp/data && echo same") == "same"
    assert SENTENCE not in client.get(f"/machines/{machine.pk}/").content.decode()
