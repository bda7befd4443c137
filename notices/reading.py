"""Whose notices they are and what of them may be shown: nothing about a machine that their reader no longer sees."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone

from machines import push
from machines.access import Person, sees_everything, visible_machines
from notices.models import Notice

if TYPE_CHECKING:
    from django.db.models import QuerySet


def notices_of(person: Person) -> QuerySet[Notice]:
    """Return the notices that this person may read, newest first, those too that are for mail only."""
    if not person.is_authenticated or not person.is_active:
        return Notice.objects.none()
    found = Notice.objects.filter(user=person.pk)
    if not sees_everything(person):
        found = found.filter(Q(machine=None) | Q(machine__in=visible_machines(person).values("pk")))
    return found.select_related("machine").defer("machine__definition_xml", "machine__description")


def shown_to(person: Person) -> QuerySet[Notice]:
    """Return the notices of this person's bell and page, newest first."""
    return notices_of(person).filter(in_page=True)


def unread_count(person: Person) -> int:
    """Return how many this person has not read yet (one query)."""
    return shown_to(person).filter(read_at=None).count()


def mark_read(person: User, *, ids: Collection[int] = (), up_to: int | None = None) -> int:
    """Mark notices of this person read: these, or all up to one; return how many were unread. Other tabs are told."""
    which = Q(pk__lte=up_to) if up_to is not None else Q(pk__in=ids)
    count = Notice.objects.filter(which, user=person.pk, read_at=None).update(read_at=timezone.now())
    if count:
        push.notices([person.pk])
    return count
