"""What pages of other apps show of consoles."""

from __future__ import annotations

from typing import Any

from django import template
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import ngettext

from consoles.models import ConsoleSession, EventKind
from consoles.recordings import NEEDED
from machines.access import Person, Right, right_over
from machines.models import Machine
from machines.templatetags.portal import duration

register = template.Library()
SHOWN = 100
"""Sessions on the page, newest first; administrators find older ones in the admin."""


@register.inclusion_tag("consoles/sessions.html")
def console_sessions(machine: Machine, person: Person) -> dict[str, Any]:
    """Draw who was at a machine's screen: all to its owners, to others what they did themselves."""
    right = right_over(person, machine)
    sees_all = right >= Right.OWN
    rows = ConsoleSession.objects.filter(machine=machine).exclude(opened_at=None)
    rows = rows if sees_all else rows.filter(user=person.pk)
    typed = Count("events", filter=Q(events__kind=EventKind.TYPED))
    rows = rows.select_related("user", "recording").annotate(times_typed=typed)
    sessions = rows.order_by("-asked_at")[:SHOWN]
    return {"sessions": sessions, "sees_all": sees_all, "sees_recordings": right >= NEEDED, "shown": SHOWN}


@register.filter
def times_typed(count: int) -> str:
    """Say how often text was typed into it by the page."""
    return ngettext("text typed once", "text typed %(count)d times", count) % {"count": count}


@register.filter
def open_for(session: ConsoleSession) -> str:
    """Say how long it was open, or has been so far."""
    opened = session.opened_at or session.asked_at
    return duration(((session.ended_at or timezone.now()) - opened).total_seconds())
