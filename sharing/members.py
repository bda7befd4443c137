"""Projects: who is in one, in which role. Administrators make them; their owners decide who is in."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _

from machines.access import Person
from machines.parameters import bad
from machines.refused import Refused
from people.models import Membership, Project, Role
from people.roles import is_administrator
from sharing.giving import active_user, keepable


def visible_projects(person: Person) -> QuerySet[Project]:
    """Return the projects this person is in; all of them to administrators."""
    if not person.is_authenticated or not person.is_active:
        return Project.objects.none()
    if is_administrator(person):
        return Project.objects.all()
    return Project.objects.filter(memberships__user=person.pk)


def project_or_404(person: Person, pk: int, *, to_change: bool = False) -> Project:
    """Fetch a project for who is in it; `to_change`: for who decides who is in it.

    Raises:
        Http404: there is none, or this person may not know of it.
        PermissionDenied: they are in it, but not as an owner.
    """
    project = visible_projects(person).filter(pk=pk).first()
    if project is None:
        raise Http404(_("There is no such project."))
    if to_change and not decides(person, project):
        raise PermissionDenied(_("This needs the role “owner” in the project %(name)s.") % {"name": project.name})
    return project


def decides(person: Person, project: Project) -> bool:
    """Return whether this person decides who is in the project."""
    theirs = Membership.objects.filter(project=project, user=person.pk, role=Role.OWNER)
    return is_administrator(person) or theirs.exists()


def make(by: User, name: str, description: str = "") -> Project:
    """Make a project without members.

    Raises:
        PermissionDenied: only administrators may.
        Refused: `bad_parameters`: it has no name, or `project_exists`.
    """
    if not is_administrator(by):
        raise PermissionDenied(_("Only administrators may make projects."))
    if not (name := keepable(name)) or len(name) > 80:
        raise bad("name", _("Write a name of at most 80 characters."))
    try:
        with transaction.atomic():
            return Project.objects.create(name=name, description=keepable(description)[:200])
    except IntegrityError as error:
        raise Refused("project_exists", _("There is a project “%(name)s” already.") % {"name": name}) from error


def set_member(project: Project, user: str, role: Role) -> Membership:
    """Take somebody into a project, or change their role in it.

    Raises:
        Refused: `bad_parameters`: there is no such active user, or `last_owner`: nobody else could decide.
    """
    person = active_user(user)
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        row = Membership.objects.filter(project=project, user=person).first()
        if row and role is not Role.OWNER:
            _demand_another_owner(row)
        row = row or Membership(project=project, user=person)
        row.role = role
        row.save()
    return row


def remove_member(project: Project, member_id: int) -> None:
    """Take somebody out of a project; the right over its machines goes at once.

    Raises:
        Http404: they are not in it (any more).
        Refused: `last_owner`: nobody else could decide.
    """
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        row = Membership.objects.filter(project=project, pk=member_id).first()
        if row is None:
            raise Http404(_("There is no such member."))
        _demand_another_owner(row)
        row.delete()


def _demand_another_owner(row: Membership) -> None:
    others = Membership.objects.filter(project=row.project_id, role=Role.OWNER).exclude(pk=row.pk)
    if row.role == Role.OWNER and not others.exists():
        raise Refused("last_owner", _("The project needs an owner: make somebody else one first."))
