"""Offers, on a machine's page, to ask for room in the quota that is in its way."""

from __future__ import annotations

from typing import Any

from django import template
from django.contrib.auth.models import User

from lifecycle import quota_demands
from machines.models import Machine
from people.roles import is_administrator
from sharing.models import Ask, AskStatus

register = template.Library()


@register.inclusion_tag("sharing/ask_room.html", takes_context=True)
def ask_room(context: dict[str, Any], machine: Machine) -> dict[str, Any]:
    """Draw the button, or what was asked already; for administrators a link to where they raise it themselves."""
    person: User = context["user"]
    over = quota_demands.over_for(machine)
    open_asks = Ask.objects.filter(machine=machine, asked_by=person, status=AskStatus.OPEN, role="")
    return {
        "machine": machine,
        "over": over,
        "asked": open_asks.first() if over else None,
        "raises": is_administrator(person),
        "csrf_token": context["csrf_token"],
        "next": context["request"].path,
    }
