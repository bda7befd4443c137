"""`manage.py worker quick|long`: the worker of one queue."""

from __future__ import annotations

import socket
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from kvmportal.celery import app
from machines.operation_table import Queue

THREADS = {Queue.QUICK.value: 16, Queue.LONG.value: 8}
"""More for the quick ones: a QEMU process that does not answer holds one until it is forced off."""


class Command(BaseCommand):
    """Run Celery's worker as the portal needs it. The `celery` command would do too, with 10 MB of prompts and colours.

    Threads, because libvirt's calls block and libvirt does not survive a fork. No gossip and heartbeats between
    workers: an operation's row says whether its worker lives.
    """

    help = "Carries out the operations of one queue. Run at least one worker for each."
    requires_system_checks = ()  # migrate runs them; here they would load every page

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the queue and how many operations run at once."""
        parser.add_argument("queue", choices=[queue.value for queue in Queue])
        parser.add_argument("--threads", type=int, help="operations that run at once (quick 16, long 8)")

    def handle(self, *_args: Any, queue: str, threads: int | None, **_options: Any) -> None:
        """Work until told to stop; SIGTERM lets what runs end first."""
        worker = app.Worker(
            hostname=f"{queue}@{socket.gethostname()}",
            queues=queue,
            pool_cls="threads",
            concurrency=threads or THREADS[queue],
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            loglevel="INFO",
            quiet=True,
        )
        worker.start()
        sys.exit(worker.exitcode)
