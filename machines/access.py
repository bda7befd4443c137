"""Who may do what with which machine: the one place where a look-up and its permission check are one call.

A right comes from being its owner, from a role in the project that owns it, or from a grant to the user, a group or a
project, as long as the grant has not expired. The highest counts. Everything here reads these same sources.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from enum import IntEnum
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import CharField, Exists, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from machines.models import SHOWN_WITH, Grant, Host, Machine, Visit
from people.models import Membership, Role
from people.roles import HELPDESK_GROUP, is_administrator, is_helpdesk

Person = User | AnonymousUser


class Right(IntEnum):
    """Rights over one machine, each containing the ones before it."""

    NONE = 0
    SEE = 1
    """Its state, not its screen: what the helpdesk has on every machine."""
    VIEW = 2
    """Its screen too, without touching it."""
    OPERATE = 3
    OWN = 4
    ADMIN = 5

    @property
    def word(self) -> str:
        """The word by which API, sockets and pages name this right (the contract's `my_right`)."""
        return RIGHT_WORDS[self]


RIGHT_WORDS = {
    Right.NONE: "",
    Right.SEE: "helpdesk",
    Right.VIEW: "viewer",
    Right.OPERATE: "operator",
    Right.OWN: "owner",
    Right.ADMIN: "admin",
}
ROLE_RIGHT: dict[str, Right] = {Role.VIEWER: Right.VIEW, Role.OPERATOR: Right.OPERATE, Role.OWNER: Right.OWN}
_OWNERS_ROLE = Value(Role.OWNER.value, output_field=CharField())


def sees_everything(person: Person) -> bool:
    """Return whether every machine is visible to this person."""
    return is_administrator(person) or is_helpdesk(person)


def visible_machines(person: Person) -> QuerySet[Machine]:
    """Return the machines this person may at least see."""
    if not person.is_authenticated or not person.is_active:
        return Machine.objects.none()
    if sees_everything(person):
        return Machine.objects.all()
    granted = Grant.objects.living().filter(_holder(person)).values("machine_id")
    visited = Visit.objects.filter(_goes_on(), user=person).values("machine_id")
    given = Q(uuid__in=granted) | Q(uuid__in=visited)
    return Machine.objects.filter(Q(owner=person) | Q(project__in=_projects(person)) | given)


def rights_over(person: Person, machines: Iterable[UUID], *, visits: bool = True) -> dict[UUID, Right]:
    """Return this person's right over each of these machines; those it may not see are left out.

    Args:
        person: whose.
        machines: which.
        visits: whether a right that lasts for a visit only counts, too.
    """
    if not person.is_authenticated or not person.is_active:
        return {}
    rows = Machine.objects.order_by().filter(uuid__in=list(machines))
    found = {uuid: (owner, role) for uuid, owner, role in rows.values_list("uuid", "owner_id", _role_of(person))}
    if is_administrator(person):
        return dict.fromkeys(found, Right.ADMIN)
    least = Right.SEE if is_helpdesk(person) else Right.NONE
    rights = {
        machine: max(least, Right.OWN if owner == person.pk else _lesser(role))
        for machine, (owner, role) in found.items()
    }
    grants = Grant.objects.living().order_by().filter(_holder(person), machine__in=found)
    held = grants.values_list("machine_id", "role", Coalesce(_role_of(person), _OWNERS_ROLE))
    if visits:
        visited = Visit.objects.filter(_goes_on(), user=person.pk, machine__in=found)
        held = held.union(visited.values_list("machine_id", "role", _OWNERS_ROLE), all=True)
    for machine, role, own_role in held:
        rights[machine] = max(rights[machine], _lesser(role, own_role))
    return {machine: right for machine, right in rights.items() if right}


def rights_of_holders(held: Collection[tuple[int, UUID]]) -> dict[tuple[int, UUID], Right]:
    """Return the right of each of these users over that machine, by pairs of user id and machine.

    Three queries however many there are; pairs without any right are left out.
    """
    users, machines = {user for user, _ in held}, {machine for _, machine in held}
    in_helpdesk = Exists(Group.objects.filter(name=HELPDESK_GROUP, user=OuterRef("pk")))
    people = User.objects.filter(pk__in=users, is_active=True).values_list("pk", "is_superuser", in_helpdesk)
    least = {pk: Right.ADMIN if superuser else Right.SEE if helps else Right.NONE for pk, superuser, helps in people}
    owners = dict(Machine.objects.order_by().filter(pk__in=machines).values_list("pk", "owner_id"))
    rights = {
        (user, machine): max(least[user], Right.OWN if owners[machine] == user else Right.NONE)
        for user, machine in held
        if user in least and machine in owners
    }
    for user, machine, role, own_role in _held_by_others(least, owners):
        if (user, machine) in rights:
            rights[user, machine] = max(rights[user, machine], _lesser(role, own_role))
    return {pair: right for pair, right in rights.items() if right}


def _held_by_others(users: Collection[int], machines: Collection[UUID]) -> QuerySet[Grant, tuple[int, UUID, str, str]]:
    """Return (user, machine, role, role in the project it comes by) of grants, projects and visits, in one query."""
    grants = Grant.objects.living().order_by().filter(machine__in=machines)
    own = grants.filter(user__in=users).values_list("user", "machine", "role", _OWNERS_ROLE)
    groups = grants.filter(group__user__in=users).values_list("group__user", "machine", "role", _OWNERS_ROLE)
    members = Membership.objects.order_by().filter(user__in=users)
    shared = members.filter(project__machine_grants__in=grants)
    owning = members.filter(project__machines__in=machines)
    visits = Visit.objects.filter(_goes_on(), user__in=users, machine__in=machines)
    return own.union(
        groups,
        shared.values_list("user", "project__machine_grants__machine", "project__machine_grants__role", "role"),
        owning.values_list("user", "project__machines", "role", _OWNERS_ROLE),
        visits.values_list("user", "machine", "role", _OWNERS_ROLE),
        all=True,
    )


def right_over(person: Person, machine: Machine) -> Right:
    """Return this person's right over one machine."""
    return rights_over(person, [machine.uuid]).get(machine.uuid, Right.NONE)


def is_visitor(person: Person, machine: Machine) -> bool:
    """Return whether this person may look at the machine's screen only for as long as a visit goes on."""
    beside = rights_over(person, [machine.uuid], visits=False).get(machine.uuid, Right.NONE)
    return beside < Right.VIEW <= right_over(person, machine)


def machine_or_404(person: Person, uuid: UUID, needed: Right = Right.SEE) -> Machine:
    """Fetch a machine for someone who has at least this right over it.

    Raises:
        Http404: there is no such machine, or this person may not know of it.
        PermissionDenied: it may be seen but not used so; the message names the right that is missing.
    """
    machine = Machine.objects.select_related(*SHOWN_WITH).filter(uuid=uuid).first()
    right = right_over(person, machine) if machine else Right.NONE
    if machine is None or not right:
        raise Http404(_("There is no such machine."))
    if right < needed:
        raise PermissionDenied(
            _("This needs the right “%(needed)s” on %(machine)s; yours is “%(right)s”.")
            % {"needed": needed.word, "machine": machine.name, "right": right.word},
        )
    return machine


def hosts_or_404(person: Person) -> QuerySet[Host]:
    """Return all hosts to an administrator.

    Raises:
        Http404: this person may not know of hosts.
    """
    if not is_administrator(person):
        raise Http404(_("There is no such host."))
    return Host.objects.all()


def host_or_404(person: Person, **which: int | str) -> Host:
    """Fetch a host, by its `name` or `pk`, for an administrator.

    Raises:
        Http404: there is no such host, or this person may not know of hosts.
    """
    host = hosts_or_404(person).filter(**which).first()
    if host is None:
        raise Http404(_("There is no such host."))
    return host


def people_who_see(machine: Machine) -> set[int]:
    """Return the ids of the users who see the machine by themselves, also for a visit (not staff who see all)."""
    return people_who_see_any([machine])


def people_who_see_any(machines: Sequence[Machine]) -> set[int]:
    """Return the ids of the users who see one of these by themselves, by a grant, a project or a visit (one query)."""
    grants = Grant.objects.living().order_by().filter(machine__in=machines)
    projects = {machine.project_id for machine in machines if machine.project_id}
    owners = {machine.owner_id for machine in machines if machine.owner_id}
    others = grants.filter(user__isnull=False).values_list("user")
    found = others.union(
        grants.filter(group__user__isnull=False).values_list("group__user"),
        grants.filter(project__memberships__isnull=False).values_list("project__memberships__user"),
        Membership.objects.order_by().filter(project__in=projects).values_list("user"),
        Visit.objects.filter(_goes_on(), machine__in=machines).values_list("user"),
    )
    return owners | {user for (user,) in found}


def own_projects(person: Person, least: Role = Role.VIEWER) -> list[int]:
    """Return the ids of the projects in which this person has at least this role."""
    roles = [role for role in Role if ROLE_RIGHT[role] >= ROLE_RIGHT[least]]
    return list(Membership.objects.filter(user=person.pk, role__in=roles).values_list("project_id", flat=True))


def _holder(person: Person) -> Q:
    groups = Group.objects.filter(user=person.pk).values("pk")
    return Q(user=person.pk) | Q(group__in=groups) | Q(project__in=_projects(person))


def _projects(person: Person) -> QuerySet[Membership, Any]:
    return Membership.objects.order_by().filter(user=person.pk).values("project_id")


def _role_of(person: Person) -> Subquery:
    """Return this person's role in the project of the row."""
    return Subquery(Membership.objects.order_by().filter(project=OuterRef("project"), user=person.pk).values("role"))


def _lesser(*roles: str | None) -> Right:
    """Return the right of the least of these roles; of none, where there is none."""
    return min(ROLE_RIGHT.get(role or "", Right.NONE) for role in roles)


def _goes_on() -> Q:
    """Return the condition of visits that hold now."""
    return Q(ended_at=None, until__gt=timezone.now())
