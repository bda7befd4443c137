"""What a demo keeps between two runs: a directory with a lock, an identity, a secret key and credentials."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import uuid
from pathlib import Path
from typing import IO
from uuid import UUID

from demo.portal import is_ready


class AlreadyRunning(RuntimeError):
    """Another demo holds this state directory; the message says which and where."""


class StateDirectory:
    """One demo's directory. Everything in it is the demo's own; removing it forgets the demo."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.credentials = self.path / "credentials.json"
        self.database_url = f"sqlite:///{self.path / 'db.sqlite3'}"
        self.machines = self.path / "machines"
        """XML of the demo's machines as they were when it stopped."""
        self._lock: IO[str] | None = None

    def lock(self) -> None:
        """Make the directory, and hold it until this process ends.

        Raises:
            AlreadyRunning: another process holds it.
            OSError: it cannot be made or written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self.machines.mkdir(exist_ok=True)
        lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            words = f"A demo (process {lock.read().strip()}) already runs with the state in {self.path}"
            raise AlreadyRunning(f"{words}, at {self.url()}." if self.url() else f"{words}.") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def url(self) -> str:
        """Return where its demo answers or last answered; empty before the first start."""
        if not self.credentials.exists():
            return ""
        return str(json.loads(self.credentials.read_text())["url"])

    def answers(self) -> bool:
        """Say whether a demo runs on this directory and answers."""
        if not (self.path / "lock").exists() or not self.url():
            return False
        with (self.path / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return is_ready(self.url())
        return False

    @property
    def identity(self) -> UUID:
        """The demo's own id, by which its machines are known on the host."""
        return UUID(self._once("identity", str(uuid.uuid4())))

    @property
    def secret_key(self) -> str:
        """Django's secret key of the demo."""
        return self._once("secret-key", secrets.token_urlsafe(48))

    def _once(self, name: str, text: str) -> str:
        """Return what the file holds, which is this text when it is new. Only its owner may read it."""
        path = self.path / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(text)
        return path.read_text()
