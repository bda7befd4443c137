"""What other apps may listen to."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.dispatch import Signal

from lifecycle.models import Operation

operation_ended = Signal()
"""An operation ended. `operation`: the row as it ended, with its machine and who asked for it. After commit."""


def tell_ended(operation: Operation) -> None:
    """Tell it after the commit; a listener that fails is logged by Django and keeps no other from hearing it."""
    send = partial(operation_ended.send_robust, sender=Operation, operation=operation)
    transaction.on_commit(send, robust=True)
