"""What is hashed and signed, byte for byte. docs/audit.md describes it; changing it breaks every chain there is."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

from audit.models import Batch, Checkpoint, Entry

GENESIS = "0" * 64
"""What stands for the hash of the batch before the first."""


def digest(entry: Entry) -> str:
    """Return the SHA-256 of everything an entry says."""
    said = {
        "id": entry.pk,
        "at": _moment(entry.at),
        "kind": entry.kind,
        "who_id": entry.who_id,
        "who": entry.who,
        "via": entry.via,
        "address": entry.address,
        "machine": str(entry.machine) if entry.machine else None,
        "machine_name": entry.machine_name,
        "detail": entry.detail,
    }
    return _sha256(json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True))


def hash_of(batch: Batch) -> str:
    """Return the SHA-256 over a batch's digests, its place in the chain and the batch before."""
    lines = ["kvmportal audit batch", batch.number, batch.previous, _moment(batch.sealed_at), batch.count, batch.leaves]
    return _sha256("\n".join(map(str, lines)))


def statement_of_batch(batch: Batch) -> bytes:
    """Return what a batch's signature is over."""
    return f"kvmportal audit batch\n{batch.number}\n{batch.hash}".encode()


def statement_of_checkpoint(point: Checkpoint) -> bytes:
    """Return what a checkpoint's signature is over."""
    moments = [_moment(point.sealed_at), point.count, _moment(point.made_at)]
    return "\n".join(map(str, ["kvmportal audit checkpoint", point.upto, point.hash, *moments])).encode()


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="microseconds")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
