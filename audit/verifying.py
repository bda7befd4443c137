"""Looks through the whole trail for what was changed, removed, added or moved since it was sealed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection, transaction

from audit import canonical, guards, keys
from audit.models import Batch, Checkpoint, Entry


@contextmanager
def one_view() -> Iterator[None]:
    """Look at the trail as it is at one moment, whatever is sealed and removed meanwhile, and hold nobody up.

    On SQLite the open query of the batches does that by itself.
    """
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


@dataclass(frozen=True, slots=True)
class Head:
    """A batch by its number and hash; what a portal logged when it was sealed."""

    number: int
    hash: str


@dataclass(slots=True)
class Verification:
    """One look through the trail: iterate over `findings`; `head` and the counts are right afterwards."""

    expected: Head | None = None
    head: Head = Head(0, canonical.GENESIS)
    batches: int = 0
    entries: int = 0

    def findings(self) -> Iterator[str]:
        """Yield a sentence for everything that is wrong: which batch, which entry, and what."""
        trusted = keys.trusted()
        yield from self._checkpoints(trusted)
        begin = self.head.number
        yield from self._strays(begin)
        for batch in Batch.objects.filter(number__gt=self.head.number).order_by("number").iterator(50):
            yield from self._link(batch, trusted)
            yield from self._entries_of(batch)
            self.batches += 1
            self.head = Head(batch.number, batch.hash)
        yield from self._nowhere(begin)
        if gone := guards.missing(connection):
            yield f"The database does not refuse changes any more: {', '.join(gone)} missing. Run manage.py migrate."

    def _checkpoints(self, trusted: frozenset[str]) -> Iterator[str]:
        """Look at what was removed on purpose; the chain begins where the last signed statement says."""
        for point in Checkpoint.objects.order_by("upto"):
            if point.key not in trusted or not keys.is_signed(
                canonical.statement_of_checkpoint(point), point.key, point.signature
            ):
                yield f"Checkpoint up to batch {point.upto}: not signed by a key of this portal."
            self.head = Head(point.upto, point.hash)
            yield from self._expected()

    def _strays(self, upto: int) -> Iterator[str]:
        """Look for what a checkpoint says was removed."""
        for number in Batch.objects.filter(number__lte=upto).order_by("number").values_list("number", flat=True):
            yield f"Batch {number}: there, though a checkpoint says that it was removed."
        for entry in Entry.objects.filter(batch__lte=upto).order_by("pk").values_list("pk", flat=True):
            yield f"Entry {entry}: there, though a checkpoint says that it was removed."

    def _link(self, batch: Batch, trusted: frozenset[str]) -> Iterator[str]:
        """Look at a batch's place in the chain, its hash and who signed that."""
        if batch.number != self.head.number + 1:
            yield f"Batch {self.head.number + 1}: missing; the next one there is {batch.number}."
        elif batch.previous != self.head.hash:
            yield f"Batch {batch.number}: does not follow on the one before it."
        if canonical.hash_of(batch) != batch.hash:
            yield f"Batch {batch.number}: altered; its hash is another one."
        if batch.key not in trusted:
            yield f"Batch {batch.number}: signed by a key that is not trusted, {batch.key}."
        elif not keys.is_signed(canonical.statement_of_batch(batch), batch.key, batch.signature):
            yield f"Batch {batch.number}: its signature is wrong."
        if self.expected and self.expected.number == batch.number and self.expected.hash != batch.hash:
            yield f"Batch {batch.number}: not the one that was expected."

    def _entries_of(self, batch: Batch) -> Iterator[str]:
        """Hold each entry of a batch against the digest that was sealed."""
        sealed = dict(line.split(" ", 1) for line in batch.leaves.split("\n") if " " in line)
        found = 0
        for entry in Entry.objects.filter(batch=batch.number).order_by("pk").iterator(500):
            found += 1
            digest = sealed.pop(str(entry.pk), None)
            if digest is None:
                yield f"Batch {batch.number}, entry {entry.pk}: inserted after the batch was sealed."
            elif digest != canonical.digest(entry):
                yield f"Batch {batch.number}, entry {entry.pk}: altered."
        for missing in sealed:
            yield f"Batch {batch.number}, entry {missing}: removed."
        self.entries += found

    def _nowhere(self, begin: int) -> Iterator[str]:
        """Look for entries of batches that are not there, and for an end that was cut off."""
        lost = Entry.objects.filter(batch__gt=begin).exclude(batch__in=Batch.objects.values("number"))
        for entry, number in lost.order_by("pk").values_list("pk", "batch"):
            yield f"Entry {entry}: of batch {number}, which is missing."
        if self.expected and self.expected.number > self.head.number:
            yield f"Batch {self.expected.number}: missing; the last one there is {self.head.number}."

    def _expected(self) -> Iterator[str]:
        if self.expected and self.expected.number == self.head.number and self.expected.hash != self.head.hash:
            yield f"Batch {self.head.number}: not the one that was expected."


def open_entries() -> int:
    """Return how many entries are not sealed yet."""
    return Entry.objects.filter(batch=None).count()
