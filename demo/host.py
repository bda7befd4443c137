"""The libvirt that the demo's machines run on: this machine's own, started by hand where no service manager does.

A libvirt started by hand serves every demo of the machine. Each holds a shared lock on MARK, and the last one that
stops takes libvirt with it, unless somebody's domain runs on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Self

from demo.acceleration import KVM
from demo.libvirtd import LibvirtFailed, virsh

START_LIMIT = 60.0  # seconds; the first start asks QEMU for its capabilities
STOP_LIMIT = 10.0  # seconds
MARK = Path("/run/kvmportal-demo-libvirt.json")
SERVICE_MANAGER = Path("/run/systemd/system")
LOG_SOCKET = Path("/run/libvirt/virtlogd-sock")
DAEMONS = ("libvirtd", "virtlogd")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

Say = Callable[[str], None]


class NoLibvirt(RuntimeError):
    """libvirt does not answer and could not be started; the message says what to do."""


def default_uri() -> str:
    """Return the libvirt of this machine that the present user may use."""
    return "qemu:///system" if os.geteuid() == 0 else "qemu:///session"


class LocalLibvirt:
    """libvirt at a URI, started when it does not answer, and stopped again only if so; a context manager."""

    def __init__(self, uri: str, say: Say) -> None:
        self.uri = uri
        self._say = say
        self._mark: IO[str] | None = None

    def start(self) -> None:
        """Make sure that libvirt answers.

        Raises:
            NoLibvirt: with what to do about it.
        """
        by_hand = self.uri == "qemu:///system" and os.geteuid() == 0 and not SERVICE_MANAGER.exists()
        if by_hand:
            self._start_by_hand()
        elif words := self._refusal():
            raise NoLibvirt(f"libvirt does not answer at {self.uri}; try: systemctl start libvirtd\n{words}")

    def stop(self) -> None:
        """Stop libvirt if a demo started it, no other demo uses it, and no domain runs on it."""
        if not self._mark:
            return
        with self._mark as mark, contextlib.suppress(BlockingIOError):
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._runs_domains():
                mark.seek(0)
                _undo(json.load(mark))
                MARK.unlink(missing_ok=True)
        self._mark = None

    def __enter__(self) -> Self:
        """Start."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def _start_by_hand(self) -> None:
        """Start the daemons unless they run, and hold the mark if a demo started them."""
        until = time.monotonic() + START_LIMIT
        while not self._join_or_start():
            if time.monotonic() > until:
                raise NoLibvirt(f"Another demo uses {self.uri}, but it does not answer: {self._refusal()}")
            time.sleep(0.1)

    def _join_or_start(self) -> bool:
        """Share the libvirt that another demo started, or start one; return False when another demo is just ending."""
        mark = MARK.open("a+")
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(mark, fcntl.LOCK_SH)
            if not _is_the_mark(mark) or self._refusal():
                mark.close()
                return False
            self._mark = mark
            return True
        if not _is_the_mark(mark):
            mark.close()
            return False
        self._start_alone(mark)
        return True

    def _start_alone(self, mark: IO[str]) -> None:
        """Start the daemons unless they run; nobody else has the mark."""
        if self._refusal():
            self._say("libvirt: starting it, because no service manager does")
            done = {"kvm": _open_kvm_to_its_group(), "pids": _start_daemons()}
            mark.truncate(0)
            json.dump(done, mark)
            mark.flush()
            self._wait_until_it_answers()
        if not MARK.read_text():  # somebody else's
            MARK.unlink()
            mark.close()
            return
        fcntl.flock(mark, fcntl.LOCK_SH)
        self._mark = mark

    def _wait_until_it_answers(self) -> None:
        until = time.monotonic() + START_LIMIT
        while words := self._refusal():
            if time.monotonic() > until:
                raise NoLibvirt(f"libvirt did not answer within {START_LIMIT:.0f} s: {words}")
            time.sleep(0.1)

    def _refusal(self) -> str:
        """Return why libvirt does not answer, in its own words; empty when it does."""
        try:
            virsh(self.uri, "uri", limit=20)
        except LibvirtFailed as error:
            return str(error)
        return ""

    def _runs_domains(self) -> bool:
        try:
            return bool(virsh(self.uri, "list", "--name"))
        except LibvirtFailed:
            return False


def _is_the_mark(mark: IO[str]) -> bool:
    """Say whether an open file is still the one of that name: a demo that ends removes it."""
    try:
        return os.path.samestat(os.fstat(mark.fileno()), MARK.stat())
    except FileNotFoundError:
        return False


def _start_daemons() -> list[int]:
    """Start libvirtd, and before it virtlogd, which keeps guests' logs; return those processes that this started.

    Raises:
        NoLibvirt: with the daemon's own words.
    """
    pids = []
    for daemon in reversed(DAEMONS):
        if daemon == "virtlogd" and _listens(LOG_SOCKET):
            continue
        pid_file = Path(f"/run/{daemon}.pid")
        command = [f"/usr/sbin/{daemon}", "--daemon", "--pid-file", str(pid_file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env=ENVIRONMENT)
        if done.returncode:
            raise NoLibvirt(f"{daemon} could not be started: {done.stderr.strip()}")
        pids.append(int(pid_file.read_text()))
    return pids


def _undo(done: dict[str, list[int]]) -> None:
    """Stop the daemons, and give /dev/kvm back its group and mode."""
    for pid in reversed(done["pids"]):
        if _command(pid) not in DAEMONS:
            continue
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + STOP_LIMIT
        while _command(pid) in DAEMONS and time.monotonic() < until:
            time.sleep(0.05)
    if done["kvm"]:
        group, mode = done["kvm"]
        os.chown(KVM, -1, group)
        KVM.chmod(mode)


def _command(pid: int) -> str:
    """Return the name of a living process's program, else nothing."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    name, _, rest = state.partition("(")[2].rpartition(")")
    return "" if rest.split()[0] == "Z" else name


def _open_kvm_to_its_group() -> list[int]:
    """Let QEMU's user open /dev/kvm, as udev's rules do where udev runs; return its old group and mode, if changed.

    Otherwise libvirt, which tries as root and runs guests as that user, asks QEMU for its capabilities anew before
    every definition, every start and every look at the host: eight seconds each.
    """
    groups = [group.gr_gid for group in grp.getgrall() if group.gr_name == "kvm"]
    if not KVM.exists() or not groups:
        return []
    now = KVM.stat()
    mode = stat.S_IMODE(now.st_mode)
    if mode & 0o006 == 0o006 or (now.st_gid == groups[0] and mode & 0o060 == 0o060):
        return []
    os.chown(KVM, -1, groups[0])
    KVM.chmod(mode | 0o060)
    return [now.st_gid, mode]


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
