"""What proxies report, written into the audit. A report may come late and twice; it changes nothing for the worse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Greatest

from consoles import recordings, sessions, trail
from consoles.models import ConsoleEvent, ConsoleSession, EventKind, Mode
from consoles.proxy.endings import ending_of
from machines import push

Fields = dict[str, str]
WARNINGS = frozenset({"idle", "limit"})


def write(fields: Fields) -> set[UUID]:
    """Write one report; return the machine at which somebody came or left, if so.

    Raises:
        KeyError, ValueError, OverflowError, ValidationError: it is not understood.
    """
    row = ConsoleSession.objects.filter(pk=fields["session"])
    at = datetime.fromtimestamp(float(fields["at"]), UTC)
    row.update(
        bytes_to_client=Greatest(F("bytes_to_client"), Value(int(fields["to_client"]))),
        bytes_from_client=Greatest(F("bytes_from_client"), Value(int(fields["from_client"]))),
    )
    written = _REPORTS.get(fields["event"])
    return written(row, at, fields) if written else set()


def _opened(row: QuerySet[ConsoleSession], at: datetime, _fields: Fields) -> set[UUID]:
    with transaction.atomic():
        if not row.filter(opened_at=None).update(opened_at=at):
            return set()
        session = row.select_related("user", "machine").defer("machine__definition_xml").get()
        trail.opened(session, at)
    return {session.machine_id}


def _closed(row: QuerySet[ConsoleSession], at: datetime, fields: Fields) -> set[UUID]:
    """Write how it ended: the proxy knows best, its word corrects a guess."""
    return sessions.close(row, ending_of(fields["reason"]), at)


def _mode(row: QuerySet[ConsoleSession], at: datetime, fields: Fields) -> set[UUID]:
    _note(row, EventKind.MODE, at, mode=Mode(fields["mode"]))
    return set()


def _warned(row: QuerySet[ConsoleSession], at: datetime, fields: Fields) -> set[UUID]:
    """Note it, and show it to whom it is about."""
    ends_at = datetime.fromtimestamp(float(fields["ends_at"]), UTC).isoformat()
    reason = fields["reason"]
    if reason not in WARNINGS:
        raise ValueError(reason)
    if session := _note(row, EventKind.WARNED, at, reason=reason, ends_at=ends_at):
        warning = {"session": str(session.pk), "event": "warning", "reason": reason, "ends_at": ends_at}
        push.console(session.user_id or 0, warning)
    return set()


def _recorded(row: QuerySet[ConsoleSession], at: datetime, fields: Fields) -> set[UUID]:
    """Keep where the recording lies: told when it begins and when it ends."""
    size, seconds = int(fields["bytes"]), float(fields["seconds"])
    if seconds:
        _note(row, EventKind.RECORDED, at, bytes=size, seconds=seconds)
    recordings.reported(UUID(fields["session"]), at=at, file=fields["file"], size=size, seconds=seconds)
    return set()


def _note(row: QuerySet[ConsoleSession], kind: EventKind, at: datetime, **detail: object) -> ConsoleSession | None:
    """Write an event of a session; return the session unless there is none or it was written before."""
    session = row.first()
    if session is None:
        return None
    _event, new = ConsoleEvent.objects.get_or_create(session=session, kind=kind, at=at, defaults={"detail": detail})
    return session if new else None


_REPORTS: dict[str, Callable[[QuerySet[ConsoleSession], datetime, Fields], set[UUID]]] = {
    "opened": _opened,
    "closed": _closed,
    "mode": _mode,
    "warned": _warned,
    "recorded": _recorded,
}
