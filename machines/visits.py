"""Begins and ends visits: rights over a machine that last for a while. Sockets and consoles hear of both at once."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import User
from django.utils import timezone

from machines.models import GrantRole, Machine, Visit


def begin(machine: Machine, user: User, role: GrantRole, *, until: datetime) -> Visit:
    """Give a person a right over a machine until then."""
    return Visit.objects.create(machine=machine, user=user, role=role, until=until)


def end(visit: Visit | None) -> None:
    """Take the right away now, if it was not taken before; nothing where there is no visit."""
    if visit is not None and visit.ended_at is None:
        visit.ended_at = timezone.now()
        visit.save(update_fields=["ended_at"])
