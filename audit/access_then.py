"""Who could see or control a machine at a moment, computed from the trail.

It begins with what holds now and takes back, from the newest to the moment in question, every change that the trail has
of the machine's owner, its grants and visits, groups, projects and users. So it needs no entry of before that moment,
and it holds for machines and people that are gone by now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group, User
from django.db.models import Q
from django.utils.translation import gettext as _

from audit.models import Checkpoint, Entry
from machines.access import RIGHT_WORDS, Right
from machines.models import Grant, Machine, Visit
from people.models import Membership, Project
from people.roles import HELPDESK_GROUP

_RIGHTS = {word: right for right, word in RIGHT_WORDS.items()}
"""Grants name their roles by the words of rights."""
_OF_MACHINE = ("machine.", "grant.", "visit.")
_OF_PEOPLE = ("group.", "user.", "project.", "member.")


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody with a right over the machine at that moment, and by what."""

    user_id: int
    user: str
    right: Right
    through: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AtScreen:
    """A console that was open at that moment."""

    user: str
    protocol: str
    mode: str
    since: datetime


@dataclass(slots=True)
class _Person:
    name: str
    active: bool
    administers: bool


@dataclass(frozen=True, slots=True)
class _Grant:
    user: int | None
    group: int | None
    project: int | None
    role: str
    until: datetime | None


@dataclass(slots=True)
class _Then:
    """What held at a moment: first what holds now, then ever earlier."""

    machine: UUID
    owner: int | None = None
    project: int | None = None
    grants: dict[int, _Grant] = field(default_factory=dict)
    visits: dict[int, _Grant] = field(default_factory=dict)
    projects: dict[int, str] = field(default_factory=dict)
    roles: dict[int, tuple[int, int, str]] = field(default_factory=dict)
    """By the membership's number: project, user, role."""
    groups: dict[int, str] = field(default_factory=dict)
    members: set[tuple[int, int]] = field(default_factory=set)
    """Pairs of group and user."""
    people: dict[int, _Person] = field(default_factory=dict)


def reaches_back_to() -> datetime | None:
    """Return since when the trail is whole, None while it is empty."""
    if point := Checkpoint.objects.order_by("-upto").first():
        return point.sealed_at
    return Entry.objects.order_by("pk").values_list("at", flat=True).first()


def holders(machine: UUID, at: datetime) -> list[Holder]:
    """Return who could at least see the machine's state at this moment, the highest right first."""
    then = _now(machine)
    for entry in _since(machine, at):
        _take_back(then, entry)
    then.grants = {number: grant for number, grant in then.grants.items() if grant.until is None or grant.until > at}
    then.visits = {number: visit for number, visit in then.visits.items() if visit.until is None or visit.until > at}
    found = [_holder(then, number, person) for number, person in then.people.items() if person.active]
    return sorted((one for one in found if one.right), key=lambda one: (-one.right, one.user))


def at_screen(machine: UUID, at: datetime) -> list[AtScreen]:
    """Return which of the machine's consoles were open at this moment, and what each might do then."""
    kinds = ("console.opened", "console.closed", "console.mode", "console.granted", "console.taken")
    open_ones: dict[str, AtScreen] = {}
    for entry in Entry.objects.filter(machine=machine, kind__in=kinds, at__lte=at).order_by("at", "pk").iterator():
        session = str(entry.detail.get("session"))
        if entry.kind == "console.opened":
            open_ones[session] = AtScreen(entry.who, entry.detail["protocol"], entry.detail["mode"], entry.at)
        elif entry.kind == "console.closed":
            open_ones.pop(session, None)
        elif session in open_ones:
            mode = entry.detail.get("said", {}).get("mode", "control")
            before = open_ones[session]
            open_ones[session] = AtScreen(before.user, before.protocol, mode, before.since)
    return list(open_ones.values())


def _now(machine: UUID) -> _Then:
    """Return what holds now. Users and groups all, for any may have had a right then."""
    then = _Then(machine)
    for owner, project in Machine.objects.filter(pk=machine).values_list("owner", "project"):
        then.owner, then.project = owner, project
    for grant in Grant.objects.filter(machine=machine):
        holders = (grant.user_id, grant.group_id, grant.project_id)
        then.grants[grant.pk] = _Grant(*holders, grant.role, grant.expires_at)
    for visit in Visit.objects.filter(machine=machine):
        then.visits[visit.pk] = _Grant(visit.user_id, None, None, visit.role, _earlier(visit.until, visit.ended_at))
    then.projects = dict(Project.objects.values_list("pk", "name"))
    for number, project, user, role in Membership.objects.values_list("pk", "project", "user", "role"):
        then.roles[number] = (project, user, role)
    then.groups = dict(Group.objects.values_list("pk", "name"))
    then.members = set(User.groups.through.objects.values_list("group", "user"))
    for number, name, active, administers in User.objects.values_list("pk", "username", "is_active", "is_superuser"):
        then.people[number] = _Person(name, active, administers)
    return then


