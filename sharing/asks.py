"""Asking the owners of a machine for a right, or administrators for room for it, live; answered with one click."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from lifecycle import quota_demands
from machines import push, quotas
from machines.access import ROLE_RIGHT, Person, Right, people_who_see, right_over, rights_of_holders, visible_machines
from machines.models import Grant, Machine
from machines.parameters import bad
from machines.payload import iso
from machines.quotas import Resource
from machines.refusals import FORBIDDEN, RefusalCode
from machines.refused import Refused
from people.models import Role
from people.roles import is_administrator
from sharing.giving import demand_future, keepable
from sharing.models import LONGEST_NOTE, Ask, AskStatus
from sharing.signals import ask_moved


def ask(machine: Machine, by: User, role: Role, note: str = "") -> Ask:
    """Ask for a right over a machine that one sees; asking again changes what is asked.

    Raises:
        Refused: `has_right`: they have it already.
    """
    if right_over(by, machine) >= ROLE_RIGHT[role]:
        raise Refused("has_right", _("You have this right already."))
    with transaction.atomic():
        Machine.objects.select_for_update().get(pk=machine.pk)
        row = Ask.objects.filter(machine=machine, asked_by=by, status=AskStatus.OPEN, resource="").first()
        row = row or Ask(machine=machine, asked_by=by)
        row.role, row.note, row.created_at = role, keepable(note)[:LONGEST_NOTE], timezone.now()
        row.save()
        _tell(row)
    return row


def ask_room(machine: Machine, by: User, note: str = "") -> Ask:
    """Ask administrators to let the quota of a machine's owner have room for it; asking again changes what is asked.

    Raises:
        Refused: `forbidden`: they may not operate it; `has_room`: no quota is in the way.
    """
    if right_over(by, machine) < Right.OPERATE:
        raise Refused(RefusalCode.RIGHT, _(FORBIDDEN) % {"right": Right.OPERATE.word}, status=403)
    with transaction.atomic():
        fresh = Machine.objects.select_for_update().get(pk=machine.pk)
        over = quota_demands.over_for(fresh)
        if over is None:
            raise Refused("has_room", _("No quota is in its way."))
        row = Ask.objects.filter(machine=fresh, asked_by=by, status=AskStatus.OPEN, role="").first()
        row = row or Ask(machine=fresh, asked_by=by)
        row.resource, row.wanted, row.whose = over.resource, over.used, fresh.holder
        row.note, row.created_at = keepable(note)[:LONGEST_NOTE], timezone.now()
        row.save()
        _tell(row)
    return row


def grant(ask: Ask, by: User, expires_at: datetime | None) -> Ask:
    """Give what was asked for, until a moment or until it is revoked. Room in a quota is given for good.

    Raises:
        Refused: `answered`: somebody was faster, or it was withdrawn; `bad_parameters`: the moment is over, a quota was
            to be raised until one, or the machine has another owner now.
    """
    demand_future(expires_at)
    if ask.resource:
        return _raise_quota(ask, by, expires_at)
    with transaction.atomic():
        answered = _answer(ask, AskStatus.GRANTED, by)
        held = {"machine": ask.machine, "user": ask.asked_by, "expires_at": expires_at}
        row = Grant.objects.filter(**held).first() if expires_at is None else None
        row = row or Grant(**held)
        row.role, row.granted_by = answered.role, by
        row.save()
        Ask.objects.filter(pk=ask.pk).update(grant=row)
        answered.grant = row
        _tell(answered)
    return answered


def decline(ask: Ask, by: User) -> Ask:
    """Say no.

    Raises:
        Refused: `answered`: somebody was faster, or it was withdrawn.
    """
    return _end(ask, AskStatus.DECLINED, by)


def withdraw(ask: Ask, by: User) -> Ask:
    """Ask no more.

    Raises:
        Refused: `answered`: it was answered already.
    """
    return _end(ask, AskStatus.WITHDRAWN, by)


def to_answer_or_404(person: Person, ask_id: int) -> Ask:
    """Fetch an ask for who may answer it.

    Raises:
        Http404: there is none of this number, or this person does not own the machine, or, for a quota, is no
            administrator.
    """
    row = _rows().filter(pk=ask_id).first()
    if row is None or right_over(person, row.machine) < (Right.ADMIN if row.resource else Right.OWN):
        raise Http404(_("There is no such ask."))
    return row


def own_or_404(person: Person, ask_id: int) -> Ask:
    """Fetch an ask for who asked it.

    Raises:
        Http404: there is none of this number, or it is somebody else's.
    """
    row = _rows().filter(pk=ask_id, asked_by=person.pk).first()
    if row is None:
        raise Http404(_("There is no such ask."))
    return row


def to_answer(person: Person) -> list[Ask]:
    """Return the open asks that this person may answer, the newest first."""
    rows = list(_rows().filter(status=AskStatus.OPEN, machine__in=visible_machines(person).values("pk")))
    if not is_administrator(person):
        rows = [row for row in rows if not row.resource]
    rights = rights_of_holders({(person.pk or 0, row.machine_id) for row in rows})
    return [row for row in rows if rights.get((person.pk or 0, row.machine_id), Right.NONE) >= Right.OWN]


def asked_by(person: Person) -> QuerySet[Ask]:
    """Return what this person asked for, the newest first."""
    return _rows().filter(asked_by=person.pk)


def deciders(machine: Machine) -> set[int]:
    """Return the ids of those who are asked: the machine's owners, or the administrators where it has none."""
    seeing = people_who_see(machine)
    rights = rights_of_holders({(user, machine.uuid) for user in seeing})
    return {user for (user, _machine), right in rights.items() if right >= Right.OWN} or administrators()


