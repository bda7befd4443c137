"""One real guest asked for what `test_guest_states` leaves out, so that no allowed cell is taken on trust.

Every cell is asked in its state for real. Idle is asked for with `IDLE_AFTER` at nothing; a shutdown that is on its way
while no operation waits for it is what an unreachable host leaves behind.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User

from demo.libvirtd import PrivateLibvirtd
from lifecycle import news
from lifecycle.models import OPEN, Operation, SavedFile, Status
from machines.models import Host
from tests.cast import ClientOf
from tests.lifecycle.allowed import ALLOWED, STATE_WORDS
from tests.lifecycle.conftest import MakeVm, eventually, fresh
from tests.lifecycle.test_guest_states import NOT_WALKED
from tests.lifecycle.walk import LIMIT, Walk, expire, walking

pytestmark = [pytest.mark.guest, pytest.mark.full, pytest.mark.django_db(transaction=True)]

KEPT = "kept"
"""A saved file that stays, and that the machine has run since."""


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


def test_one_guest_is_asked_in_every_cell_that_the_short_walk_leaves_out(walk: Walk) -> None:
    walk.do("start", "running/booted")
    walk.up()
    save_a_file_for_each_state(walk)
    off_and_on(walk)
    idle(walk)
    asleep(walk)
    on_its_way(walk)
    overdue(walk)
    left_out = {(state, name) for cells in NOT_WALKED.values() for state, names in cells.items() for name in names}
    assert left_out - walk.walked == set()


def save_a_file_for_each_state(walk: Walk) -> None:
    """Save it time and again while it stands still: restored, it stands still as before."""
    walk.do("suspend", "paused/user")
    for name in (KEPT, *(state for state in STATE_WORDS if "delete-file" in ALLOWED[state])):
        walk.do("save to a file", "shut off/saved", file=name)
        walk.do("restore a file", "paused", file=name)
    delete_file(walk, "paused")
    walk.do("save", "shut off/saved", until="saved")
    delete_file(walk, "saved")
    walk.do("restore", "paused", until="paused")
    walk.do("resume", "running", until="running")


def delete_file(walk: Walk, state: str) -> None:
    """Delete the file that was saved for this state, in this state."""
    walk.wait(state=state)
    volume = SavedFile.objects.get(machine=walk.machine.pk, name=state).volume
    assert volume in volumes(walk)
    walk.do("delete-file", file=state)
    assert volume not in volumes(walk)
    assert (walk.row.state, (state, "delete-file") in walk.walked) == (state, True)


def volumes(walk: Walk) -> str:
    """Return what virsh lists of the pool of saved files."""
    pool = django_settings.SAVED_FILES_POOL
    walk.guest.libvirtd.virsh("pool-refresh", pool)
    return walk.guest.libvirtd.virsh("vol-list", pool)


def off_and_on(walk: Walk) -> None:
    """Off and crashed: an older file is gone on from when the machine's name is typed."""
    walk.do("destroy", "shut off/destroyed", until="shutoff")
    delete_file(walk, "shutoff")
    restore_the_kept(walk)
    os.kill(walk.guest.qemu_pid, signal.SIGKILL)
    walk.see("crashed", state_reason="crashed")
    delete_file(walk, "crashed")
    restore_the_kept(walk)


def restore_the_kept(walk: Walk) -> None:
    walk.do("restore a file", "paused", until="paused", file=KEPT, confirm=walk.machine.name)
    walk.do("resume", "running/unpaused", until="running")
    walk.up()


def idle(walk: Walk) -> None:
    """All that stops, saves and restarts a machine, each asked while it idles."""
    in_idle(walk, "suspend", "paused/user")
    walk.do("resume", "running")
    in_idle(walk, "save", "shut off/saved")
    walk.do("restore", "running/restored")
    in_idle(walk, "save to a file", "shut off/saved", file="idly")
    walk.do("restore a file", "running/restored", file="idly")
    walk.up()
    walk.idle()
    delete_file(walk, "idle")
    in_idle(walk, "reboot", "running", mode="agent")
    walk.up()
    in_idle(walk, "reset", "running")
    walk.up()
    in_idle(walk, "pmsuspend", "pmsuspended", mode="mem")


def in_idle(walk: Walk, name: str, virsh: str, **more: object) -> None:
    walk.idle()
    walk.do(name, virsh, **more)
    assert ("idle", name) in walk.walked
    walk.not_idle()


def asleep(walk: Walk) -> None:
    """Out of sleep by a reset, which wakes it first, and by force."""
    delete_file(walk, "pmsuspended")
    walk.do("reset", "running", until="running")
    walk.up()
    walk.do("pmsuspend", "pmsuspended", until="pmsuspended", mode="mem")
    walk.do("destroy", "shut off/destroyed", until="shutoff")
    walk.do("start", "running/booted")
    walk.up()


def on_its_way(walk: Walk) -> None:
    """A shutdown that a host without an answer hid the end of: its operation has ended, the state stays."""
    walk.guest.run("killall acpid")
    shutdown = walk.ask("shutdown", mode="acpi")
    walk.see("shutdown")
    eventually(lambda: fresh(shutdown).waiting, LIMIT)
    walk.guest.libvirtd.end()
    eventually(lambda: Host.objects.filter(reachable=False).exists(), LIMIT)
    eventually(lambda: news.expire_waiting() or fresh(shutdown).status == Status.INTERRUPTED, LIMIT)
    walk.guest.libvirtd.start()
    eventually(lambda: Host.objects.filter(reachable=True).exists(), LIMIT)
    walk.see("shutdown")
    assert not Operation.objects.filter(status__in=OPEN).exists()

    walk.harmless()
    delete_file(walk, "shutdown")
    walk.do("suspend", "paused/user", until="paused")
    walk.do("resume", "running", until="shutdown")
    walk.do("reset", "running", until="running")
    walk.up()


def overdue(walk: Walk) -> None:
    """Dying, and forced off; and forced off while it idles."""
    in_idle(walk, "destroy", "shut off/destroyed")
    walk.do("start", "running/booted")
    walk.up()
    walk.guest.run("killall acpid")
    expire(walk.ask("shutdown", mode="acpi"))
    walk.see("dying")
    delete_file(walk, "dying")
    walk.do("destroy", "shut off/destroyed", until="shutoff")
