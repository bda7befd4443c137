"""Asking for a machine and answering that: granting makes it. Requests move only here, by compare-and-swap."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from machines import push
from machines.access import Person, own_projects
from machines.parameters import bad
from machines.payload import iso
from machines.refused import Refused
from making import building
from making.models import LONGEST_ANSWER, LONGEST_REASON, SIZES, MachineRequest, RequestStatus
from making.signals import request_moved
from making.wishes import Wish, wish_of
from people.models import Membership, Project, Role
from people.roles import is_administrator
from sharing.asks import administrators
from sharing.giving import keepable, taker

MOST_OPEN = 20
"""Open requests of one person."""
_ASKED = ("name", "template", *SIZES)


def ask(by: User, given: Mapping[str, Any]) -> MachineRequest:
    """Ask for a machine; for who may answer it themselves it is made at once.

    Args:
        by: who asks.
        given: as `making.wishes.wish_of`; `project` by name, empty for oneself; `reason`, needed without a template.

    Raises:
        Refused: `bad_parameters`; `too_many_requests`; where it is made at once, as `grant`.
    """
    wish = wish_of(by, given)
    reason = keepable(str(given.get("reason") or ""))
    if not (wish.template or reason):
        raise bad("reason", _("Choose a template, or say what the machine is for."))
    if len(reason) > LONGEST_REASON:
        raise bad("reason", _("The reason may have at most %(most)s characters.") % {"most": LONGEST_REASON})
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=by.pk)  # so that nobody asks more at once than they may
        if MachineRequest.objects.filter(asked_by=by, status=RequestStatus.OPEN).count() >= MOST_OPEN:
            raise Refused("too_many_requests", _("%(most)s of your requests are open already.") % {"most": MOST_OPEN})
        project = _project(by, str(given.get("project") or ""))
        row = MachineRequest(asked_by=by, project=project, reason=reason)
        _write(row, wish)
        row.save()
        if wish.template and may_answer(by, row):
            return grant(row, by, {})
        _tell(row)
    return row


def grant(row: MachineRequest, by: User, given: Mapping[str, Any], answer: str = "") -> MachineRequest:
    """Make the machine, perhaps another than was asked for, and give it to whom it was asked for.

    Args:
        row: the request.
        by: who may answer it.
        given: what is to be different, as `making.wishes.wish_of`.
        answer: a sentence for who asked.

    Raises:
        Refused: `answered`: somebody was faster; `bad_parameters`; `quota_exceeded`, with the figures; `name_taken`; or
            its host cannot make one now. Then it stays open.
    """
    wish = wish_of(by, given, row)
    if wish.template is None:
        raise bad("template", _("Choose the template that the machine is made from."))
    with transaction.atomic():
        fresh = _answer(row, RequestStatus.GRANTED, by, answer)
        before = {name: _plain(fresh, name) for name in _ASKED}
        _write(fresh, wish)
        fresh.asked = {name: was for name, was in before.items() if was != _plain(fresh, name)}
        fresh.machine = building.build(by, wish.template, wish, fresh.project or fresh.asked_by).machine
        fresh.save()
        _tell(fresh)
    return fresh


def decline(row: MachineRequest, by: User, answer: str = "") -> MachineRequest:
    """Say no, perhaps with a sentence.

    Raises:
        Refused: `answered`: somebody was faster, or it was withdrawn.
    """
    return _end(row, RequestStatus.DECLINED, by, answer)


def withdraw(row: MachineRequest, by: User) -> MachineRequest:
    """Ask no more.

    Raises:
        Refused: `answered`: it was answered already.
    """
    return _end(row, RequestStatus.WITHDRAWN, by, "")


def may_answer(person: Person, row: MachineRequest) -> bool:
    """Return whether this person may grant it: an owner of the project, or an administrator."""
    if is_administrator(person):
        return True
    owners = Membership.objects.filter(project=row.project_id, user=person.pk, role=Role.OWNER)
    return person.is_active and row.project_id is not None and owners.exists()


def to_answer(person: Person) -> QuerySet[MachineRequest]:
    """Return the open requests that this person may answer, the oldest first."""
    rows = _rows().filter(status=RequestStatus.OPEN).order_by("pk")
    return rows if is_administrator(person) else rows.filter(project__in=own_projects(person, Role.OWNER))


def asked_by(person: Person) -> QuerySet[MachineRequest]:
    """Return what this person asked for, the newest first."""
    return _rows().filter(asked_by=person.pk)


def seen_or_404(person: Person, pk: int) -> MachineRequest:
    """Fetch a request for who asked it or may answer it.

    Raises:
        Http404: there is none of this number, or this person may not know of it.
    """
    row = _rows().filter(pk=pk).first()
    if row is None or not (row.asked_by_id == person.pk or may_answer(person, row)):
        raise Http404(_("There is no such request."))
    return row


def to_answer_or_404(person: Person, pk: int) -> MachineRequest:
    """Fetch a request for who may answer it.

    Raises:
        Http404: there is none of this number, or it is not theirs to answer.
    """
    row = seen_or_404(person, pk)
    if not may_answer(person, row):
        raise Http404(_("There is no such request."))
    return row


def own_or_404(person: Person, pk: int) -> MachineRequest:
    """Fetch a request for who asked it.

    Raises:
        Http404: there is none of this number, or it is somebody else's.
    """
    row = seen_or_404(person, pk)
    if row.asked_by_id != person.pk:
        raise Http404(_("There is no such request."))
    return row


def request_payload(row: MachineRequest) -> dict[str, Any]:
    """Describe a request to who asked it and to who answers it."""
    return {
        "id": row.pk,
        "asked_by": row.asked_by.get_username(),
        "project": row.project.name if row.project else None,
        "template": row.template.name if row.template else None,
        "name": row.name,
        **{size: getattr(row, size) for size in SIZES},
        "asked": row.asked,
        "reason": row.reason,
        "status": row.status,
        "created_at": iso(row.created_at),
        "answered_by": row.answered_by.get_username() if row.answered_by else None,
        "answered_at": iso(row.answered_at),
        "answer": row.answer,
        "machine": str(row.machine_id) if row.machine_id else None,
    }


def _rows() -> QuerySet[MachineRequest]:
    rows = MachineRequest.objects.select_related("asked_by", "answered_by", "project", "template__host", "machine")
    return rows.defer("machine__definition_xml", "machine__description")


def _project(by: User, name: str) -> Project | None:
    found: Project | None = taker(by, user="", project=name)["project"] if name else None
    return found


def _write(row: MachineRequest, wish: Wish) -> None:
    for name in _ASKED:
        setattr(row, name, getattr(wish, name))


def _plain(row: MachineRequest, name: str) -> str | int:
    value = getattr(row, name)
    return value if isinstance(value, int) else str(value or "")


def _end(row: MachineRequest, status: RequestStatus, by: User, answer: str) -> MachineRequest:
    with transaction.atomic():
        ended = _answer(row, status, by, answer)
        ended.save()
        _tell(ended)
    return ended


def _answer(row: MachineRequest, status: RequestStatus, by: User, answer: str) -> MachineRequest:
    """Take an open request by compare-and-swap; the caller saves what else changes, in the same transaction."""
    fresh = _rows().get(pk=row.pk)
    if not MachineRequest.objects.filter(Q(status=RequestStatus.OPEN), pk=row.pk).update(answered_by=by):
        sentence = _("It is no longer open: %(how)s.") % {"how": fresh.get_status_display()}
        raise Refused("answered", sentence, details={"status": fresh.status})
    fresh.status, fresh.answered_by, fresh.answered_at = status, by, timezone.now()
    fresh.answer = keepable(answer)[:LONGEST_ANSWER]
    return fresh


def _tell(row: MachineRequest) -> None:
    """Tell who asked and who may answer, on whatever page they are; nobody is asked by themselves."""
    owners = Membership.objects.filter(project=row.project_id, role=Role.OWNER, user__is_active=True)
    deciding = set(owners.values_list("user", flat=True)) if row.project_id else set()
    asked = (deciding - {row.asked_by_id} or administrators()) - {row.asked_by_id}
    push.requests({*asked, *administrators(), row.asked_by_id})
    transaction.on_commit(partial(request_moved.send_robust, MachineRequest, row=row, user_ids=asked))
