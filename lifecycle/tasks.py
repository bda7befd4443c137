"""The Celery tasks: each takes an id (or looks for rows), reads the row again, and returns quietly when it is not due.

Redelivered and repeated messages are harmless: rows move by compare-and-swap. What speaks to hosts is imported where it
is used, because beat, which only sends tasks, imports this module too and needs no libvirt in its memory.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from celery import shared_task
from celery.signals import worker_init
from django.db.models import Q
from django.utils import timezone

from lifecycle import host_tests, news
from lifecycle.models import Operation, SavedFile, Status
from lifecycle.operations import RUN_TASK, send
from machines.models import Host
from machines.operation_table import Queue

RESEND_AFTER = timedelta(seconds=15)
RESEND_AT_ONCE = 500
LOOK_EXPIRES = 10
SAVED_FILES_EXPIRE = 60

log = logging.getLogger(__name__)


@shared_task(name=RUN_TASK, ignore_result=True)
def run(operation_id: int) -> None:
    """Carry out a queued operation."""
    from lifecycle import running

    running.run(operation_id)


@shared_task(name="lifecycle.resend_queued", ignore_result=True)
def resend_queued() -> None:
    """Send again what has been queued for long: the broker was down, or lost its memory. Stops when it still is."""
    limit = timezone.now() - RESEND_AFTER
    due = Q(sent_at__lt=limit) | Q(sent_at__isnull=True, created_at__lt=limit)
    rows = Operation.objects.with_machine().filter(due, status=Status.QUEUED).order_by("pk")
    for row in rows[:RESEND_AT_ONCE]:
        if not send(row):
            return


@shared_task(name="lifecycle.expire_waiting", ignore_result=True)
def expire_waiting() -> None:
    """End shutdowns and reboots past their deadline, or whose news was lost."""
    news.expire_waiting()


@shared_task(name="lifecycle.reconcile", ignore_result=True)
def find_orphans() -> None:
    """Ask about every row whose worker died, each in a task of its own: one host that hangs holds up only its own."""
    from lifecycle import reconcile

    for row in reconcile.orphans():
        look.apply_async((row.pk,), queue=Queue.QUICK.value, expires=LOOK_EXPIRES)
    reconcile.remark_on_slow_ones()


@shared_task(name="lifecycle.look", ignore_result=True)
def look(operation_id: int) -> None:
    """Ask the host how an operation whose worker died ended; have its job followed if it still runs."""
    from lifecycle import reconcile

    if reconcile.look(operation_id):
        follow.apply_async((operation_id,), queue=Queue.LONG.value, expires=LOOK_EXPIRES)


@shared_task(name="lifecycle.follow", ignore_result=True)
def follow(operation_id: int) -> None:
    """Follow the job of an operation whose worker died to its end."""
    from lifecycle import reconcile

    reconcile.follow(operation_id)


@shared_task(name=host_tests.TASK, ignore_result=True)
def test_host(test_id: int) -> None:
    """Test the connection to a host."""
    from lifecycle import host_check

    host_check.run(test_id)


@shared_task(name="lifecycle.end_lost_host_tests", ignore_result=True)
def end_lost_host_tests() -> None:
    """End the connection tests that no worker took, or whose worker died."""
    host_tests.end_lost()


@shared_task(name="lifecycle.look_at_saved_files", ignore_result=True)
def look_at_saved_files() -> None:
    """Look at the saved files of every host that has some, each host in a task of its own."""
    hosts = SavedFile.objects.filter(host__enabled=True, host__reachable=True).values_list("host", flat=True)
    for host in set(hosts):
        look_at_saved_files_of.apply_async((host,), queue=Queue.QUICK.value, expires=SAVED_FILES_EXPIRE)


@shared_task(name="lifecycle.look_at_saved_files_of", ignore_result=True)
def look_at_saved_files_of(host_id: int) -> None:
    """Write the sizes of a host's saved files and which are missing, and settle those that nobody writes any more."""
    from hypervisor.errors import HypervisorError
    from lifecycle import saved_file_acts

    host = Host.objects.filter(pk=host_id).first()
    try:
        if host:
            saved_file_acts.settle_unfinished(host)
            saved_file_acts.refresh(host)
    except HypervisorError as error:
        log.info("The saved files of %s could not be looked at: %s", host, error)


@worker_init.connect
def load_before_the_first_task(**_: Any) -> None:
    """Import in each worker what its tasks will import, so that its first operation is not the slow one."""
    from lifecycle import host_check, reconcile, running  # noqa: F401
