"""Rights: where they come from, and that every look-up of `machines.access` agrees with every other."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from machines import access
from machines.access import Right
from machines.models import Grant, Machine
from people.models import Membership, Project, Role
from people.roles import HELPDESK_GROUP
from tests.cast import MakeMachine, person

pytestmark = pytest.mark.django_db

SOON, LONG_AGO = timedelta(hours=1), timedelta(seconds=-1)


@pytest.fixture
def project(viewer: User, stranger: User) -> Project:
    """A project in which viewer is an operator and stranger only a viewer."""
    project = Project.objects.create(name="bees")
    Membership.objects.create(project=project, user=viewer, role=Role.OPERATOR)
    Membership.objects.create(project=project, user=stranger, role=Role.VIEWER)
    return project


@pytest.mark.parametrize("seed", range(4))
def test_all_look_ups_agree_on_a_random_population(seed: int, make_machine: MakeMachine) -> None:
    people, machines = population(random.Random(seed), make_machine)  # noqa: S311  # the same population every time
    pairs = {(user.pk, machine.pk) for user in people for machine in machines}
    held = access.rights_of_holders(pairs)
    for user in people:
        user = User.objects.get(pk=user.pk)  # without memory of what it was before
        rights = access.rights_over(user, [machine.pk for machine in machines])
        assert {machine: right for (pk, machine), right in held.items() if pk == user.pk} == rights
        assert set(access.visible_machines(user).values_list("pk", flat=True)) == set(rights)
        by_hand = {machine.pk: right for machine in machines if (right := right_by_hand(user, machine))}
        assert rights == by_hand
    for machine in machines:
        themselves = {user.pk for user in people if right_by_hand(user, machine, staff=False)}
        active = {user.pk for user in people if user.is_active}
        assert access.people_who_see(machine) & active == themselves
    some = machines[::3]
    assert access.people_who_see_any(some) == set().union(*(access.people_who_see(machine) for machine in some))
    assert len(set(held.values())) >= 4  # the population is worth something


def population(dice: random.Random, make_machine: MakeMachine):
    people = [
        person(f"p{number}", is_active=dice.random() > 0.1, is_superuser=dice.random() > 0.95) for number in range(24)
    ]
    groups = [Group.objects.create(name=f"g{number}") for number in range(3)]
    groups.append(Group.objects.get_or_create(name=HELPDESK_GROUP)[0])
    projects = [Project.objects.create(name=f"pr{number}") for number in range(4)]
    for user in people:
        user.groups.set(dice.sample(groups, dice.choice([0, 0, 1, 2])))
        for project in dice.sample(projects, dice.choice([0, 0, 1, 2])):
            Membership.objects.create(project=project, user=user, role=dice.choice(Role.values))
    machines = []
    for number in range(12):
        owned = dice.choice([{}, {"owner": dice.choice(people)}, {"project": dice.choice(projects)}])
        machines.append(make_machine(f"m{number}", **owned))
    for machine in machines:
        for _ in range(dice.randrange(6)):
            holder = dice.choice(
                [{"user": dice.choice(people)}, {"group": dice.choice(groups)}, {"project": dice.choice(projects)}]
            )
            length = dice.choice([None, SOON, LONG_AGO])
            if length is None and Grant.objects.filter(machine=machine, expires_at=None, **holder).exists():
                continue
            expires_at = timezone.now() + length if length else None
            Grant.objects.create(machine=machine, role=dice.choice(Role.values), expires_at=expires_at, **holder)
    return people, machines


def right_by_hand(user: User, machine: Machine, *, staff: bool = True) -> Right:
    """The rules once more, slowly and without a join."""
    roles = {Role.VIEWER: Right.VIEW, Role.OPERATOR: Right.OPERATE, Role.OWNER: Right.OWN}
    if not user.is_active:
        return Right.NONE
    if staff and user.is_superuser:
        return Right.ADMIN
    memberships = {row.project_id: roles[row.role] for row in Membership.objects.filter(user=user)}
    groups = {group.pk: group.name for group in user.groups.all()}
    found = [Right.NONE]
    if staff and HELPDESK_GROUP in groups.values():
        found.append(Right.SEE)
    if machine.owner_id == user.pk:
        found.append(Right.OWN)
    if machine.project_id:
        found.append(memberships.get(machine.project_id, Right.NONE))
    for grant in Grant.objects.filter(machine=machine):
        if grant.expires_at and grant.expires_at <= timezone.now():
            continue
        if grant.user_id == user.pk or grant.group_id in groups:
            found.append(roles[grant.role])
        if grant.project_id in memberships:
            found.append(min(roles[grant.role], memberships[grant.project_id]))
    return max(found)


def test_members_have_the_right_of_their_role_over_a_projects_machine(
    make_machine: MakeMachine, project: Project, viewer: User, stranger: User, owner: User
) -> None:
    machine = make_machine("shared", project=project)
    rights = [access.right_over(user, machine) for user in (viewer, stranger, owner)]
    assert rights == [Right.OPERATE, Right.VIEW, Right.NONE]


def test_a_grant_to_a_project_gives_no_member_more_than_their_role(
    machine: Machine, project: Project, viewer: User, stranger: User
) -> None:
    Grant.objects.create(machine=machine, project=project, role=Role.OWNER)
    assert [access.right_over(user, machine) for user in (viewer, stranger)] == [Right.OPERATE, Right.VIEW]


def test_an_expired_grant_gives_nothing_though_its_row_is_there(machine: Machine, viewer: User) -> None:
    Grant.objects.filter(user=viewer).update(expires_at=timezone.now())
    assert access.right_over(viewer, machine) is Right.NONE
    assert access.rights_of_holders({(viewer.pk, machine.pk)}) == {}
    assert not access.visible_machines(viewer).exists()
    assert viewer.pk not in access.people_who_see(machine)


def test_the_higher_of_a_lasting_and_a_passing_grant_counts(machine: Machine, viewer: User) -> None:
    passing = Grant.objects.create(
        machine=machine, user=viewer, role=Role.OPERATOR, expires_at=timezone.now() + timedelta(hours=1)
    )
    assert access.right_over(viewer, machine) is Right.OPERATE
    passing.delete()
    assert access.right_over(viewer, machine) is Right.VIEW


def test_rights_of_many_cost_three_queries_and_people_who_see_one(
    machine: Machine, project: Project, owner: User, viewer: User, django_assert_num_queries
) -> None:
    with django_assert_num_queries(3):
        access.rights_of_holders({(owner.pk, machine.pk), (viewer.pk, machine.pk)})
    with django_assert_num_queries(1):
        assert access.people_who_see(machine) == {owner.pk, viewer.pk}
