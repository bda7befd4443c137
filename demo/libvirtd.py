"""A libvirt of one's own: no other daemon, domain, network or file of this machine is touched by it."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Self

from demo.kept import Kept

START_LIMIT = 60.0  # seconds; the first start asks QEMU for its capabilities
LONGEST_PATH = 107  # characters of a socket's path
DEEPEST_AS_ROOT = "/run/libvirt/libvirt-sock"
DEEPEST_AS_USER = "/c/libvirt/qemu/channel/target/domain-9999-kvmportal-test-12345/org.qemu.guest_agent.0"

Settings = dict[str, str | int | list[str]]
DAEMON: Settings = {"auth_unix_ro": "none", "auth_unix_rw": "none", "log_outputs": "3:stderr"}
QEMU: Settings = {
    "security_driver": "none",
    "stdio_handler": "file",  # needs no virtlogd
    "remember_owner": 0,
    "dynamic_ownership": 0,
}
QEMU_AS_ROOT: Settings = {"user": "root", "group": "root", "namespaces": [], "cgroup_controllers": []}

HIDE_AND_RUN = """
set -eu
for place in etc/libvirt var/lib/libvirt var/cache/libvirt var/log/libvirt run; do
    mount --bind "$0/$place" "/$place"
done
mkdir -p /run/lock
exec libvirtd
"""
"""Run in a mount namespace of its own: libvirt's directories, and /run with all other daemons' sockets, are ours.

/run/lock is where libvirt notes who has a serial console open.
"""


class LibvirtFailed(Exception):
    """A virsh command failed; the text is its own."""


class PrivateLibvirtd:
    """A libvirtd with its guests, in a directory that must have a short path; a context manager.

    Root gets a system daemon in a mount namespace of its own, everybody else a session daemon with its own directories.
    With `temporary` the directory goes when it stops. When the owner is killed, daemon, guests and directory go too.
    """

    def __init__(self, directory: Path | None = None, *, temporary: bool = False) -> None:
        self.temporary = temporary or directory is None
        self.directory = (directory or Path(tempfile.mkdtemp(prefix="kvmp-", dir="/tmp"))).absolute()
        self._root = os.geteuid() == 0
        most = LONGEST_PATH - len(DEEPEST_AS_ROOT if self._root else DEEPEST_AS_USER)
        if len(str(self.directory)) > most:
            raise ValueError(f"{self.directory} is too long a path for libvirt's sockets: {most} characters fit.")
        self._config = self.directory / ("etc" if self._root else "c")
        self._kept: Kept | None = None

    @property
    def socket(self) -> Path:
        """Return the daemon's socket, which any process that may reach the directory can connect to."""
        return self.directory / "run/libvirt/libvirt-sock"

    @property
    def uri(self) -> str:
        """Return libvirt's URI of this daemon."""
        return f"qemu+unix:///{'system' if self._root else 'session'}?socket={self.socket}"

    @property
    def pid(self) -> int:
        """Return libvirtd's process, 0 when it does not run."""
        return self._kept.pid if self._kept else 0

    def start(self) -> None:
        """Start the daemon, and return when it answers; nothing when it runs.

        Raises:
            RuntimeError: it ended, or did not answer within a minute; the text has the end of its log.
        """
        if not self._kept:
            self._prepare()
            remove = self.directory if self.temporary else None
            log = self.directory / "libvirtd.log"
            self._kept = Kept(self._command(), log=log, remove=remove, env=self._environment())
        self._kept.start()
        until = time.monotonic() + START_LIMIT
        while not self.answers():
            if time.monotonic() > until or not self._kept.running:
                words = self._kept.last_words()
                self.stop()
                raise RuntimeError(f"libvirtd ended or did not answer within {START_LIMIT:.0f} s:\n{words}")
            time.sleep(0.05)

    def answers(self) -> bool:
        """Say whether the daemon answers."""
        try:
            self.virsh("uri")
        except LibvirtFailed:
            return False
        return True

    def last_words(self) -> str:
        """Return the end of the daemon's log."""
        return self._kept.last_words() if self._kept else ""

    def end(self) -> None:
        """End the daemon; its guests run on, and `start` finds them again."""
        if self._kept:
            self._kept.end()

    def restart(self) -> None:
        """End and start the daemon, as its package's update would; guests run on."""
        self.end()
        self.start()

    def stop(self) -> None:
        """End the daemon and its guests for good."""
        if self._kept:
            self._kept.close()
            self._kept = None

    def virsh(self, *arguments: str) -> str:
        """Run virsh against this daemon and return what it prints, stripped.

        Raises:
            LibvirtFailed: with virsh's words.
        """
        return virsh(self.uri, *arguments)

    def qemu_pid(self, name: str) -> int:
        """Return the QEMU process of a running guest of this daemon.

        Raises:
            LookupError: no such guest runs here.
        """
        place = self.directory / ("run/libvirt/qemu" if self._root else "run/libvirt/qemu/run")
        try:
            pid = int((place / f"{name}.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            command = b""
        if f"guest={name},".encode() not in command:  # the number may be another process's by now
            raise LookupError(f"{name} does not run on {self.uri}.")
        return pid

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop for good."""
        self.stop()

    def _prepare(self) -> None:
        for place in (self._config.name, "var/lib", "var/cache", "var/log", "run"):
            (self.directory / place / "libvirt").mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_once(self._config / "libvirt/libvirtd.conf", {"host_uuid": str(uuid.uuid4()), **DAEMON})
        _write_once(self._config / "libvirt/qemu.conf", QEMU | (QEMU_AS_ROOT if self._root else {}))

    def _command(self) -> list[str]:
        if self._root:
            private = ["unshare", "--mount", "--propagation", "private"]
            return [*private, "sh", "-c", HIDE_AND_RUN, str(self.directory)]
        return ["libvirtd"]

    def _environment(self) -> dict[str, str]:
        """Return the environment; sbin is not on everybody's PATH, and no proxy or locale setting is wanted."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        if not self._root:
            directories = {
                "RUNTIME_DIR": "run",
                "CONFIG_HOME": "etc",
                "CACHE_HOME": "var/cache",
                "DATA_HOME": "var/lib",
            }
            environment |= {f"XDG_{name}": str(self.directory / place) for name, place in directories.items()}
            environment["HOME"] = str(self.directory)
        return environment


def virsh(uri: str, *arguments: str, limit: float = 60) -> str:
    """Run virsh, for at most `limit` seconds, and return what it prints, stripped.

    Raises:
        LibvirtFailed: with virsh's words.
    """
    try:
        done = subprocess.run(
            ["virsh", "--quiet", "--connect", uri, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except subprocess.TimeoutExpired:
        raise LibvirtFailed(f"virsh {' '.join(arguments)} did not end within {limit} s") from None
    if done.returncode:
        raise LibvirtFailed(f"virsh {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _write_once(path: Path, settings: Settings) -> None:
    """Write one of libvirt's configuration files, unless it is there."""
    if not path.exists():
        quoted = {name: f'"{value}"' if isinstance(value, str) else str(value) for name, value in settings.items()}
        path.write_text("".join(f"{name} = {value}\n" for name, value in quoted.items()))
