"""Who may do what with which machine: the one place where a look-up and its permission check are one call."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from enum import IntEnum
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext as _

from machines.models import Grant, GrantRole, Host, Machine
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
_ROLE_RIGHT = {GrantRole.VIEWER: Right.VIEW, GrantRole.OPERATOR: Right.OPERATE, GrantRole.OWNER: Right.OWN}


def sees_everything(person: Person) -> bool:
    """Return whether every machine is visible to this person."""
    return is_administrator(person) or is_helpdesk(person)


def visible_machines(person: Person) -> QuerySet[Machine]:
    """Return the machines this person may at least see."""
    if not person.is_authenticated or not person.is_active:
        return Machine.objects.none()
    if sees_everything(person):
        return Machine.objects.all()
    granted = Grant.objects.filter(_holder(person)).values("machine_id")
    return Machine.objects.filter(Q(owner=person) | Q(uuid__in=granted))


def rights_over(person: Person, machines: Iterable[UUID]) -> dict[UUID, Right]:
    """Return this person's right over each of these machines; those it may not see are left out."""
    if not person.is_authenticated or not person.is_active:
        return {}
    wanted = list(machines)
    found = dict(Machine.objects.filter(uuid__in=wanted).values_list("uuid", "owner_id"))
    if is_administrator(person):
        return dict.fromkeys(found, Right.ADMIN)
    rights = dict.fromkeys(found, Right.SEE if is_helpdesk(person) else Right.NONE)
    for machine, role in Grant.objects.filter(_holder(person), machine__in=found).values_list("machine_id", "role"):
        rights[machine] = max(rights[machine], _ROLE_RIGHT[GrantRole(role)])
    for machine, owner in found.items():
        if owner == person.pk:
            rights[machine] = max(rights[machine], Right.OWN)
    return {machine: right for machine, right in rights.items() if right}


def rights_of_holders(held: Collection[tuple[int, UUID]]) -> dict[tuple[int, UUID], Right]:
    """Return the right of each of these users over that machine, by pairs of user id and machine.

    Five queries however many there are; pairs without any right are left out.
    """
    users, machines = {user for user, _ in held}, {machine for _, machine in held}
    roles = dict(User.objects.filter(pk__in=users, is_active=True).values_list("pk", "is_superuser"))
    helpdesk = set(User.objects.filter(pk__in=roles, groups__name=HELPDESK_GROUP).values_list("pk", flat=True))
    owners = dict(Machine.objects.filter(pk__in=machines).values_list("pk", "owner_id"))
    rights = {
        (user, machine): Right.ADMIN
        if roles[user]
        else max(Right.OWN if owners[machine] == user else Right.NONE, Right.SEE if user in helpdesk else Right.NONE)
        for user, machine in held
        if user in roles and machine in owners
    }
    for holder in ("user", "group__user"):
        grants = Grant.objects.filter(**{f"{holder}__in": roles, "machine__in": owners})
        for user, machine, role in grants.values_list(holder, "machine", "role"):
            if (user, machine) in rights:
                rights[user, machine] = max(rights[user, machine], _ROLE_RIGHT[GrantRole(role)])
    return {pair: right for pair, right in rights.items() if right}


def right_over(person: Person, machine: Machine) -> Right:
    """Return this person's right over one machine."""
    return rights_over(person, [machine.uuid]).get(machine.uuid, Right.NONE)


def machine_or_404(person: Person, uuid: UUID, needed: Right = Right.SEE) -> Machine:
    """Fetch a machine for someone who has at least this right over it.

    Raises:
        Http404: there is no such machine, or this person may not know of it.
        PermissionDenied: it may be seen but not used so; the message names the right that is missing.
    """
    machine = Machine.objects.select_related("host", "owner").filter(uuid=uuid).first()
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
    """Return the ids of the users who own the machine or hold a grant on it (not staff who see every machine)."""
    return people_who_see_any([machine])


def people_who_see_any(machines: Sequence[Machine]) -> set[int]:
    """Return the ids of the users who own one of these machines or hold a grant on one (one query)."""
    granted = Q(grants__machine__in=machines) | Q(groups__machine_grants__machine__in=machines)
    owners = {machine.owner_id for machine in machines if machine.owner_id}
    return owners | set(User.objects.filter(granted).values_list("pk", flat=True))


def _holder(person: Person) -> Q:
    return Q(user=person.pk) | Q(group__in=Group.objects.filter(user=person.pk).values("pk"))
