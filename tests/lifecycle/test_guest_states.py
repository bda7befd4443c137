"""One real guest walked through the ten states and every operation, with virsh as the witness."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from demo.libvirtd import PrivateLibvirtd
from lifecycle.models import Status
from machines.models import Machine
from tests.cast import ClientOf
from tests.lifecycle.allowed import ALLOWED, ASKS, STATE_WORDS
from tests.lifecycle.conftest import MakeVm, eventually, fresh
from tests.lifecycle.walk import FILE, LIMIT, Walk, expire, walking

pytestmark = [pytest.mark.guest, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def walk(
    make_vm: MakeVm,
    admin: User,
    client_of: ClientOf,
    libvirtd: PrivateLibvirtd,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Walk]:
    with walking(make_vm, admin, client_of, libvirtd, settings, monkeypatch, tmp_path) as walk:
        yield walk


def test_one_guest_is_walked_through_every_state_and_operation(walk: Walk) -> None:
    walk.see("shutoff")
    walk.harmless()
    walk.do("start", "running/booted", until="running")
    walk.do("suspend", "paused/user", until="paused")  # while it boots: nothing here asks its guest
    walk.harmless()
    walk.do("reset", "paused")
    walk.do("resume", "running/unpaused", until="running")
    walk.up()
    walk.harmless()

    sleep_and_wake(walk)
    save_and_restore(walk)
    ignore_the_power_button(walk)
    walk.up()

    walk.idle()
    walk.see("idle")
    walk.harmless()
    walk.not_idle()
    walk.do("shutdown", "shut off/shutdown", until="shutoff", mode="agent")

    crash(walk)
    force_off(walk)
    forget_and_know_again(walk)

    assert walk.seen == set(STATE_WORDS)
    assert {name for _, name in walk.walked} == set(ASKS)
    allowed = {(state, name) for state, names in ALLOWED.items() for name in names}
    left_out = {(state, name) for names in NOT_WALKED.values() for state in names for name in names[state]}
    assert allowed - walk.walked == left_out


def sleep_and_wake(walk: Walk) -> None:
    """Memory only: the guest has no disk to sleep on."""
    walk.do("pmsuspend", "pmsuspended", until="pmsuspended", mode="mem")
    walk.harmless()
    walk.do("wakeup", "running", until="running")
    walk.up()


def save_and_restore(walk: Walk) -> None:
    """By a file and by the managed image, out of running and paused; one note in the guest tells what was kept."""
    guest = walk.guest
    guest.run("echo kept > /tmp/note")
    walk.do("save to a file", "shut off/saved", until="saved", file=FILE)
    assert walk.said("Managed save") == "no"
    walk.do("restore a file", "running/restored", until="running", file=FILE)
    walk.up()
    assert guest.run("cat /tmp/note") == "kept"
    walk.do("delete-file", file=FILE)
    walk.do("save", "shut off/saved", until="saved")
    assert walk.said("Managed save") == "yes"
    walk.harmless()
    walk.do("restore", "running/restored", until="running")
    walk.up()
    walk.do("suspend", "paused/user")
    walk.do("save", "shut off/saved", until="saved")
    walk.do("start", "paused")  # as it was when it was saved
    walk.do("resume", "running")
    walk.up()
    assert guest.run("cat /tmp/note") == "kept"
    walk.do("save", "shut off/saved")
    walk.do("fresh-boot", "running/booted", until="running")
    walk.up()
    assert "No such file" in guest.run("cat /tmp/note")


def ignore_the_power_button(walk: Walk) -> None:
    """A guest that does not listen: on its way down, then dying."""
    guest = walk.guest
    walk.do("reboot", "running", mode="agent")
    walk.up()
    for end in ("keep-running", "reset"):
        guest.run("killall acpid")
        shutdown = walk.ask("shutdown", mode="acpi")
        walk.see("shutdown")
        walk.wait(shutdown_asked_at__isnull=False)
        eventually(lambda row=shutdown: fresh(row).waiting, LIMIT)
        expire(shutdown)
        walk.see("dying")
        assert guest.state == "running"
        if end == "reset":
            walk.harmless()
            again = walk.ask("shutdown", mode="acpi")
            expire(again)
            walk.see("dying")
        walk.do(end, "running", until="running")
        if end == "keep-running":
            guest.run("acpid")
    walk.up()


def crash(walk: Walk) -> None:
    """QEMU killed, and a panic whose QEMU process is kept."""
    guest = walk.guest
    walk.do("start", "running/booted")
    os.kill(guest.qemu_pid, signal.SIGKILL)
    walk.see("crashed", state_reason="crashed")
    walk.harmless()
    walk.do("start", "running/booted", until="running")
    walk.up()
    guest.agent("guest-exec", path="/bin/sh", arg=["-c", "sleep 1; echo c > /proc/sysrq-trigger"])
    walk.see("crashed", state_reason="panicked")
    walk.do("destroy", "shut off/destroyed", until="shutoff")


def force_off(walk: Walk) -> None:
    """Out of running, paused, and on its way down with its shutdown waited for; a crashed one's process ends too."""
    walk.do("start", "running/booted")
    walk.do("reset", "running")
    walk.do("suspend", "paused/user")
    walk.do("destroy", "shut off/destroyed", until="shutoff")
    walk.do("start", "running/booted")
    walk.do("save", "shut off/saved", until="saved")
    walk.do("discard-image", "shut off", until="shutoff")
    assert walk.said("Managed save") == "no"
    walk.do("start", "running/booted")
    shutdown = walk.ask("shutdown", mode="acpi")  # which nobody hears who is still booting
    walk.see("shutdown")
    walk.do("destroy", "shut off/destroyed", until="shutoff")
    assert fresh(shutdown).status == Status.CANCELLED
    walk.do("start", "running/booted")
    os.kill(walk.guest.qemu_pid, signal.SIGKILL)
    walk.see("crashed")
    walk.do("destroy", "shut off/crashed", until="crashed")  # it has ended already, and why stays
    walk.do("undefine", until="undefined")
    walk.do("define", "shut off", until="shutoff")


