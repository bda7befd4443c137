"""Sharing a machine with a person or a project, taking that back, and handing the machine over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.http import Http404
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from lifecycle import quota_demands
from machines import quotas
from machines.access import own_projects
from machines.models import Grant, Machine
from machines.parameters import bad
from machines.quotas import Holder
from people.models import Project, Role
from people.roles import is_administrator

LASTING: dict[str, tuple[str | Promise, timedelta | None]] = {
    "hour": (gettext_lazy("for 1 hour"), timedelta(hours=1)),
    "day": (gettext_lazy("for 1 day"), timedelta(days=1)),
    "week": (gettext_lazy("for 1 week"), timedelta(weeks=1)),
    "month": (gettext_lazy("for 30 days"), timedelta(days=30)),
    "": (gettext_lazy("until revoked"), None),
}
"""How long forms offer a right for."""


def moment_of(lasting: str) -> datetime | None:
    """Return when what is given now for so long ends; None for until it is revoked.

    Raises:
        Refused: it is none of `LASTING`.
    """
    if lasting not in LASTING:
        raise bad("lasting", _("Choose how long it lasts."))
    _words, length = LASTING[lasting]
    return timezone.now() + length if length else None


def role_of(word: str) -> Role:
    """Return the role of this name.

    Raises:
        Refused: there is none.
    """
    if word not in Role.values:
        raise bad("role", _("Choose viewer, operator or owner."))
    return Role(word)


def share(
    machine: Machine, by: User, role: Role, *, user: str = "", project: str = "", expires_at: datetime | None = None
) -> Grant:
    """Give a person or a project a right over a machine, for good or until a moment.

    What was given before for good, or for a time, is replaced by this of its own kind.

    Args:
        machine: a machine that `by` owns.
        by: who gives it.
        role: what they may do.
        user: a user name, or
        project: a project's name, of one that `by` is in.
        expires_at: when it ends; None for until it is revoked.

    Raises:
        Refused: `bad_parameters`: nobody of this name, or a moment that is over.
    """
    demand_future(expires_at)
    holder: dict[str, Any] = taker(by, user=user, project=project)
    with transaction.atomic():
        Machine.objects.select_for_update().get(pk=machine.pk)
        grants = Grant.objects.filter(machine=machine, link=None, expires_at__isnull=expires_at is None, **holder)
        grant = grants.first() or Grant(machine=machine, **holder)
        grant.role, grant.expires_at, grant.granted_by, grant.created_at = role, expires_at, by, timezone.now()
        grant.save()
    return grant


def revoke(machine: Machine, grant_id: int) -> Grant:
    """Take a right back at once.

    Raises:
        Http404: the machine has no such grant (any more).
    """
    grant = Grant.objects.select_related("user", "group", "project").filter(machine=machine, pk=grant_id).first()
    if grant is None:
        raise Http404(_("There is no such grant."))
    grant.delete()
    return grant


def hand_over(machine: Machine, by: User, *, user: str = "", project: str = "", keep: Role | None = None) -> Machine:
    """Make a person or a project the owner of a machine.

    Args:
        machine: a machine that `by` owns.
        by: who hands it over.
        user: a user name, or
        project: a project's name, of one that `by` is in.
        keep: what the present owner keeps, by a grant; None for nothing.

    Raises:
        Refused: nobody of this name, or `quota_exceeded`: they have no room for it.
    """
    to = taker(by, user=user, project=project)
    with transaction.atomic():
        fresh, before = change_hands(machine, to)
        if before == to:
            raise bad(next(iter(to)), _("It is theirs already."))
        if keep and before:
            Grant.objects.filter(machine=fresh, expires_at=None, **before).delete()
            Grant.objects.create(machine=fresh, role=keep, granted_by=by, **before)
    return fresh


def change_hands(machine: Machine, to: dict[str, Any]) -> tuple[Machine, dict[str, Any]]:
    """Make somebody the owner of a machine; return it as it is then, and whose it was.

    Args:
        machine: as it was read; it is read anew.
        to: `{"user": ...}`, `{"project": ...}`, or empty for nobody. Whose it was is said in the same way.

    Raises:
        Refused: `quota_exceeded`: they have no room for it.
    """
    with transaction.atomic():
        if to:
            list(_holder(to).quotas.select_for_update())  # before the machine, in the order of everybody else
        fresh = Machine.objects.select_for_update().get(pk=machine.pk)
        before = {"project": fresh.project} if fresh.project else {"user": fresh.owner} if fresh.owner else {}
        fresh.owner, fresh.project = to.get("user"), to.get("project")
        if to and to != before:
            demand_room(fresh, to)
        fresh.save(update_fields=["owner", "project"])
    return fresh, before


def demand_room(machine: Machine, to: dict[str, Any]) -> None:
    """Refuse to give a machine to whom it would take over their quota. Runs in a transaction.

    Raises:
        Refused: `quota_exceeded`, with the figures.
    """
    whose = str(to["project"]) if "project" in to else to["user"].get_username()
    quota_demands.demand(_holder(to), whose, quotas.amounts_of(machine), but=machine)


def taker(by: User, *, user: str, project: str) -> dict[str, Any]:
    """Return whom a form or script names, as the fields of a grant.

    Raises:
        Refused: `bad_parameters`: nobody or both are named, or there is no such active user, or no project of theirs.
    """
    project = keepable(project)
    if bool(user) == bool(project):
        raise bad("user", _("Name a user or a project."))
    if user:
        return {"user": active_user(user)}
    projects = Project.objects.all() if is_administrator(by) else Project.objects.filter(pk__in=own_projects(by))
    if found := projects.filter(name=project).first():
        return {"project": found}
    raise bad("project", _("You are in no project “%(name)s”.") % {"name": project[:80]})


def _holder(to: dict[str, Any]) -> Holder:
    return Holder(project=to["project"].pk) if "project" in to else Holder(user=to["user"].pk)


def active_user(name: str) -> User:
    """Return the user of this name.

    Raises:
        Refused: `bad_parameters`: there is none, or they may not sign in.
    """
    if found := User.objects.filter(username=keepable(name), is_active=True).first():
        return found
    raise bad("user", _("There is no active user “%(name)s”.") % {"name": name[:150]})


def keepable(text: str) -> str:
    """Return what databases take of a text, without white space around it: PostgreSQL has no NUL."""
    return text.encode(errors="ignore").decode().replace("\0", "").strip()


def demand_future(moment: datetime | None) -> None:
    """Refuse a moment that is over.

    Raises:
        Refused: `bad_parameters`.
    """
    if moment is not None and moment <= timezone.now():
        raise bad("expires_at", _("Name a moment that is still to come."))
