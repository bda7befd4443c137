"""One call to libvirt for an operation; if the host is lost in the middle, the row is left to who asks it later."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisor.errors import HostUnreachable
from lifecycle.models import Operation
from lifecycle.operations import advance
from lifecycle.outcomes import Ending, succeeded
from lifecycle.pulse import DEAD_AFTER, WORKER

log = logging.getLogger(__name__)

LOST = None
"""In place of an Ending: the row goes on without this worker (it waits for news, or the host is asked later)."""


def called(operation: Operation, call: Callable[[], object]) -> Ending | None:
    """Make a call; when the host is lost in the middle of it, leave the row to `lifecycle.reconcile`, which asks it."""
    try:
        call()
    except HostUnreachable as error:
        log.warning("Operation %s (%s): the host was lost during the call: %s", operation.pk, operation.kind, error)
        sentence = _("Its host stopped answering. It is asked how this ended as soon as it does.")
        advance(
            operation,
            where=Q(worker=WORKER),
            worker="",
            heartbeat_at=timezone.now() - DEAD_AFTER,
            message=sentence,
            error_text=error.text,
        )
        return LOST
    return succeeded()
