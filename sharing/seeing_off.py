"""Doing what the policy says with the machines of somebody who is disabled or deleted (`sharing.departures`).

It is done however somebody comes to be disabled: the administration has it done at once (`see_off`), and beat looks
every minute for who was disabled elsewhere (`due`, `look_after`). A row of `Departure` says that it is done, so that it
is done once. Who is deleted is seen off before, by the administration or else as Django deletes the row
(`sharing.leaving`).
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import trail
from audit.watching import named
from hypervisor.states import ACTIVE_STATES
from lifecycle import operations
from lifecycle.models import OPEN, Operation, Status
from machines.models import Machine
from machines.refused import Refused
from sharing.departures import policy, project_of
from sharing.models import Departure, Policy
from sharing.signals import departed

AT_ONCE = 50
"""People whom one look of beat deals with; the next look takes the next."""
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)
"""How long until a machine that is not saved yet is looked at again: twice as long each time, up to the longest."""
MOST_TRIES = 28
"""How often saving is asked for: for about a day."""
TOLD_FROM = 3
"""The try from which on administrators are told what is not saved: what passes in a few minutes is no news."""


class Trouble(NamedTuple):
    """A machine that is not saved, and why; `why` is empty while it is being saved."""

    machine: Machine
    why: str

    @property
    def sentence(self) -> str:
        """What an administrator reads who disables or deletes its owner."""
        return _("%(machine)s is not saved: %(why)s") % {"machine": self.machine, "why": self.why}


def see_off(person: User, by: User | None = None) -> list[str]:
    """Do with the machines of somebody who is disabled what the policy says, once for each time they are disabled.

    Args:
        person: who is disabled already; whoever is not keeps what they have.
        by: the administrator who disabled them, as whom machines are saved; None for the portal itself.

    Returns:
        A sentence for each machine that could not be saved. It is tried again for a day, by the portal itself.
    """
    row = _begin(person, by)
    return [trouble.sentence for trouble in _go_on(row, by)] if row and row.done_at is None else []


def see_off_deleted(person: User, by: User | None = None) -> list[str]:
    """Do with somebody's machines what the policy says, before they are deleted.

    Args:
        person: who is deleted next, by this object or in the same transaction.
        by: the administrator who deletes them, as whom machines are saved; None for whatever else does.

    Returns:
        A sentence for each machine that could not be saved. It is left as it is: there is nobody left to try it for.
    """
    person._seen_off = True  # type: ignore[attr-defined]
    if policy() is Policy.KEEP:
        return []
    with transaction.atomic():
        project, handed = _hand_over(person) if policy() is Policy.PROJECT else ("", 0)
        running = _running_of(person) if policy() is Policy.SAVE else []
        how = "handed" if handed else "saving"
        if number := handed or len(running):
            _record(how, person, policy=policy(), project=project, machines=number)
            if by is None:
                _tell(f"deleted:{person.pk}", how, person, number=number, project=project)
        troubles = [Trouble(machine, why) for machine in running if (why := _save(machine, person, by))]
        if by is None:
            _tell_troubles(f"deleted:{person.pk}", "given_up", person, troubles)
    return [trouble.sentence for trouble in troubles]


def due() -> list[int]:
    """Return the ids of some of the users whose departure is to be dealt with, gone on with or forgotten. One query."""
    owns = Exists(Machine.objects.order_by().filter(owner=OuterRef("pk")))
    found = User.objects.filter(
        Q(owns, is_active=False, departure=None)
        | Q(is_active=True, departure__isnull=False)
        | Q(departure__done_at=None, departure__next_at__lte=timezone.now())
    )
    return list(found.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])


def look_after(user_id: int) -> None:
    """Deal with one of those who are `due`; nothing comes of it where somebody else has meanwhile."""
    forget_return(user_id)
    person = User.objects.select_related("departure").filter(pk=user_id, is_active=False).first()
    if person is None:
        return
    row: Departure | None = getattr(person, "departure", None)
    if row is None:
        see_off(person)
    elif row.next_at and row.next_at <= timezone.now():
        _go_on(row)


def forget_return(user_id: int) -> None:
    """Forget the departure of somebody who is active again, so that the next one counts."""
    Departure.objects.filter(user=user_id, user__is_active=True).delete()


def _begin(person: User, by: User | None) -> Departure | None:
    """Write that somebody departs, and do what is done at once; None where that was done, or they own nothing."""
    with transaction.atomic():
        inactive = User.objects.select_for_update(no_key=True).filter(pk=person.pk, is_active=False)
        number = Machine.objects.filter(owner=person).count() if inactive.first() else 0
        if not number or Departure.objects.filter(user=person).exists():
            return None
        row = Departure(user=person, policy=policy(), by=by, machines=number)
        if row.policy == Policy.PROJECT:
            row.project, handed = _hand_over(person)
            row.machines = handed or number
        elif row.policy == Policy.SAVE:
            row.left = [str(machine.pk) for machine in _running_of(person)]
            row.machines = len(row.left) or number
        row.done_at, row.next_at = (None, row.begun_at) if row.left else (row.begun_at, None)
        row.save(force_insert=True)
        how = "handed" if row.project else "saving" if row.left else "kept"
        _record(how, person, policy=row.policy, project=row.project, machines=row.machines)
        if by is None and how != "kept":
            _tell(f"departure:{row.pk}", how, person, number=row.machines, project=row.project)
    return row


def _hand_over(person: User) -> tuple[str, int]:
    """Make somebody's project the owner of their machines, in a transaction; return its name, and how many those are.

    Nobody's quota stands in the way: it is the policy's place for them.
    """
    project = project_of(person)
    if project is None:
        return "", 0
    machines = list(Machine.objects.select_for_update().filter(owner=person).order_by("pk"))
    for machine in machines:
        machine.owner, machine.project = None, project
        machine.save(update_fields=["owner", "project"])
    return (project.name, len(machines)) if machines else ("", 0)


def _go_on(row: Departure, by: User | None = None) -> list[Trouble]:
    """Have those of its machines saved that are not yet; return what could not be. Of two who try, one does."""
    now = timezone.now()
    next_at = now + min(FIRST_WAIT * 2 ** min(row.tries, 10), LONGEST_WAIT)
    still_open = Departure.objects.filter(pk=row.pk, done_at=None)
    if not still_open.filter(next_at=row.next_at).update(next_at=next_at, tries=row.tries + 1):
        return []
    last_look = row.tries >= MOST_TRIES
    left = [each for one in _running_of(row.user, row.left) if (each := _look(one, row, by, ask=not last_look))]
    troubles = [each for each in left if each.why]
    ends = not left or (last_look and left == troubles)
    changes: dict[str, Any] = {"left": [str(each.machine.pk) for each in left], "troubles": list(map(_kept, troubles))}
    changes |= {"done_at": now, "next_at": None} if ends else {}
    with transaction.atomic():
        if still_open.filter(next_at=next_at).update(**changes):
            if ends:
                _record("given_up" if left else "saved", row.user, machines=len(left) or row.machines)
            if ends or row.tries + 1 >= TOLD_FROM:
                _tell_troubles(f"departure:{row.pk}", "given_up" if ends else "unsaved", row.user, troubles)
    return troubles


def _look(machine: Machine, row: Departure, by: User | None, *, ask: bool) -> Trouble | None:
    """Have one machine saved that runs; return it with what is or was in the way, None once it was saved.

    Somebody who cancels what the portal asked has decided about that machine: it is not asked again.
    """
    saves = Operation.objects.filter(machine=machine, kind="save", created_at__gte=row.begun_at)
    last = saves.order_by("-pk").first()
    if last and (last.status == Status.SUCCEEDED or (last.status == Status.CANCELLED and last.asked_by_portal)):
        return None
    if last and last.status in OPEN:
        return Trouble(machine, "")
    failed = last.message if last else ""
    if ask:
        return Trouble(machine, _save(machine, row.user, by) or failed)
    known = {each["machine"]: each["why"] for each in row.troubles}
    return Trouble(machine, failed or known.get(str(machine.pk)) or _("Nobody knows why."))


def _save(machine: Machine, person: User, by: User | None) -> str:
    """Ask for a save, unless one is on its way that goes on without its owner; return why it is refused."""
    asked = Operation.objects.filter(machine=machine, kind="save", status__in=OPEN)
    if asked.exclude(requested_by=person, status=Status.QUEUED).exists():
        return ""
    try:
        if by is None:
            operations.request_by_policy(machine, "save")
        else:
            operations.request(machine, "save", by=by, parameters={})
    except Refused as refused:
        return refused.sentence
    except Http404:  # its row is gone, and with it what was to be saved
        return ""
    return ""


def _running_of(person: User, among: list[str] | None = None) -> list[Machine]:
    machines = Machine.objects.filter(owner=person, state__in=ACTIVE_STATES).defer("definition_xml", "description")
    return list(machines if among is None else machines.filter(pk__in=among))


def _kept(trouble: Trouble) -> dict[str, str]:
    return {"machine": str(trouble.machine.pk), "name": trouble.machine.name, "why": trouble.why}


def _record(what: str, person: User, **detail: Any) -> None:
    trail.record(f"departure.{what}", user=named(person), **detail)


def _tell_troubles(key: str, how: str, person: User, troubles: list[Trouble]) -> None:
    for machine, why in troubles:
        _tell(f"{key}:{how}:{machine.pk}", how, person, machine, message=why)


def _tell(key: str, how: str, person: User, machine: Machine | None = None, **facts: Any) -> None:
    who = {"user_id": person.pk, "name": person.get_username()}
    news = {"key": key, "how": how, "machine": machine, "facts": facts, **who}
    transaction.on_commit(partial(departed.send_robust, sender=Departure, **news), robust=True)
