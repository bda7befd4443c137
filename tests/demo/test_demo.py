"""`bin/demo` as a person meets it: one demo is started for this file, looked at, stopped, started again, and killed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from demo.host import default_uri
from demo.libvirtd import LibvirtFailed, virsh
from demo.machines import cache_directory
from kvmportal.environment import ROOT

pytestmark = pytest.mark.guest

READY = re.compile(r"kvmportal is ready at (http://127\.0\.0\.1:\d+)")
FIRST_START = 240.0  # seconds: it builds the guest and collects static files
ROLES = {"owner", "viewer", "stranger", "helpdesk", "admin"}
MADE = "asked-for"
BUDGET = 600 * 2**20
"""Bytes of resident memory of all processes, guests aside."""


class RunningDemo:
    """A `bin/demo` that runs."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.lines: list[str] = []
        self._ready = threading.Event()
        self.process = subprocess.Popen(
            [ROOT / "bin" / "demo", "--port", "0", "--state", state],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_ready(self, limit: float = FIRST_START) -> RunningDemo:
        assert self._ready.wait(limit) and self.url, "".join(self.lines)
        return self

    @property
    def url(self) -> str:
        found = READY.search("".join(self.lines))
        return found[1] if found else ""

    @property
    def credentials(self) -> dict:
        return json.loads((self.state / "credentials.json").read_text())

    def script(self, role: str) -> httpx.Client:
        token = self.credentials["users"][role]["token"]
        return httpx.Client(base_url=f"{self.url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=20)

    def machines(self, role: str) -> dict[str, dict]:
        with self.script(role) as script:
            return {machine["name"]: machine for machine in script.get("/machines").json()["items"]}

    def tree(self) -> dict[int, str]:
        """Every process below the demo, and itself, with its command line."""
        found = {self.process.pid}
        parents = {int(path.name): parent_of(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return {pid: words for pid in found if (words := command_of(pid))}

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, wait, and return the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(60)
        self._reader.join(10)
        return status

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line)
            if READY.search(line):
                self._ready.set()
        self.process.stdout.close()
        self._ready.set()


def parent_of(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def resident(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def wait_gone(processes: dict[int, str], limit: float = 15.0) -> dict[int, str]:
    """Return those that still run after this time."""
    until = time.monotonic() + limit
    while (left := {pid: words for pid, words in processes.items() if command_of(pid) == words}) and (
        time.monotonic() < until
    ):
        time.sleep(0.1)
    return left


def pools() -> set[Path]:
    """The definitions of storage pools that libvirt keeps for this user, also while it does not run."""
    system, session = Path("/etc/libvirt/storage"), Path.home() / ".config/libvirt/storage"
    return set((system if default_uri().endswith("system") else session).glob("*.xml"))


def domains() -> set[str]:
    """The names of all domains of this machine; none when no libvirt runs."""
    try:
        return set(virsh(default_uri(), "list", "--all", "--name").split())
    except LibvirtFailed:
        return set()


@pytest.fixture(scope="module")
def before() -> set[str]:
    return domains()


@pytest.fixture(scope="module")
def demo(before: set[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    running = RunningDemo(tmp_path_factory.mktemp("demo"))
    try:
        yield running.wait_ready()
    finally:
        if running.process.poll() is None:
            running.end()


def run_demo(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / "bin" / "demo", *words], capture_output=True, text=True, check=False, timeout=60)


def test_all_processes_of_the_idle_demo_fit_the_budget(demo: RunningDemo) -> None:
    own = {pid: words for pid, words in demo.tree().items() if "qemu-system" not in words}
    table = {words[-70:]: resident(pid) / 2**20 for pid, words in own.items()}
    assert sum(table.values()) * 2**20 < BUDGET, table


def test_says_where_it_is_and_status_agrees(demo: RunningDemo) -> None:
    assert demo.credentials["url"] == demo.url
    answer = run_demo("--status", "--state", demo.state)
    assert answer.returncode == 0
    assert demo.url in answer.stdout


def test_status_of_a_directory_without_demo_is_one(tmp_path: Path) -> None:
    assert run_demo("--status", "--state", tmp_path / "none").returncode == 1


def test_credentials_are_for_their_owner_only_and_name_all_five_roles(demo: RunningDemo) -> None:
    assert stat.S_IMODE((demo.state / "credentials.json").stat().st_mode) == 0o600
    users = demo.credentials["users"]
    assert users.keys() == ROLES
    assert len({login["password"] for login in users.values()} | {login["token"] for login in users.values()}) == 10


def test_each_role_sees_what_it_should(demo: RunningDemo) -> None:
    own = {"demo-vnc", "demo-spice", "demo-off"}
    assert demo.machines("owner").keys() == own
    assert {machine["my_right"] for machine in demo.machines("owner").values()} == {"owner"}
    assert {name: machine["my_right"] for name, machine in demo.machines("viewer").items()} == {"demo-vnc": "viewer"}
    assert demo.machines("stranger") == {}
    assert demo.machines("helpdesk").keys() >= own
    assert demo.machines("admin").keys() >= own


def test_machines_are_as_promised(demo: RunningDemo) -> None:
    machines = demo.machines("owner")
    facts = {
        name: (machine["state"], machine["graphics"], machine["video_model"], machine["agent_connected"])
        for name, machine in machines.items()
    }
    assert facts == {
        "demo-vnc": ("running", ["vnc"], "vga", True),
        "demo-spice": ("running", ["spice"], "qxl", True),
        "demo-off": ("shutoff", ["vnc"], "vga", False),
    }


def test_a_person_can_log_in_with_the_password(demo: RunningDemo) -> None:
    with httpx.Client(base_url=demo.url, follow_redirects=True) as browser:
        form = browser.get("/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form.text)[1]
        password = demo.credentials["users"]["owner"]["password"]
        fields = {"username": "owner", "password": password, "csrfmiddlewaretoken": token, "next": "/"}
        page = browser.post("/login/", data=fields, headers={"Origin": demo.url})
    assert page.status_code == 200
    assert "demo-vnc" in page.text


def test_a_second_demo_on_the_same_state_says_so(demo: RunningDemo) -> None:
    answer = run_demo("--port", "0", "--state", demo.state)
    assert answer.returncode == 1
    assert "already runs" in answer.stderr
    assert demo.url in answer.stderr


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        answer = run_demo("--port", port, "--state", tmp_path / "state")
    assert answer.returncode == 1
    assert port in answer.stderr
    assert "--port" in answer.stderr
    assert "Guests" not in answer.stdout


def test_a_process_that_dies_is_started_again(demo: RunningDemo) -> None:
    victim = next(pid for pid, words in demo.tree().items() if " worker quick" in words)
    os.kill(victim, signal.SIGKILL)
    until = time.monotonic() + 30
    while not any(" worker quick" in words for pid, words in demo.tree().items() if pid != victim):
        assert time.monotonic() < until, "".join(demo.lines)
        time.sleep(0.2)
    assert any("worker-quick ended unexpectedly (SIGKILL)" in line for line in demo.lines)


def test_saved_files_lie_in_its_directory(demo: RunningDemo) -> None:
    uuid = demo.machines("owner")["demo-spice"]["uuid"]
    with demo.script("owner") as script:
        asked = {"operation": "save", "parameters": {"file": "before-lunch"}}
        operation = script.post(f"/machines/{uuid}/operations", json=asked).json()
        until = time.monotonic() + 60
        while operation["status"] in {"queued", "running"} and time.monotonic() < until:
            time.sleep(0.1)
            operation = script.get(f"/operations/{operation['id']}").json()
        assert operation["status"] == "succeeded", operation
    assert [path.name for path in (demo.state / "saved").iterdir()] == [f"{uuid}.before-lunch.save"]
    assert any(str(demo.state) in path.read_text() for path in pools())


def settled(script: httpx.Client, uuid: str, *wanted: str) -> dict:
    """Wait until a machine is in one of these states."""
    until = time.monotonic() + 60
    while (machine := script.get(f"/machines/{uuid}").json())["state"] not in wanted:
        assert time.monotonic() < until, machine
        time.sleep(0.2)
    return machine


def pool_of(demo: RunningDemo) -> str:
    return f"kvmportal-demo-disks-{UUID((demo.state / 'identity').read_text()).hex[:12]}"


def disks() -> set[Path]:
    """What demos keep of machines that people made."""
    return set(cache_directory().glob("kvmportal-demo-disks-*"))


def test_a_machine_is_asked_for_and_boots(demo: RunningDemo) -> None:
    with demo.script("stranger") as user, demo.script("admin") as admin:
        assert [template["name"] for template in user.get("/templates").json()["items"]] == ["Small Linux"]
        asked = user.post("/requests", json={"name": MADE, "template": "Small Linux"}).json()
        granted = admin.post(f"/requests/{asked['id']}/answer", json={"grant": True}).json()
        settled(user, granted["machine"], "shutoff")
        user.post(f"/machines/{granted['machine']}/operations", json={"operation": "start"})
        settled(user, granted["machine"], "running", "idle")
        until = time.monotonic() + 60
        while not user.get(f"/machines/{granted['machine']}").json()["agent_connected"]:
            assert time.monotonic() < until
            time.sleep(0.2)


def test_after_being_killed_it_starts_again_as_it_was_and_stops_without_a_trace(
    demo: RunningDemo, before: set[str]
) -> None:
    kept, processes = demo.credentials["users"], demo.tree()
    kept_before = {path for path in disks() if path.stem != pool_of(demo)}
    ids = {name: machine["uuid"] for name, machine in demo.machines("owner").items()}
    demo.end(signal.SIGKILL)
    assert wait_gone({pid: words for pid, words in processes.items() if "qemu-system" not in words}) == {}

    again = RunningDemo(demo.state)
    try:
        again.wait_ready()
        assert again.credentials["users"] == kept
        machines = again.machines("owner")
        assert {name: machine["uuid"] for name, machine in machines.items()} == ids
        assert machines["demo-vnc"]["state"] == "running"
        with again.script("stranger") as user:
            made = again.machines("stranger")[MADE]["uuid"]
            user.post(f"/machines/{made}/operations", json={"operation": "destroy"})
            settled(user, made, "shutoff")
            going = {"operation": "undefine", "parameters": {"disks": ["vda"]}}
            assert user.post(f"/machines/{made}/operations", json=going).status_code == 202
            settled(user, made, "undefined")
        processes = again.tree()
    finally:
        status = again.end(signal.SIGINT)
    assert disks() <= kept_before
    assert status == 0
    assert wait_gone(processes) == {}
    assert domains() <= before
    assert not any(str(demo.state) in path.read_text() for path in pools())
    assert run_demo("--status", "--state", demo.state).returncode == 1


@pytest.mark.full
def test_after_being_stopped_it_starts_again_as_it_was(demo: RunningDemo, before: set[str]) -> None:
    if demo.process.poll() is None:
        demo.end()
    again = RunningDemo(demo.state)
    try:
        again.wait_ready()
        assert {machine["state"] for machine in again.machines("owner").values()} == {"running", "shutoff"}
    finally:
        again.end()
    assert domains() <= before
