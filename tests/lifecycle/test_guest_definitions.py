"""Definitions, disks, sleep and keys on a real libvirt, with virsh as the witness."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from demo.libvirtd import LibvirtFailed, PrivateLibvirtd
from lifecycle import operations, running
from lifecycle.models import Operation, Status
from machines import reread
from machines.models import Machine
from tests.guest import Guest
from tests.lifecycle.conftest import Ask, MakeVm, ended, eventually, fresh

pytestmark = [pytest.mark.guest, pytest.mark.django_db(transaction=True)]


def succeeds(operation: Operation) -> str:
    """Carry it out here, and return what its row says."""
    running.run(operation.pk)
    row = ended(operation)
    assert row.status == Status.SUCCEEDED, (row.kind, row.message, row.error_text)
    return row.message


def shows(machine: Machine, state: str) -> None:
    eventually(lambda: Machine.objects.get(pk=machine.pk).state == state, 30)


def said_of(guest: Guest, about: str) -> str:
    """Return a line of `virsh dominfo`."""
    lines = dict(line.split(":", 1) for line in guest.virsh("dominfo").splitlines() if ":" in line)
    return lines[about].strip()


def is_known(guest: Guest) -> bool:
    with suppress(LibvirtFailed):
        return bool(guest.virsh("domuuid"))
    return False


def test_guest_sleeps_wakes_types_and_changes_between_persistent_and_transient(
    make_vm: MakeVm, ask: Ask, admin: User
) -> None:
    guest, machine = make_vm()

    def order(kind: str, **parameters: object) -> str:
        return succeeds(operations.request(machine, kind, by=admin, parameters=parameters))

    for on, word in ((True, "enable"), (False, "disable")):
        succeeds(ask(machine, "autostart", on=on))
        assert said_of(guest, "Autostart") == word

    keys = "KEY_M KEY_K KEY_D KEY_I KEY_R KEY_SPACE KEY_SLASH KEY_X KEY_ENTER"  # typed on the shell of tty1
    order("send-keys", keys=keys.split())
    eventually(lambda: guest.run("test -d /x && echo there") == "there", 30)
    before = guest.run("grep NMI: /proc/interrupts")
    order("inject-nmi")
    eventually(lambda: guest.run("grep NMI: /proc/interrupts") != before, 30)
    assert guest.state == "running"

    eventually(lambda: Machine.objects.get(pk=machine.pk).agent_connected, 30)
    deeply = ask(machine, "pmsuspend", mode="disk")
    running.run(deeply.pk)
    assert (fresh(deeply).status, fresh(deeply).error_code) == (Status.FAILED, "not_supported")
    assert guest.state == "running"
    succeeds(ask(machine, "pmsuspend"))
    assert guest.state == "pmsuspended"
    shows(machine, "pmsuspended")
    succeeds(ask(machine, "wakeup"))
    assert guest.state == "running"
    shows(machine, "running")
    guest.wait_for_agent()

    assert "goes on until it is off" in succeeds(ask(machine, "undefine"))
    assert (guest.state, said_of(guest, "Persistent")) == ("running", "no")
    eventually(lambda: not Machine.objects.get(pk=machine.pk).persistent, 30)
    succeeds(ask(machine, "destroy"))
    assert not is_known(guest)
    shows(machine, "undefined")

    succeeds(ask(machine, "create"))
    assert (guest.state, said_of(guest, "Persistent")) == ("running", "no")
    shows(machine, "running")
    guest.wait_for_agent()
    shutdown = ask(machine, "shutdown", mode="acpi")
    running.run(shutdown.pk)
    assert ended(shutdown).status == Status.SUCCEEDED
    assert not is_known(guest)
    shows(machine, "undefined")

    succeeds(ask(machine, "define"))
    assert (guest.state, said_of(guest, "Persistent")) == ("shut off", "yes")
    shows(machine, "shutoff")
    succeeds(ask(machine, "start"))
    assert guest.state == "running"


def test_only_ticked_disks_go_and_one_that_cannot_be_deleted_is_named(
    make_vm: MakeVm, ask: Ask, libvirtd: PrivateLibvirtd, tmp_path: Path
) -> None:
    pool, loose = tmp_path / "pool", tmp_path / "loose.img"
    pool.mkdir()
    loose.write_bytes(bytes(512))
    libvirtd.virsh("pool-create-as", "disks-of-tests", "dir", "--target", str(pool))
    try:
        guest, machine = make_vm(start=False)
        for target, name in (("vda", "kept.img"), ("vdb", "ticked.img"), ("vdc", "../loose.img")):
            if not name.startswith("."):
                libvirtd.virsh("vol-create-as", "disks-of-tests", name, "1M")
            path = str((pool / name).resolve())
            guest.virsh("attach-disk", path, target, "--config", "--driver", "qemu", "--subdriver", "raw")
        reread.ask(machine)  # libvirt sends no event for a disk that is attached to what is off
        eventually(lambda: "vdc" in Machine.objects.get(pk=machine.pk).definition_xml, 30)
        undefine = ask(machine, "undefine", disks=["vdb", "vdc"])
        running.run(undefine.pk)
        row = fresh(undefine)
        assert (row.status, row.error_code) == (Status.FAILED, "disk_remains")
        assert "Deleted: vdb." in row.message
        assert "Still there: vdc." in row.message
        assert str(loose) in row.error_text
        assert not is_known(guest)
        assert sorted(path.name for path in pool.iterdir()) == ["kept.img"]
        assert loose.exists()

        shows(machine, "undefined")
        succeeds(ask(machine, "define"))
        shows(machine, "shutoff")
        exchanged = ask(machine, "undefine", disks=["vda"])
        assert exchanged.parameters["disks"] == [str(pool / "kept.img")]
        libvirtd.virsh("vol-create-as", "disks-of-tests", "other.img", "1M")
        guest.virsh("detach-disk", "vda", "--config")
        guest.virsh("attach-disk", str(pool / "other.img"), "vda", "--config")
        running.run(exchanged.pk)
        row = fresh(exchanged)
        assert (row.status, row.error_code) == (Status.FAILED, "domain_in_wrong_state")
        assert f"{pool / 'kept.img'} cannot be deleted: The machine does not have it any more." in row.message
        assert is_known(guest)
        assert sorted(path.name for path in pool.iterdir()) == ["kept.img", "other.img"]
        reread.ask(machine)
        eventually(lambda: "other.img" in Machine.objects.get(pk=machine.pk).definition_xml, 30)
        assert "Deleted with it: vda." in succeeds(ask(machine, "undefine", disks=["vda"]))
        assert [path.name for path in pool.iterdir()] == ["kept.img"]
    finally:
        libvirtd.virsh("pool-destroy", "disks-of-tests")
