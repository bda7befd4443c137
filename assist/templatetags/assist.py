"""What pages of other apps show of help."""

from __future__ import annotations

from typing import Any

from django import template
from django.contrib.auth.models import User

from assist import queue
from assist.lines import lines_at
from assist.models import Assist
from assist.parties import helps
from consoles import thumbnails
from machines.access import Right
from machines.models import Machine

register = template.Library()
SHOWN = 20
"""Assists in a machine's history, newest first."""


@register.inclusion_tag("assist/lines.html", takes_context=True)
def assist_lines(context: dict[str, Any], machine: Machine, right: Right, place: str) -> dict[str, Any]:
    """Draw the lines about help at a machine over which its reader has that right; `place` is "page" or "console"."""
    return {**lines_at(context["user"], machine, right, place), "csrf_token": context["csrf_token"]}


@register.inclusion_tag("assist/history.html")
def assist_history(machine: Machine) -> dict[str, Any]:
    """Draw who was helped with a machine, and who looked without consent."""
    rows = Assist.objects.filter(machine=machine, active_at__isnull=False).select_related("user", "helper")
    return {"assists": rows.defer("picture", "facts")[:SHOWN]}


@register.filter(name="helps")
def helps_others(person: User) -> bool:
    """Return whether this person may help others."""
    return helps(person)


@register.simple_tag
def help_waiting() -> int:
    """Return how many requests wait for a helper."""
    return queue.waiting_count()


@register.filter
def pictures_allowed(machine: Machine) -> bool:
    """Return whether pictures of a machine's screen may be taken and shown."""
    return not thumbnails.switched_off([machine.pk])
