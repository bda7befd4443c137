"""The one writer of the trail. An entry is one INSERT, in whatever transaction the caller is in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from audit.asking import Asker, asker
from audit.models import Entry
from machines.models import Machine

LONGEST = 500
"""Characters of a text in an entry's detail."""


def record(
    kind: str,
    machine: Machine | None = None,
    /,
    *,
    who: User | None = None,
    by: Asker | None = None,
    at: datetime | None = None,
    **detail: Any,
) -> None:
    """Write what happened.

    Args:
        kind: a word of `audit.kinds`.
        machine: what it happened to, if to a machine.
        who: who did it, where that is not who asks.
        by: who asks, where that is not the request which is answered now.
        at: when, if not now.
        detail: what there is to say beside; never a secret.
    """
    entry(kind, machine, who=who, by=by, at=at, **detail).save(force_insert=True)


def record_all(entries: Iterable[Entry]) -> None:
    """Write several entries by one INSERT."""
    if rows := list(entries):
        Entry.objects.bulk_create(rows)


def entry(
    kind: str,
    machine: Machine | None = None,
    /,
    *,
    who: User | None = None,
    by: Asker | None = None,
    at: datetime | None = None,
    **detail: Any,
) -> Entry:
    """Return an entry as `record` writes it, not yet written."""
    asking = by or asker()
    person = who or asking.user
    if asking.token:
        detail["token"] = asking.token
    return Entry(
        at=at or timezone.now(),
        kind=kind,
        who_id=person.pk if person else None,
        who=_plain(person.get_username())[:150] if person else "",
        via=asking.via,
        address=asking.address,
        machine=machine.pk if machine else None,
        machine_name=_plain(machine.name)[:255] if machine else "",
        detail=plain(detail),
    )


def plain(value: Any) -> Any:
    """Return a value as JSON keeps it in every database: no NUL, no halves of characters, nothing endless."""
    if isinstance(value, dict):
        return {_plain(str(name)): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return round(value, 3)
    if value is None or isinstance(value, bool | int):
        return value
    return _plain(str(value))


def _plain(text: str) -> str:
    return text.replace("\0", "").encode(errors="replace").decode()[:LONGEST]
