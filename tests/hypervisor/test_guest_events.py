"""What other tools do to real guests is told as it happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.connection import Connection
from hypervisor.events import EventKind
from tests.guest import Guest
from tests.hypervisor.conftest import Heard

pytestmark = pytest.mark.guest


def test_what_virsh_does_is_told(make_guest: Callable[..., Guest], host: Connection) -> None:
    heard = Heard(host)
    guest = make_guest(start=False)
    heard.wait_for(guest.uuid, EventKind.DEFINITION)
    guest.virsh("start")
    heard.wait_for(guest.uuid, EventKind.CHANGED)
    heard.wait_for(guest.uuid, EventKind.AGENT, limit=60)
    for command, *arguments in (["suspend"], ["resume"], ["managedsave"], ["start"]):
        heard.drain()
        guest.virsh(command, *arguments)
        heard.wait_for(guest.uuid, EventKind.CHANGED)
    heard.drain()
    guest.virsh("reset")
    heard.wait_for(guest.uuid, EventKind.REBOOTED)
    guest.virsh("desc", "--live", "--title", "--new-desc", "A new title")
    heard.wait_for(guest.uuid, EventKind.DEFINITION)
    guest.virsh("destroy")
    heard.wait_for(guest.uuid, EventKind.CHANGED)
    heard.drain()
    guest.virsh("undefine")
    heard.wait_for(guest.uuid, EventKind.DEFINITION)


def test_a_new_definition_is_told_and_read(make_guest: Callable[..., Guest], host: Connection, tmp_path: Path) -> None:
    guest = make_guest(start=False)
    heard = Heard(host)
    path = tmp_path / "new.xml"
    path.write_text(guest.virsh("dumpxml", "--inactive").replace("<vcpu placement='static'>1<", "<vcpu>3<"))
    guest.libvirtd.virsh("define", str(path))
    heard.wait_for(guest.uuid, EventKind.DEFINITION)
    reading = host.read(guest.uuid)
    assert reading
    assert reading.definition
    assert reading.definition.vcpus == 3


def test_a_device_that_comes_and_goes_is_told(
    make_guest: Callable[..., Guest], host: Connection, tmp_path: Path
) -> None:
    guest = make_guest()
    heard = Heard(host)
    device = tmp_path / "device.xml"
    device.write_text("<watchdog model='i6300esb'/>")
    device.write_text(
        "<channel type='pty'><target type='virtio' name='org.example.test'/></channel>",
    )
    guest.virsh("attach-device", str(device))
    heard.wait_for(guest.uuid, EventKind.DEFINITION)
