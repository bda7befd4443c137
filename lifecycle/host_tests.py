"""Tests of the connection to a host: asking for one, the latest of a host, and the end of those nobody carries out.

They are carried out by `lifecycle.host_check`, in a worker.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import Any, TypedDict

from celery import current_app
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from lifecycle.models import OPEN, HostTest, Status
from lifecycle.outcomes import Ending
from machines.models import Host
from machines.operation_table import Queue
from machines.payload import iso

log = logging.getLogger(__name__)

TASK = "lifecycle.test_host"
TAKEN_WITHIN = timedelta(seconds=30)
"""How long a test waits for a worker; its message is worth as long."""
LOST_AFTER = timedelta(seconds=60)
"""From when on a running test has lost its worker; `host_check.LIMIT` is less than half of it."""
SHOWN = 5
ATTEMPTS = 3


class HostTestPayload(TypedDict):
    """A connection test as the API describes it; `facts` are what the host said, and how many milliseconds it took."""

    id: int
    host: int
    status: str
    message: str
    error: dict[str, str] | None
    facts: dict[str, Any]
    requested_by: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None


def request(host: Host, by: User) -> HostTest:
    """Have the connection to a host tested; while a test is open, that one is returned.

    Raises:
        Http404: the host is gone.
    """
    for _attempt in range(ATTEMPTS):
        try:
            with transaction.atomic():
                test = HostTest.objects.create(host=host, requested_by=by)
                transaction.on_commit(partial(_send, test.pk), robust=True)
                return test
        except IntegrityError:
            if found := HostTest.objects.filter(host=host.pk, status__in=OPEN).first():
                return found
    raise Http404(_("There is no such host."))


def latest(host: Host) -> list[HostTest]:
    """Return a host's latest tests, newest first (one query)."""
    return list(HostTest.objects.filter(host=host).select_related("requested_by")[:SHOWN])


def end_lost() -> None:
    """End the tests that no worker took, and those whose worker died. Ending one twice changes nothing."""
    now = timezone.now()
    _end_as_lost(
        Q(status=Status.QUEUED, created_at__lt=now - TAKEN_WITHIN),
        _("No worker of the portal took this test. Look whether its workers run, and test again."),
    )
    _end_as_lost(
        Q(status=Status.RUNNING, started_at__lt=now - LOST_AFTER),
        _("The portal's worker was lost during this test. Test again."),
    )


def advance(test: HostTest, **changes: Any) -> bool:
    """Move a row on by compare-and-swap on the status this object has; False when somebody else moved it first."""
    if changes["status"] not in OPEN:
        changes["finished_at"] = timezone.now()
    return bool(HostTest.objects.filter(pk=test.pk, status=test.status).update(**changes))


def host_test_payload(test: HostTest) -> HostTestPayload:
    """Describe a test; select requested_by with the row."""
    return {
        "id": test.pk,
        "host": test.host_id,
        "status": test.status,
        "message": test.message,
        "error": {"code": test.error_code, "text": test.error_text} if test.error_code else None,
        "facts": test.facts,
        "requested_by": test.requested_by.get_username() if test.requested_by else None,
        "created_at": test.created_at.isoformat(),
        "started_at": iso(test.started_at),
        "finished_at": iso(test.finished_at),
    }


def ending_columns(ending: Ending) -> dict[str, Any]:
    """Return the columns of an ending that a test has: all but progress."""
    return {name: value for name, value in ending.changes.items() if name != "progress"}


def _end_as_lost(which: Q, sentence: str) -> None:
    changes = ending_columns(Ending(Status.FAILED, sentence, "worker_lost"))
    if number := HostTest.objects.filter(which).update(**changes, finished_at=timezone.now()):
        log.warning("%d connection tests were ended: %s", number, sentence)


def _send(test_id: int) -> None:
    """Hand a test to the workers; when the broker does not take it, `end_lost` says so on the row."""
    try:
        current_app.send_task(
            TASK,
            args=[test_id],
            queue=Queue.QUICK.value,
            expires=TAKEN_WITHIN.total_seconds(),
            ignore_result=True,
        )
    except Exception:  # whatever a broken broker raises (kombu, redis, OSError)
        log.warning("Connection test %s could not be sent", test_id, exc_info=True)
