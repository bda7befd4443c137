"""The banner that every page shows while something is announced."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from maintenance.notices import Notice, announced

register = template.Library()


@register.inclusion_tag("maintenance/banner.html")
def maintenance_banner(person: object) -> dict[str, Any]:
    """Draw what is in force now, and tell the page's script what is to come. One query at most."""
    told = announced(person)
    return {"told": told, "in_force": [notice for notice in told["notices"] if _is_in_force(notice)]}


def _is_in_force(notice: Notice) -> bool:
    now = timezone.now()
    begins, ends = parse_datetime(notice["begins_at"]), parse_datetime(notice["ends_at"] or "")
    return bool(begins and begins <= now) and (ends is None or ends > now)
