"""The portal's own processes on this machine, as design lists them: for the demo, and for tests that need all of it.

Each process has its own session (a terminal's Ctrl-C reaches only the owner, who stops them in order) and dies with the
process that started it, however that ends.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from demo.servers import free_port
from kvmportal.environment import ROOT

READY_LIMIT = 120.0  # seconds until /readyz must be green; a busy machine of two cores takes ten
BACK_OFF = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before a process that died again is started again
STEADY = 60.0  # seconds after which a process counts as well
LOG_LIMIT = 5 * 2**20  # bytes; a longer log is put aside at the next start
STOP_ORDER = (("web", "consoleproxy", "beat"), ("worker-quick", "worker-long"), ("watcher",))
"""Nothing new comes in, then what was begun is finished, and the watcher shows how it ended."""


STATIC_SOURCES = ("package-lock.json", "requirements.txt", "kvmportal/settings.py", "kvmportal/static.py")
"""Files that say which static files there are, beside our own."""


class PortalFailed(RuntimeError):
    """The portal did not become ready; the message has the last lines of the log that says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process: its name, its command line after `python -m`, and the seconds it may take to stop."""

    name: str
    arguments: tuple[str, ...]
    grace: float = 5.0


class Process:
    """A running Program, started again when it dies."""

    def __init__(self, program: Program, log: Path, environment: Mapping[str, str]) -> None:
        self.program = program
        self.log = log
        self._environment = dict(environment)
        self._deaths = 0
        self._due: float | None = None
        self._started_at = 0.0
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id; 0 before the first start."""
        return self._popen.pid if self._popen else 0

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        """Start it. Call this from a thread that lives as long as the process should."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", *self.program.arguments],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started_at = time.monotonic()
        self._due = None

    def tend(self) -> str:
        """Start it again when it has died and its back-off is over; return what happened, in words, or nothing."""
        now = time.monotonic()
        if self.running:
            return ""
        if self._due is not None:
            if now >= self._due:
                self.start()
            return ""
        self._deaths = 0 if now - self._started_at > STEADY else self._deaths + 1
        delay = BACK_OFF[min(self._deaths, len(BACK_OFF)) - 1] if self._deaths else 0.0
        self._due = now + delay
        return (
            f"{self.program.name} ended unexpectedly ({self._how()}); it starts again in {delay:.0f} s. See {self.log}"
        )

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        self._signal(signal.SIGTERM)

    def wait_stopped(self, until: float) -> None:
        """Wait for the end until then (time.monotonic), then kill what is left of its group."""
        if self._popen is None:
            return
        try:
            self._popen.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._popen.wait()

    def last_words(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-15:])

    def _how(self) -> str:
        code = self._popen.returncode if self._popen else 0
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"

    def _signal(self, number: signal.Signals) -> None:
        if self._popen is not None and self.running:
            os.killpg(self._popen.pid, number)


class Portal:
    """All processes of one portal; a context manager.

    Args:
        directory: holds logs and, unless `static_root` says otherwise, static files.
        redis_url: as REDIS_URL.
        database_url: as DATABASE_URL.
        secret_key: as SECRET_KEY.
        port: of the web server on 127.0.0.1; 0 picks a free one.
        static_root: collected static files, which several portals may share.
        extra: more environment variables for every process.
    """

    def __init__(
        self,
        directory: Path,
        *,
        redis_url: str,
        database_url: str,
        secret_key: str,
        port: int = 0,
        static_root: Path | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.log_directory = self.directory / "log"
        self.port = port or free_port()
        self.console_port, spice_port, vnc_port = self._more_ports()
        self.url = f"http://127.0.0.1:{self.port}"
        own = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": secret_key,
            "PORTAL_URL": self.url,
            "ALLOWED_HOSTS": "127.0.0.1",
            "CONSOLE_LISTEN": f"127.0.0.1:{self.console_port}",
            "CONSOLE_ORIGINS": self.url,
            "CONSOLE_PUBLIC_URL": f"ws://127.0.0.1:{self.console_port}/console",
            "CONSOLE_SPICE_LISTEN": f"127.0.0.1:{spice_port}",
            "CONSOLE_SPICE_PUBLIC": f"http://127.0.0.1:{spice_port}",
            "CONSOLE_VNC_LISTEN": f"127.0.0.1:{vnc_port}",
            "CONSOLE_VNC_PUBLIC": f"127.0.0.1:{vnc_port}",
            "STATIC_ROOT": str(static_root or self.directory / "static"),
            "DJANGO_SETTINGS_MODULE": "kvmportal.settings",
            "MALLOC_ARENA_MAX": "2",  # glibc would give each thread memory of its own and keep it
            "PYTHONUNBUFFERED": "1",
        }
        self.environment = {**os.environ, **own, **(extra or {})}
        # Otherwise each of six processes would compile everything at each start.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.processes = {
            program.name: Process(program, self.log_directory / f"{program.name}.log", self.environment)
            for program in programs(self.port)
        }

    def _more_ports(self) -> list[int]:
        """Return three free ports of 127.0.0.1, none of them the web server's."""
        ports: set[int] = set()
        while len(ports) < 3:
            ports |= {free_port()} - {self.port}
        return list(ports)

    def start(self) -> None:
        """Start every process; `prepare` must have run once. Returns at once: see `wait_ready`."""
        self.log_directory.mkdir(parents=True, exist_ok=True)
        for process in self.processes.values():
            if process.log.exists() and process.log.stat().st_size > LOG_LIMIT:
                process.log.replace(process.log.with_suffix(".old.log"))
            process.start()

    def wait_ready(self, limit: float = READY_LIMIT) -> None:
        """Wait until /readyz is green.

        Raises:
            PortalFailed: it was not within `limit` seconds, or a process ended.
        """
        until = time.monotonic() + limit
        while not is_ready(self.url):
            if ended := [process for process in self.processes.values() if not process.running]:
                raise PortalFailed(f"{ended[0].program.name} ended:\n{ended[0].last_words()}")
            if time.monotonic() > until:
                raise PortalFailed(f"{self.url}/readyz was not green within {limit:.0f} s. See {self.log_directory}")
            time.sleep(0.1)

    def tend(self) -> list[str]:
        """Start again what has died (with back-off); return what happened, in words."""
        return [words for process in self.processes.values() if (words := process.tend())]

    def stop(self) -> None:
        """Stop every process in order; what does not end in its time is killed."""
        for names in STOP_ORDER:
            group = [self.processes[name] for name in names]
            for process in group:
                process.ask_to_stop()
            for process in group:
                process.wait_stopped(time.monotonic() + process.program.grace)

    def restart(self, name: str) -> None:
        """Stop one process and start it again."""
        self.stop_one(name)
        self.start_one(name)

    def stop_one(self, name: str) -> None:
        """Stop one process and wait for its end."""
        process = self.processes[name]
        process.ask_to_stop()
        process.wait_stopped(time.monotonic() + process.program.grace)

    def start_one(self, name: str) -> None:
        """Start one process again."""
        self.processes[name].start()

    def prepare(self) -> None:
        """Bring the database to the present schema, and collect the static files when they have changed.

        Raises:
            PortalFailed: with the command's own words.
        """
        self.run("manage", "migrate", "--noinput", "--verbosity", "0")
        root = Path(self.environment["STATIC_ROOT"])
        seal, now = root / ".sources", fingerprint_of_static_sources()
        if seal.exists() and seal.read_text() == now:
            return
        draft = root.with_name(f"{root.name}.{os.getpid()}")
        self.run("manage", "collectstatic", "--noinput", "--verbosity", "0", STATIC_ROOT=str(draft))
        (draft / seal.name).write_text(now)
        shutil.rmtree(root, ignore_errors=True)
        draft.rename(root)

    def run(self, module: str, *arguments: str, standard_input: str = "", **environment: str) -> str:
        """Run a module as a command with this portal's environment and more of it; return what it printed.

        Raises:
            PortalFailed: with the command's own words.
        """
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**self.environment, **environment},
            input=standard_input,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            words = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
            raise PortalFailed(f"python -m {module} {' '.join(arguments[:1])} failed:\n{words}")
        return done.stdout

    def __enter__(self) -> Self:
        """Prepare, start and wait until it is ready."""
        try:
            self.prepare()
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