def forget_and_know_again(walk: Walk) -> None:
    """Undefined, created for one run, defined: always the same row."""
    guest = walk.guest
    walk.do("start", "running/booted")
    walk.do("suspend", "paused/user")
    walk.do("save to a file", "shut off/saved", until="saved", file=FILE)
    walk.do("undefine", until="undefined")
    walk.do("restore a file", file=FILE, confirm=walk.machine.name)
    walk.wait(persistent=False)
    walk.do("destroy", until="undefined")
    walk.do("delete-file", file=FILE)
    walk.do("define", "shut off", until="shutoff")
    for known_again in ("create", "create from XML", "define from XML", "define"):
        walk.do("undefine", until="undefined")
        assert walk.guest.name not in guest.libvirtd.virsh("list", "--all", "--name").split()
        walk.do(known_again)
        if known_again.startswith("create"):
            walk.see("running", persistent=False)
            assert walk.said("Persistent") == "no"
            walk.do("destroy", until="undefined")
            walk.do("define", "shut off")
        walk.see("shutoff", persistent=True)
    assert Machine.objects.count() == 1


IN_THE_WAY = "the shutdown that makes the state is itself in the way of all but force off"
AS_RUNNING = "what runs idly is a running guest to libvirt, where all of this was done"
ANY_STATE = "a row and a file beside the machine, done where it runs and where it is undefined"
LIKE_THE_OTHERS = "one libvirt call that does not look at the state, done in the other states"
OFF_IS_OFF = "off like an undefined one, where it was done"
NOT_WALKED: dict[str, dict[str, set[str]]] = {
    IN_THE_WAY: {"shutdown": ALLOWED["shutdown"] - {"destroy", "delete-file"}},
    AS_RUNNING: {"idle": {"destroy", "pmsuspend", "reboot", "reset", "save", "save to a file", "suspend"}},
    ANY_STATE: {state: {"delete-file"} for state in STATE_WORDS if state not in {"running", "undefined"}},
    LIKE_THE_OTHERS: {"dying": {"destroy"}, "pmsuspended": {"destroy", "reset"}},
    OFF_IS_OFF: {"shutoff": {"restore a file"}, "crashed": {"restore a file"}},
}
"""Cells that this walk leaves out, by the reason; `test_guest_every_cell` asks for each of them."""
