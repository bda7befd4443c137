"""One real guest that is asked for operations, with virsh as the witness of what became of it.

Each state is looked for where people look: in the API, by the list's filter, on both pages, and on an open socket.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from demo.libvirtd import LibvirtFailed, PrivateLibvirtd
from lifecycle import news, operations, running
from lifecycle.models import Operation, Status
from machines import host_watch, quietness
from machines.models import Machine
from tests.cast import ClientOf
from tests.guest import Guest
from tests.lifecycle.allowed import ALLOWED, ASKS, STATE_WORDS, XML
from tests.lifecycle.conftest import MakeVm, ended, eventually, fresh
from tests.lifecycle.walked import GONE, RESULTS, WAITED
from tests.machines.sockets import Socket, Web, sign_in

FILE = "after-update"
LIMIT = 30
LOOK_EVERY = 1.0
"""Seconds between a watcher's looks at all machines here; 5 elsewhere."""

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


class Walk:
    """Asks for operations as an administrator, carries them out, and keeps what was asked in which state."""

    def __init__(self, vm: tuple[Guest, Machine], by: User, client: Client, socket: Socket, settings: Any) -> None:
        self.guest, self.machine = vm
        self.by, self.client, self.socket, self.settings = by, client, socket, settings
        self.walked: set[tuple[str, str]] = set()
        self.cell = ("", "")
        self.seen: set[str] = set()

    @property
    def row(self) -> Machine:
        return Machine.objects.get(pk=self.machine.pk)

    def wait(self, **fields: object) -> None:
        """Wait until the row says so."""
        eventually(lambda: Machine.objects.filter(pk=self.machine.pk, **fields).exists(), LIMIT)

    def idle(self) -> None:
        """Wait until it is called idle, which `IDLE_AFTER` is set to be at the first quiet look."""
        self.settings.IDLE_AFTER = 0
        self.wait(state="idle")

    def not_idle(self) -> None:
        """Let nothing be called idle any more."""
        self.settings.IDLE_AFTER = 300

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
        self.cell = (row.state, name)
        self.walked.add(self.cell)
        RESULTS.setdefault(self.cell, WAITED)
        running.run(operation.pk)
        return operation

    def do(self, name: str, virsh: str = "", *, until: str = "", **more: object) -> None:
        """Ask, wait for its success, and hold virsh's word against it (state, or state and reason)."""
        row = ended(self.ask(name, **more), 60)
        assert row.status == Status.SUCCEEDED, (row.kind, row.message, row.error_text)
        RESULTS[self.cell] = self.witnessed()
        if virsh:
            state, _, reason = virsh.partition("/")
            assert (self.guest.state, self.guest.reason if reason else "") == (state, reason), name
        if until:
            self.see(until)

    def witnessed(self) -> str:
        """Return virsh's word for its state."""
        with suppress(LibvirtFailed):
            return self.guest.state
        return GONE

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


def expire(shutdown: Operation) -> None:
    """Wait for its deadline and have beat's look find it past."""
    eventually(lambda: news.expire_waiting() or fresh(shutdown).status == Status.FAILED, LIMIT)
    assert fresh(shutdown).error_code == "timeout"


@contextmanager
def walking(
    make_vm: MakeVm,
    admin: User,
    client_of: ClientOf,
    libvirtd: PrivateLibvirtd,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    directory: Path,
) -> Iterator[Walk]:
    """Make a guest that is off, with a web process and an open socket to look through; have watchers look often."""
    settings.SAVED_FILES_DIR = str(libvirtd.directory / "saved")
    settings.SHUTDOWN_LIMIT = 1
    monkeypatch.setattr(host_watch, "PASS_EVERY", LOOK_EVERY)
    monkeypatch.setattr(quietness, "SHORTEST", LOOK_EVERY)
    with Web(directory) as web, Socket(web, sign_in(admin)) as socket:
        yield Walk(make_vm(start=False), admin, client_of(admin), socket, settings)
