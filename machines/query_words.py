"""Filters as they stand in an address: reading a text, words of a list, a moment. Lists of every app read them so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from typing import TypeVar

from django.http import QueryDict
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from machines.refused import Refused

LATELY: dict[str, tuple[timedelta, str | Promise]] = {
    "1h": (timedelta(hours=1), gettext_lazy("last hour")),
    "24h": (timedelta(hours=24), gettext_lazy("last 24 hours")),
    "7d": (timedelta(days=7), gettext_lazy("last 7 days")),
}
"""Times back from now, by the word that stands for each in an address."""
LONGEST = 255  # characters of a machine's name
YEARS = range(1970, 3000)

Value = TypeVar("Value")


def bad_filter(parameter: str, why: str) -> Refused:
    """Return the refusal of a filter: `bad_filter` (400), which names the parameter."""
    sentence = _("The filter “%(parameter)s” cannot be used: %(why)s.") % {"parameter": parameter, "why": why}
    return Refused("bad_filter", sentence, status=400, details={"parameter": parameter})


def text(query: QueryDict, name: str) -> str:
    """Return a text, stripped.

    Raises:
        Refused: `bad_filter` (400); it is too long.
    """
    found = query.get(name, "").replace("\0", "").strip()
    if len(found) > LONGEST:
        raise bad_filter(name, _("it is longer than %(limit)s characters") % {"limit": LONGEST})
    return found


def several(query: QueryDict, name: str, known: Iterable[str], as_value: Callable[[str], Value]) -> tuple[Value, ...]:
    """Return the values of a parameter that may repeat, each once.

    Raises:
        Refused: `bad_filter` (400); one is not known.
    """
    words = [word for word in query.getlist(name) if word]
    if any(word not in known for word in words):
        raise bad_filter(name, _("it may be %(words)s") % {"words": ", ".join(known)})
    return tuple(as_value(word) for word in dict.fromkeys(words))


def one_of(query: QueryDict, name: str, known: Iterable[str]) -> str:
    """Return one of some words, or nothing.

    Raises:
        Refused: `bad_filter` (400); it is none of them.
    """
    return next(iter(several(query, name, known, str)), "")


def moment(query: QueryDict, name: str, *, end: bool = False) -> datetime | None:
    """Read a date (its begin, or with `end` its end) or a date and time, in the portal's zone unless it names one.

    Raises:
        Refused: `bad_filter` (400); it is neither.
    """
    written = text(query, name)
    if not written:
        return None
    try:
        when = (
            _midnight(date.fromisoformat(written), end=end)
            if len(written) <= len("2026-11-24")
            else datetime.fromisoformat(written)
        )
        when = when if timezone.is_aware(when) else timezone.make_aware(when)
    except (ValueError, OverflowError):
        when = None
    if when is None or when.year not in YEARS:
        raise bad_filter(name, _("write a date such as 2026-11-24, or a date and time such as 2026-11-24T09:30"))
    return when


def _midnight(day: date, *, end: bool) -> datetime:
    return datetime.combine(day + timedelta(days=1) if end else day, time())
