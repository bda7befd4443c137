"""Removes what is older than AUDIT_DAYS: first a signed checkpoint, then the batches and entries that it covers."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.utils import timezone

from audit import canonical, keys, trail
from audit.models import Batch, Checkpoint, Entry

logger = logging.getLogger(__name__)

BATCHES = 100
"""Batches that one checkpoint removes: deletions hold the database up, so it goes by small steps."""


def remove_old() -> int:
    """Remove what is old enough; return how many entries that were."""
    removed = 0
    while step := _remove_some():
        removed += step
    if removed:
        logger.info("%d old entries of the audit trail were removed", removed)
    return removed


def _remove_some() -> int:
    limit = timezone.now() - timedelta(days=settings.AUDIT_DAYS)
    try:
        with transaction.atomic():
            old = list(Batch.objects.filter(sealed_at__lt=limit).order_by("number").only("number")[:BATCHES])
            return _remove_up_to(old[-1].number) if old else 0
    except IntegrityError:  # somebody else makes the same checkpoint
        return 0


def _remove_up_to(number: int) -> int:
    batches = Batch.objects.filter(number__lte=number)
    last = Batch.objects.get(number=number)
    count = batches.aggregate(total=Sum("count"))["total"]
    point = Checkpoint(upto=number, hash=last.hash, sealed_at=last.sealed_at, count=count, made_at=timezone.now())
    key = keys.signing_key()
    point.key = keys.public_half(key)
    point.signature = key.sign(canonical.statement_of_checkpoint(point)).hex()
    point.save(force_insert=True)
    Entry.objects.filter(batch__lte=number).delete()
    batches.delete()
    trail.record("audit.trimmed", upto=number, entries=count)
    return int(count)