def _since(machine: UUID, at: datetime) -> Iterator[Entry]:
    of_machine, of_people = (
        reduce(or_, (Q(kind__startswith=family) for family in families)) for families in (_OF_MACHINE, _OF_PEOPLE)
    )
    changes = Entry.objects.filter(of_machine & Q(machine=machine) | of_people, at__gt=at)
    return changes.order_by("-at", "-pk").iterator()


def _take_back(then: _Then, entry: Entry) -> None:
    thing, _dot, what = entry.kind.partition(".")
    if taking := _TAKING.get(thing):
        taking(then, what, entry.detail)


def _take_back_owner(then: _Then, _what: str, detail: dict[str, Any]) -> None:
    before = detail.get("before", {})
    then.owner = _number(before.get("owner")) if "owner" in before or not before else then.owner
    then.project = _number(before.get("project")) if "project" in before or not before else then.project


def _take_back_grant(then: _Then, _what: str, detail: dict[str, Any]) -> None:
    if before := detail.get("before"):
        user, group, project = (_number(before.get(name)) for name in ("user", "group", "project"))
        then.grants[detail["id"]] = _Grant(user, group, project, before["role"], _moment(before.get("expires_at")))
    else:
        then.grants.pop(detail["id"], None)


def _take_back_visit(then: _Then, _what: str, detail: dict[str, Any]) -> None:
    if before := detail.get("before"):
        until = _earlier(_moment(before["until"]), _moment(before["ended_at"]))
        then.visits[detail["id"]] = _Grant(_number(before["user"]), None, None, before["role"], until)
    else:
        then.visits.pop(detail["id"], None)


def _take_back_project(then: _Then, _what: str, detail: dict[str, Any]) -> None:
    if before := detail.get("before"):
        then.projects[detail["id"]] = before["name"]


def _take_back_member(then: _Then, _what: str, detail: dict[str, Any]) -> None:
    if before := detail.get("before"):
        then.roles[detail["id"]] = (before["project"]["id"], before["user"]["id"], before["role"])
    else:
        then.roles.pop(detail["id"], None)


def _take_back_group(then: _Then, what: str, detail: dict[str, Any]) -> None:
    if what in {"joined", "left"}:
        pair = (detail["group"]["id"], detail["user"]["id"])
        if what == "left":
            then.members.add(pair)
        else:
            then.members.discard(pair)
    elif before := detail.get("before"):
        then.groups[detail["id"]] = before["name"]


def _take_back_user(then: _Then, what: str, detail: dict[str, Any]) -> None:
    if what == "made":
        then.people.pop(detail["id"], None)
    elif before := detail.get("before"):
        then.people[detail["id"]] = _Person(before["username"], before["is_active"], before["is_superuser"])


_TAKING: dict[str, Callable[[_Then, str, dict[str, Any]], None]] = {
    "machine": _take_back_owner,
    "grant": _take_back_grant,
    "visit": _take_back_visit,
    "project": _take_back_project,
    "member": _take_back_member,
    "group": _take_back_group,
    "user": _take_back_user,
}


def _holder(then: _Then, number: int, person: _Person) -> Holder:
    """Say what right somebody had, and by what: as `machines.access` does for now."""
    ways: list[tuple[Right, str]] = []
    if person.administers:
        ways.append((Right.ADMIN, _("administrator")))
    if then.owner == number:
        ways.append((Right.OWN, _("owner")))
    own_roles = {project: role for project, user, role in then.roles.values() if user == number}
    if then.project in own_roles:
        role = own_roles[then.project]
        words = {"role": role, "project": then.projects.get(then.project or 0, "")}
        ways.append((_RIGHTS[role], _("%(role)s of its project %(project)s") % words))
    for grant in then.grants.values():
        if grant.user == number:
            ways.append((_RIGHTS[grant.role], _("grant as %(role)s") % {"role": grant.role}))
        elif grant.group is not None and (grant.group, number) in then.members:
            words = {"role": grant.role, "group": then.groups.get(grant.group, "")}
            ways.append((_RIGHTS[grant.role], _("grant as %(role)s to the group %(group)s") % words))
        elif grant.project in own_roles:
            least = min(_RIGHTS[grant.role], _RIGHTS[own_roles[grant.project]])
            words = {"role": grant.role, "project": then.projects.get(grant.project or 0, "")}
            ways.append((least, _("grant as %(role)s to the project %(project)s") % words))
    for visit in then.visits.values():
        if visit.user == number:
            ways.append((_RIGHTS[visit.role], _("visit as %(role)s, to help") % {"role": visit.role}))
    if any(name == HELPDESK_GROUP and (group, number) in then.members for group, name in then.groups.items()):
        ways.append((Right.SEE, _("helpdesk: its state, not its screen")))
    right = max((right for right, _words in ways), default=Right.NONE)
    return Holder(number, person.name, right, tuple(words for _right, words in sorted(ways, reverse=True)))


def _number(row: dict[str, Any] | None) -> int | None:
    return row["id"] if row else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _earlier(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment), default=None)