def programs(port: int) -> tuple[Program, ...]:
    """Return every process of the portal, whose web server listens on this port of 127.0.0.1."""
    return (
        Program("watcher", ("manage", "watchhosts")),
        Program("worker-quick", ("manage", "worker", "quick"), grace=15.0),
        Program("worker-long", ("manage", "worker", "long"), grace=15.0),
        Program("beat", ("manage", "beat")),
        Program("consoleproxy", ("consoles.proxy",)),
        Program(
            "web", ("daphne", "-b", "127.0.0.1", "-p", str(port), "--no-server-name", "kvmportal.asgi:application")
        ),
    )


def is_ready(url: str) -> bool:
    """Say whether a portal answers there and finds its database, Redis and a watcher."""
    place = urlsplit(url)
    question = f"GET /readyz HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n\r\n"
    try:  # by hand, because urllib brings TLS and with it seven megabytes
        with socket.create_connection((str(place.hostname), place.port or 80), timeout=5) as connection:
            connection.sendall(question.encode())
            return connection.recv(12).endswith(b" 200")
    except OSError:
        return False


def fingerprint_of_static_sources() -> str:
    """Return a text that changes when a static file does: the locked front end, and name, size and time of our own."""
    own = sorted(path for path in (ROOT / "static").rglob("*") if path.is_file())
    facts = [f"{path.relative_to(ROOT)} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in own]
    locks = [str((ROOT / name).stat().st_mtime_ns) for name in STATIC_SOURCES]
    return hashlib.sha256("\n".join([*facts, *locks]).encode()).hexdigest()
