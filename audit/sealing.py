"""Seals entries into batches. The one writer of batches; run by beat, and safe to run twice at once."""

from __future__ import annotations

import logging

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import canonical, keys
from audit.models import Batch, Checkpoint, Entry

logger = logging.getLogger(__name__)

MOST = 500
"""Entries of one batch."""
BATCHES = 200
"""Batches of one run, so that a backlog does not hold up the task's worker for long."""


def seal_all() -> int:
    """Seal what is open; return how many entries that were."""
    sealed = 0
    for _round in range(BATCHES):
        batch = seal_next()
        sealed += batch.count if batch else 0
        if batch is None or batch.count < MOST:
            break
    return sealed


def seal_next() -> Batch | None:
    """Seal the oldest open entries into the next batch; None when there are none, or another process was faster.

    An entry that was written before others and committed after them is sealed in a later batch: a batch says which
    entries it has, not from where to where.
    """
    try:
        with transaction.atomic():
            return _seal()
    except IntegrityError:  # the number is taken: somebody else seals the same ones
        return None


def _seal() -> Batch | None:
    number, previous = _place()  # before the entries are read: what another process has sealed since is not among them
    entries = list(Entry.objects.filter(batch=None).order_by("pk")[:MOST])
    if not entries:
        return None
    batch = _signed(number, previous, entries)
    batch.save(force_insert=True)  # first: of two that seal at once, one fails here
    sealed = Entry.objects.filter(pk__in=[entry.pk for entry in entries], batch=None).update(batch=number)
    if sealed != len(entries):
        raise IntegrityError("an entry was sealed by somebody else")
    logger.info("audit batch %d:%s is sealed, %d entries", number, batch.hash, batch.count)
    return batch


def _place() -> tuple[int, str]:
    """Return the number of the next batch, and the hash that it follows on."""
    if last := Batch.objects.order_by("-number").first():
        return last.number + 1, last.hash
    if point := Checkpoint.objects.order_by("-upto").first():
        return point.upto + 1, point.hash
    return 1, canonical.GENESIS


def _signed(number: int, previous: str, entries: list[Entry]) -> Batch:
    batch = Batch(number=number, previous=previous, sealed_at=timezone.now(), count=len(entries))
    batch.leaves = "\n".join(f"{entry.pk} {canonical.digest(entry)}" for entry in entries)
    batch.hash = canonical.hash_of(batch)
    key = keys.signing_key()
    batch.key = keys.public_half(key)
    batch.signature = key.sign(canonical.statement_of_batch(batch)).hex()
    return batch
