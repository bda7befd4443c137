"""Private servers for the demo and the tests: Redis and PostgreSQL on a free loopback port, gone with their owner."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from demo.kept import Kept

START_LIMIT = 20.0  # seconds


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on at this moment.

    It is none of those that the kernel gives to outgoing connections, so that it is likely still free in a minute.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


class Server(ABC):
    """A private server; a context manager. `directory` is made, and holds all its files.

    With `temporary` the directory is deleted when the server stops or its owner is killed; nothing is synced to disk.
    """

    ending = signal.SIGTERM

    def __init__(self, directory: Path, *, temporary: bool = False) -> None:
        self.directory = directory.absolute()
        self.temporary = temporary
        self.port = free_port()
        self._kept: Kept | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return the server's command line, listening on `port`."""

    @abstractmethod
    def answers(self) -> bool:
        """Say whether the server serves."""

    def prepare(self) -> None:
        """Make what the server needs before its first start."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def start(self) -> None:
        """Start, and return when the server answers; after `end` it comes back on the same port.

        Raises:
            RuntimeError: it ended, or did not answer within 20 s; the text has the end of its log.
        """
        if not self._kept:
            self.prepare()
            log = self.directory / "server.log"
            remove = self.directory if self.temporary else None
            self._kept = Kept(self.command(), log=log, remove=remove, ending=self.ending)
        self._kept.start()
        until = time.monotonic() + START_LIMIT
        while not self.answers():
            if time.monotonic() > until or not self._kept.running:
                words = self._kept.last_words()
                self.stop()
                raise RuntimeError(f"{self.command()[0]} ended or did not answer within {START_LIMIT:.0f} s:\n{words}")
            time.sleep(0.02)

    def end(self) -> None:
        """Stop serving, keep the files: what a crash or a restart of the server looks like to its clients."""
        if self._kept:
            self._kept.end()

    def stop(self) -> None:
        """Stop for good; a temporary server's files go too."""
        if self._kept:
            self._kept.close()
            self._kept = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop for good."""
        self.stop()


class RedisServer(Server):
    """A Redis of one's own. A temporary one keeps nothing over a restart, as the portal must bear."""

    def __init__(self, directory: Path, *, temporary: bool = False) -> None:
        super().__init__(directory, temporary=temporary)
        self._password = secrets.token_urlsafe(24)  # others may be logged in to this machine

    @property
    def url(self) -> str:
        """Return what REDIS_URL wants."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        """Write the settings, in a file because one is a password."""
        super().prepare()
        settings = {
            "bind": "127.0.0.1",
            "port": self.port,
            "dir": self.directory,
            "requirepass": self._password,
            "save": '""' if self.temporary else "60 1",
        }
        path = self.directory / "redis.conf"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))

    def command(self) -> list[str]:
        """Return redis-server's command line."""
        return ["redis-server", str(self.directory / "redis.conf")]

    def answers(self) -> bool:
        """Say whether PING gets an answer."""
        return self._say("PING").endswith(b"+PONG\r\n")

    def empty(self) -> None:
        """Forget everything that is stored; connections stay. Nothing when it does not run."""
        self._say("FLUSHALL")

    def _say(self, command: str) -> bytes:
        """Return its answers to the password, this command and QUIT; empty when it does not run.

        Said by hand, because the client library would take ten megabytes of the demo's memory.
        """
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(f"AUTH {self._password}\r\n{command}\r\nQUIT\r\n".encode())
                answers = b""
                while data := connection.recv(1024):
                    answers += data
        except OSError:
            return b""
        return answers.removesuffix(b"+OK\r\n")


class PostgresServer(Server):
    """A PostgreSQL of one's own, which root runs as the user postgres (who must be able to reach `directory`)."""

    ending = signal.SIGINT  # "fast": ends open sessions and checkpoints

    @property
    def url(self) -> str:
        """Return what DATABASE_URL wants: the database `kvmportal` and its owner."""
        return f"postgresql://kvmportal:{self._password_file.read_text()}@127.0.0.1:{self.port}/kvmportal"

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _password_file(self) -> Path:
        return self.directory / "password"

    def prepare(self) -> None:
        """Make the cluster, with a random password, unless it is there."""
        super().prepare()
        if self._data.exists():
            return
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_urlsafe(24))
        if os.geteuid() == 0:
            for path in (self.directory, self._password_file):
                shutil.chown(path, "postgres", "postgres")
        subprocess.run(
            [
                *self._program("initdb"),
                f"--pgdata={self._data}",
                f"--pwfile={self._password_file}",
                "--username=kvmportal",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            cwd="/",
        )

    def command(self) -> list[str]:
        """Return the server's command line."""
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off" if self.temporary else "on",
            "full_page_writes": "off" if self.temporary else "on",
            "shared_buffers": "32MB",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [*self._program("postgres"), "-D", str(self._data), *options]

    def answers(self) -> bool:
        """Say whether the database is there, making it on the way."""
        maintenance = self.url.removesuffix("kvmportal") + "postgres"
        made = self._psql(self.url, "SELECT 1") or self._psql(maintenance, "CREATE DATABASE kvmportal")
        return made and self._psql(self.url, "SELECT 1")

    def _psql(self, url: str, statement: str) -> bool:
        command = [str(_postgres_bin() / "psql"), "-X", "-q", "-c", statement]
        return subprocess.run([*command, url], capture_output=True, check=False).returncode == 0

    def _program(self, name: str) -> list[str]:
        path = str(_postgres_bin() / name)
        if os.geteuid() != 0:
            return [path]
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", path]


def _postgres_bin() -> Path:
    """Return the directory of the newest PostgreSQL server that Debian has installed.

    Raises:
        FileNotFoundError: none is installed.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise FileNotFoundError("PostgreSQL's server is not installed (Debian's package postgresql).")
    return found[-1].parent
