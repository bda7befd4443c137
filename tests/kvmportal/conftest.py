"""What the tests of the wiring share."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from machines.models import Grant, Machine, Visit
from people.models import Membership, Project, Role
from people.roles import HELPDESK_GROUP
from tests.cast import person
from tests.kvmportal.permission_rules import RIGHTS


@pytest.fixture
def everybody(
    machine: Machine, owner: User, viewer: User, stranger: User, helpdesk: User, admin: User
) -> dict[str, User]:
    """A person for each role that the permission rules know, by its name."""
    people = {"owner": owner, "viewer": viewer, "stranger": stranger, "helpdesk": helpdesk, "admin": admin}
    people["operator"] = person("operator")
    Grant.objects.create(machine=machine, user=people["operator"], role=Role.OPERATOR)
    project = Project.objects.create(name="a project")
    Grant.objects.create(machine=machine, project=project, role=Role.OWNER)
    helpers, _ = Group.objects.get_or_create(name=HELPDESK_GROUP)
    people["visiting helper"] = person("visiting-helper")
    people["visiting helper"].groups.add(helpers)
    until = timezone.now() + timedelta(hours=1)
    Visit.objects.create(machine=machine, user=people["visiting helper"], role=Role.VIEWER, until=until)
    for role in Role:
        people[f"project {role.value}"] = person(f"project-{role.value}")
        Membership.objects.create(project=project, user=people[f"project {role.value}"], role=role)
        group = Group.objects.create(name=f"{role}s")
        people[f"group {role.value}"] = member = person(f"group-{role.value}")
        member.groups.add(group)
        Grant.objects.create(machine=machine, group=group, role=role)
    assert people.keys() == RIGHTS.keys()
    return people
