"""What is announced, as pages, sockets and refusals need it. The one reader of the maintenance rows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from django.utils import timezone
from django.utils.translation import gettext as _

from maintenance.models import Maintenance

SHOWN = 20
"""Notices that a page is told of, the earliest first."""


class Notice(TypedDict):
    """One notice that is not over. Times in ISO 8601; `sentence` is why nothing new may begin, empty if it may."""

    text: str
    closes: bool
    sentence: str
    begins_at: str
    ends_at: str | None


class Announced(TypedDict):
    """All notices that are not over, and a version that changes with them."""

    version: str
    notices: list[Notice]


@dataclass(frozen=True, slots=True)
class Closure:
    """Why nothing new may begin now, and in how many seconds it may again (None: nobody knows)."""

    sentence: str
    seconds: int | None


def announced(person: object = None) -> Announced:
    """Return what browsers draw. They begin and end each notice by its times. One query, see `_not_over`."""
    return _described(_not_over(person)[:SHOWN])


def closure(person: object = None) -> Closure | None:
    """Return what lets nothing new begin at this moment; of several the one that lasts longest. One query."""
    now = timezone.now()
    rows = [row for row in _not_over(person) if row.closes and row.is_in_force(now)]
    if not rows:
        return None
    last = max(rows, key=lambda row: (row.ends_at is None, row.ends_at or now))
    return Closure(_sentence(last), max(1, round((last.ends_at - now).total_seconds())) if last.ends_at else None)


def _not_over(person: object) -> list[Maintenance]:
    """Return what is in force or to come; remembered on the user object of a page, which needs it twice."""
    known: list[Maintenance] | None = getattr(person, "_maintenance", None)
    if known is None:
        known = list(Maintenance.objects.not_over(timezone.now()))
        if person is not None:
            person._maintenance = known  # type: ignore[attr-defined]
    return known


def _described(rows: list[Maintenance]) -> Announced:
    notices: list[Notice] = [
        {
            "text": row.text,
            "closes": row.closes,
            "sentence": _sentence(row) if row.closes else "",
            "begins_at": row.begins_at.isoformat(),
            "ends_at": row.ends_at.isoformat() if row.ends_at else None,
        }
        for row in rows
    ]
    written = json.dumps(notices).encode() if notices else b""
    return {"version": hashlib.sha256(written).hexdigest()[:16] if written else "", "notices": notices}


def _sentence(row: Maintenance) -> str:
    if row.ends_at:
        words = _("Maintenance until %(end)s: %(text)s Nothing new can be begun before.")
        return words % {"end": _written(row.ends_at), "text": _ended(row.text)}
    return _("Maintenance: %(text)s Nothing new can be begun until it is over.") % {"text": _ended(row.text)}


def _ended(text: str) -> str:
    """Let a text end as a sentence does, so that another can follow."""
    text = text.strip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _written(when: datetime) -> str:
    return timezone.localtime(when).strftime("%Y-%m-%d %H:%M %Z")
