"""`manage.py watchhosts`: the watcher process."""

from __future__ import annotations

import os
import signal
import socket
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from machines.watcher import Watcher


class Command(BaseCommand):
    """Follow the libvirt hosts until SIGTERM or SIGINT."""

    help = "Follows the libvirt hosts and mirrors their machines. Several may run; they share the hosts."
    requires_system_checks = ()  # migrate runs them; here they would load every page

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the watcher's name."""
        parser.add_argument(
            "--name", default=f"{socket.gethostname()}-{os.getpid()}", help="its name in logs and Redis"
        )

    def handle(self, *_args: Any, name: str, **_options: Any) -> None:
        """Watch until told to stop."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        Watcher(name).run(stop)
