"""Processes of the portal on the tests' own database and Redis."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

from django.db import connection

from kvmportal.environment import ROOT


def portal_environment() -> dict[str, str]:
    """Return the environment in which a process of the portal sees what the tests see."""
    own = {
        "DATABASE_URL": _database_url(),
        "DJANGO_SETTINGS_MODULE": "kvmportal.settings",
        "PYTHONPATH": str(ROOT),
        "PYTHONFAULTHANDLER": "1",
    }
    return os.environ | own


def _database_url() -> str:
    """Write the test database as DATABASE_URL wants it."""
    known = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{known['NAME']}"
    return f"postgresql://{known['USER']}:{quote(known['PASSWORD'])}@{known['HOST']}:{known['PORT']}/{known['NAME']}"


class WatcherProcess:
    """`manage.py watchhosts`, which ends with the tests."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self._log = log
        command = [sys.executable, str(ROOT / "manage.py"), "watchhosts", "--name", name]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                env=portal_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def log(self) -> str:
        """All that it logged."""
        return self._log.read_text()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """End it by this signal; return its exit status and the seconds it took."""
        began = time.monotonic()
        self._process.send_signal(number)
        return self._process.wait(20), time.monotonic() - began

    def kill(self) -> None:
        """Leave nothing of it."""
        self._process.kill()
        self._process.wait()
