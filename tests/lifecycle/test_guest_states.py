"""One real guest walked through the ten states and every operation, with virsh as the witness.

Each state is looked for where people look: in the API, by the list's filter, on both pages, and on an open socket.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from demo.libvirtd import PrivateLibvirtd
from lifecycle import news, operations, running
from lifecycle.models import Operation, Status
from machines.models import Machine
from tests.cast import ClientOf
from tests.guest import Guest
from tests.lifecycle.allowed import ALLOWED, ASKS, STATE_WORDS, XML
from tests.lifecycle.conftest import MakeVm, ended, eventually, fresh
from tests.machines.sockets import Socket, Web, sign_in

pytestmark = [pytest.mark.guest, pytest.mark.django_db(transaction=True)]

FILE = "after-update"
LIMIT = 30

MEANS = {
    "undefined": "does not know it any more",
    "shutoff": "start it to use it",
    "running": "open its console",
    "idle": "next to nothing",
    "shutdown": "on its way",
    "paused": "resume it to go on",
    "saved": "restore it to go on",
    "crashed": "without shutting down",
    "dying": "let it keep running",
    "pmsuspended": "wake it up",
}
"""A part of the sentence that says what each state means."""


@pytest.fixture
def web(transactional_db: None, redis_server: object, tmp_path: Path) -> Iterator[Web]:
    """A web process, for an open page's socket."""
    with Web(tmp_path) as web:
        yield web


class Walk:
    """Asks for operations as an administrator, carries them out, and keeps what was asked in which state."""

    def __init__(self, guest: Guest, machine: Machine, by: User, client: Client, socket: Socket) -> None:
        self.guest, self.machine, self.by, self.client, self.socket = guest, machine, by, client, socket
        self.walked: set[tuple[str, str]] = set()
        self.seen: set[str] = set()

    @property
    def row(self) -> Machine:
        return Machine.objects.get(pk=self.machine.pk)

    def wait(self, **fields: object) -> None:
        """Wait until the row says so."""
        eventually(lambda: Machine.objects.filter(pk=self.machine.pk, **fields).exists(), LIMIT)

    def see(self, state: str, **fields: object) -> None:
        """Wait for a state and look for it everywhere."""
        self.wait(state=state, **fields)
        self.seen.add(state)
        shown = self.client.get(f"/api/v1/machines/{self.machine.pk}").json()
        assert (shown["state"], MEANS[state] in shown["state_meaning"]) == (state, True)
        names = {one["name"] for one in self.client.get("/api/v1/machines", {"state": state}).json()["items"]}
        others = [other for other in STATE_WORDS if other not in {state, "running"}]
        not_these = {one["name"] for one in self.client.get("/api/v1/machines", {"state": others}).json()["items"]}
        assert (names, not_these) == ({self.machine.name}, set())
        for path in (f"/machines/{self.machine.pk}/", f"/?state={state}"):
            page = self.client.get(path).content.decode()
            assert f'data-state="{state}"' in page and f">{STATE_WORDS[state]}</span>" in page, path
            assert path.startswith("/?") or MEANS[state] in page  # a list's hints are written in the browser
        self._see_on_socket(state)

    def _see_on_socket(self, state: str) -> None:
        """Take what was pushed until this state came; ask again where it was there before."""
        told = self.socket.watch(self.machine)
        pushed = [one["machine"] for one in told if one["type"] == "machine"]
        assert (pushed[-1]["state"], MEANS[state] in pushed[-1]["state_meaning"]) == (state, True)

    def ask(self, name: str, **more: object) -> Operation:
        """Ask in the present state, and work on it here."""
        row = self.row
        asked = ASKS[name]
        given = {key: self.definition if value == XML else value for key, value in asked.parameters.items()} | more
        operation = operations.request(row, asked.kind, by=self.by, parameters=given)
        assert name in ALLOWED[row.state]
        self.walked.add((row.state, name))
        running.run(operation.pk)
        return operation

    def do(self, name: str, virsh: str = "", *, until: str = "", **more: object) -> None:
        """Ask, wait for its success, and hold virsh's word against it (state, or state and reason)."""
        row = ended(self.ask(name, **more), 60)
        assert row.status == Status.SUCCEEDED, (row.kind, row.message, row.error_text)
        if virsh:
            state, _, reason = virsh.partition("/")
            assert (self.guest.state, self.guest.reason if reason else "") == (state, reason), name
        if until:
            self.see(until)

    def up(self) -> None:
        """Wait until the guest is up and the portal knows that its agent is."""
        self.guest.wait_for_agent()
        self.wait(agent_connected=True, state="running")

    def said(self, about: str) -> str:
        """Return what `virsh dominfo` says."""
        lines = dict(line.split(":", 1) for line in self.guest.virsh("dominfo").splitlines() if ":" in line)
        return lines[about].strip()

    @property
    def definition(self) -> str:
        return self.row.definition_xml

    def harmless(self) -> None:
        """Ask for what leaves the state as it is, wherever that is allowed."""
        state = self.row.state
        for on in (True, False):
            self.do("autostart", on=on)
            assert self.said("Autostart") == ("enable" if on else "disable")
        if "undefine" in ALLOWED[state] and state not in {"shutoff", "saved", "crashed"}:
            self.do("undefine")
            assert self.said("Persistent") == "no"
            self.wait(persistent=False)
        self.do("define from XML")
        assert self.said("Persistent") == "yes"
        self.wait(persistent=True)
        for name in ("send-keys", "inject-nmi"):
            if name in ALLOWED[state]:
                self.do(name)
        assert self.row.state == state


@pytest.fixture
def walk(
    make_vm: MakeVm, admin: User, client_of: ClientOf, web: Web, libvirtd: PrivateLibvirtd, settings
) -> Iterator[Walk]:
    settings.SAVED_FILES_DIR = str(libvirtd.directory / "saved")
    settings.SHUTDOWN_LIMIT = 3
    guest, machine = make_vm(start=False)
    with Socket(web, sign_in(admin)) as socket:
        yield Walk(guest, machine, admin, client_of(admin), socket)


def test_one_guest_is_walked_through_every_state_and_operation(walk: Walk, settings) -> None:
    walk.see("shutoff")
    walk.harmless()
    walk.do("start", "running/booted", until="running")
    walk.up()
    walk.harmless()

    walk.do("suspend", "paused/user", until="paused")
    walk.harmless()
    walk.do("reset", "paused")
    walk.do("resume", "running/unpaused", until="running")
    walk.up()

    sleep_and_wake(walk)
    save_and_restore(walk)
    ignore_the_power_button(walk)
    walk.up()

    settings.IDLE_AFTER = 1
    walk.see("idle")
    walk.harmless()
    settings.IDLE_AFTER = 300
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
    walk.do("save", "shut off/saved")
    walk.do("discard-image", "shut off", until="shutoff")
    assert walk.said("Managed save") == "no"
    walk.do("start", "running/booted")
    walk.up()


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


def expire(shutdown: Operation) -> None:
    """Wait for its deadline and have beat's look find it past."""
    eventually(lambda: news.expire_waiting() or fresh(shutdown).status == Status.FAILED, LIMIT)
    assert fresh(shutdown).error_code == "timeout"


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
"""Cells that the walk leaves out, by the reason."""