def administrators() -> set[int]:
    """Return the ids of the administrators."""
    return set(User.objects.filter(is_active=True, is_superuser=True).values_list("pk", flat=True))


def ask_payload(row: Ask) -> dict[str, Any]:
    """Describe an ask to who asked it and to who answers it."""
    return {
        "id": row.pk,
        "machine": str(row.machine_id),
        "machine_name": row.machine.name,
        "asked_by": row.asked_by.get_username(),
        "role": row.role or None,
        "quota": {"resource": row.resource, "wanted": row.wanted, "whose": row.whose} if row.resource else None,
        "wanted_words": row.wanted_words,
        "note": row.note,
        "status": row.status,
        "created_at": iso(row.created_at),
        "answered_by": row.answered_by.get_username() if row.answered_by else None,
        "answered_at": iso(row.answered_at),
        "expires_at": iso(row.grant.expires_at) if row.grant else None,
    }


def _rows() -> QuerySet[Ask]:
    rows = Ask.objects.select_related("machine__owner", "machine__project", "asked_by", "answered_by", "grant")
    return rows.defer("machine__definition_xml", "machine__description")


def _end(ask: Ask, status: AskStatus, by: User) -> Ask:
    with transaction.atomic():
        ended = _answer(ask, status, by)
        _tell(ended)
    return ended


def _raise_quota(ask: Ask, by: User, expires_at: datetime | None) -> Ask:
    """Raise the one limit to what was asked for; one that is higher meanwhile, or is gone, stays."""
    if expires_at is not None:
        raise bad("expires_at", _("A quota is raised for good: name no end."))
    with transaction.atomic():
        machine = Machine.objects.select_related("owner", "project").get(pk=ask.machine_id)
        holder = quotas.holder_of(machine)
        quota = holder.quotas.select_for_update().first() if holder else None
        if machine.holder != ask.whose:
            raise bad("grant", _("The machine has another owner now: decline it."))
        answered = _answer(ask, AskStatus.GRANTED, by)
        resource, wanted = Resource(ask.resource), ask.wanted or 0
        limit = quotas.limit_of(quota, resource) if quota else None
        if quota and limit is not None and limit < wanted:
            quotas.set_limit(quota, resource, wanted)
        _tell(answered)
        push.listing(people_who_see(machine), everything=True)
    return answered


def _answer(ask: Ask, status: AskStatus, by: User) -> Ask:
    values: Mapping[str, Any] = {"status": status, "answered_by": by, "answered_at": timezone.now()}
    if not Ask.objects.filter(Q(status=AskStatus.OPEN), pk=ask.pk).update(**values):
        fresh = _rows().get(pk=ask.pk)
        details = {"status": fresh.status}
        raise Refused(
            "answered", _("It is no longer open: %(how)s.") % {"how": fresh.get_status_display()}, details=details
        )
    return _rows().get(pk=ask.pk)


def _tell(row: Ask) -> None:
    """Tell who asked and who may answer, on whatever page they are; and the machine's page of access."""
    asked = administrators() if row.resource else deciders(row.machine)
    push.ask({*asked, row.asked_by_id}, ask_payload(row))
    push.access(row.machine_id)
    transaction.on_commit(lambda: ask_moved.send_robust(Ask, ask=row, user_ids=asked))
