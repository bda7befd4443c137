"""Asking the owners of a machine for a right, live, and answering with one click."""

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

from machines import push
from machines.access import ROLE_RIGHT, Person, Right, people_who_see, right_over, rights_of_holders, visible_machines
from machines.models import Grant, Machine
from machines.payload import iso
from machines.refused import Refused
from people.models import Role
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
        row = Ask.objects.filter(machine=machine, asked_by=by, status=AskStatus.OPEN).first()
        row = row or Ask(machine=machine, asked_by=by)
        row.role, row.note, row.created_at = role, keepable(note)[:LONGEST_NOTE], timezone.now()
        row.save()
        _tell(row)
    return row


def grant(ask: Ask, by: User, expires_at: datetime | None) -> Ask:
    """Give what was asked for, until a moment or until it is revoked.

    Raises:
        Refused: `answered`: somebody was faster, or it was withdrawn.
    """
    demand_future(expires_at)
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
        Http404: there is none of this number, or this person does not own the machine.
    """
    row = _rows().filter(pk=ask_id).first()
    if row is None or right_over(person, row.machine) < Right.OWN:
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
    rights = rights_of_holders({(person.pk or 0, row.machine_id) for row in rows})
    return [row for row in rows if rights.get((person.pk or 0, row.machine_id), Right.NONE) >= Right.OWN]


def asked_by(person: Person) -> QuerySet[Ask]:
    """Return what this person asked for, the newest first."""
    return _rows().filter(asked_by=person.pk)


def deciders(machine: Machine) -> set[int]:
    """Return the ids of those who are asked: the machine's owners, or the administrators where it has none."""
    seeing = people_who_see(machine)
    rights = rights_of_holders({(user, machine.uuid) for user in seeing})
    owners = {user for (user, _machine), right in rights.items() if right >= Right.OWN}
    return owners or set(User.objects.filter(is_active=True, is_superuser=True).values_list("pk", flat=True))


def ask_payload(row: Ask) -> dict[str, Any]:
    """Describe an ask to who asked it and to who answers it."""
    return {
        "id": row.pk,
        "machine": str(row.machine_id),
        "machine_name": row.machine.name,
        "asked_by": row.asked_by.get_username(),
        "role": row.role,
        "note": row.note,
        "status": row.status,
        "created_at": iso(row.created_at),
        "answered_by": row.answered_by.get_username() if row.answered_by else None,
        "answered_at": iso(row.answered_at),
        "expires_at": iso(row.grant.expires_at) if row.grant else None,
    }


def _rows() -> QuerySet[Ask]:
    rows = Ask.objects.select_related("machine", "asked_by", "answered_by", "grant")
    return rows.defer("machine__definition_xml", "machine__description")


def _end(ask: Ask, status: AskStatus, by: User) -> Ask:
    with transaction.atomic():
        ended = _answer(ask, status, by)
        _tell(ended)
    return ended


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
    asked = deciders(row.machine)
    push.ask({*asked, row.asked_by_id}, ask_payload(row))
    push.access(row.machine_id)
    transaction.on_commit(lambda: ask_moved.send_robust(Ask, ask=row, user_ids=asked))
