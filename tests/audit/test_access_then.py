"""Who could see or control a machine at a moment, computed from the trail."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone

from audit import access_then, retention, sealing
from consoles import sessions, trail
from consoles.models import ConsoleSession, EventKind
from consoles.proxy.endings import Ending
from machines.access import Right, rights_over
from machines.models import Grant, GrantRole, Machine, Visit
from people.models import Membership, Project
from tests.cast import MakeMachine, person

pytestmark = pytest.mark.django_db


def now() -> datetime:
    return timezone.now()


def rights(machine: Machine, at: datetime) -> dict[str, Right]:
    return {holder.user: holder.right for holder in access_then.holders(machine.pk, at)}


def test_present_moment_agrees_with_the_portals_own_rights(
    machine: Machine, owner: User, viewer: User, stranger: User, helpdesk: User, admin: User
) -> None:
    found = rights(machine, now())
    for user in (owner, viewer, stranger, helpdesk, admin):
        assert found.get(user.username, Right.NONE) == rights_over(user, [machine.pk]).get(machine.pk, Right.NONE)
    assert found == {"admin": Right.ADMIN, "owner": Right.OWN, "viewer": Right.VIEW, "helpdesk": Right.SEE}


def test_grant_counts_from_its_making_to_its_end(machine: Machine, stranger: User) -> None:
    before = now()
    grant = Grant.objects.create(machine=machine, user=stranger, role=GrantRole.VIEWER)
    as_viewer = now()
    grant.role = GrantRole.OPERATOR
    grant.save()
    as_operator = now()
    grant.delete()
    after = now()
    found = [rights(machine, at).get("stranger") for at in (before, as_viewer, as_operator, after)]
    assert found == [None, Right.VIEW, Right.OPERATE, None]


def test_owner_counts_until_the_machine_is_given_away(make_machine: MakeMachine, owner: User, stranger: User) -> None:
    before = now()
    machine = make_machine("given", owner=owner)
    first = now()
    machine.owner = stranger
    machine.save(update_fields=["owner"])
    second = now()
    assert [rights(machine, at) for at in (before, first, second)] == [
        {},
        {"owner": Right.OWN},
        {"stranger": Right.OWN},
    ]


def test_member_of_a_group_counts_while_both_last(machine: Machine, stranger: User) -> None:
    team = Group.objects.create(name="team")
    Grant.objects.create(machine=machine, group=team, role=GrantRole.OPERATOR)
    outside = now()
    stranger.groups.add(team)
    inside = now()
    stranger.groups.remove(team)
    outside_again = now()
    found = [rights(machine, at).get("stranger") for at in (outside, inside, outside_again)]
    assert found == [None, Right.OPERATE, None]
    (holder,) = [one for one in access_then.holders(machine.pk, inside) if one.user == "stranger"]
    assert holder.through == ("grant as operator to the group team",)


def test_deleted_people_groups_and_machines_are_found_as_they_were(
    machine: Machine, owner: User, viewer: User, stranger: User
) -> None:
    team = Group.objects.create(name="team")
    stranger.groups.add(team)
    Grant.objects.create(machine=machine, group=team, role=GrantRole.VIEWER)
    then, uuid = now(), machine.pk
    team.delete()
    viewer.delete()
    owner.delete()
    Machine.objects.get(pk=uuid).delete()
    found = {holder.user: holder.right for holder in access_then.holders(uuid, then)}
    assert found == {"owner": Right.OWN, "viewer": Right.VIEW, "stranger": Right.VIEW}
    assert access_then.holders(uuid, now()) == []


def test_disabled_user_counts_until_then(machine: Machine, viewer: User) -> None:
    before = now()
    viewer.is_active = False
    viewer.save()
    assert rights(machine, before)["viewer"] == Right.VIEW
    assert "viewer" not in rights(machine, now())


def test_administrator_and_helpdesk_count_while_they_are_that(machine: Machine, helpdesk: User) -> None:
    boss = person("boss")
    plain = now()
    boss.is_superuser = True
    boss.save()
    risen = now()
    helpdesk.groups.clear()
    left = now()
    assert "boss" not in rights(machine, plain)
    assert rights(machine, risen)["boss"] == Right.ADMIN
    assert rights(machine, risen)["helpdesk"] == Right.SEE
    assert "helpdesk" not in rights(machine, left)


def test_other_machines_change_nothing(machine: Machine, make_machine: MakeMachine, stranger: User) -> None:
    before = now()
    Grant.objects.create(machine=make_machine("other"), user=stranger)
    assert "stranger" not in rights(machine, now())
    assert "stranger" not in rights(machine, before)


def test_console_that_was_open_is_found_with_its_mode(machine: Machine, owner: User, viewer: User) -> None:
    session = ConsoleSession.objects.create(machine=machine, user=viewer, protocol="vnc", mode="view")
    assert access_then.at_screen(machine.pk, now()) == []
    trail.opened(session, now())
    looking = now()
    session.events.create(kind=EventKind.GRANTED, by=owner)
    typing = now()
    sessions.close(ConsoleSession.objects.filter(pk=session.pk), Ending.LEFT)
    found = [[(one.user, one.mode) for one in access_then.at_screen(machine.pk, at)] for at in (looking, typing, now())]
    assert found == [[("viewer", "view")], [("viewer", "control")], []]


def test_it_says_how_far_it_reaches_back(machine: Machine, settings) -> None:
    assert access_then.reaches_back_to() <= now()
    sealing.seal_all()
    settings.AUDIT_DAYS = 0
    retention.remove_old()
    sealed = access_then.reaches_back_to()
    assert sealed is not None
    assert rights(machine, now())["owner"] == Right.OWN  # what holds now needs no old entry


def test_grant_counts_until_it_expires_also_when_its_time_is_changed_later(machine: Machine, stranger: User) -> None:
    begun = now()
    grant = Grant.objects.create(
        machine=machine, user=stranger, role=GrantRole.VIEWER, expires_at=begun + timedelta(hours=1)
    )
    found = [rights(machine, now() + later).get("stranger") for later in (timedelta(0), timedelta(hours=2))]
    assert found == [Right.VIEW, None]
    as_given = now()
    grant.expires_at = begun - timedelta(hours=1)
    grant.save()
    assert rights(machine, now()).get("stranger") is None
    assert rights(machine, as_given).get("stranger") is Right.VIEW


def test_member_of_a_project_has_the_lesser_of_both_roles(machine: Machine, stranger: User) -> None:
    project = Project.objects.create(name="lab")
    Grant.objects.create(machine=machine, project=project, role=GrantRole.OWNER)
    before = now()
    member = Membership.objects.create(project=project, user=stranger, role=GrantRole.OPERATOR)
    as_operator = now()
    member.role = GrantRole.VIEWER
    member.save()
    as_viewer = now()
    machine.project = project
    machine.owner = None
    machine.save()
    member.delete()
    found = [rights(machine, at).get("stranger") for at in (before, as_operator, as_viewer, now())]
    assert found == [None, Right.OPERATE, Right.VIEW, None]
    assert rights(machine, as_viewer)["owner"] is Right.OWN
    assert "owner" not in rights(machine, now())


def test_helper_counts_while_the_visit_lasts(machine: Machine, helpdesk: User) -> None:
    before = now()
    visit = Visit.objects.create(machine=machine, user=helpdesk, until=before + timedelta(hours=1))
    during = now()
    visit.ended_at = now()
    visit.save()
    after = now()
    found = [rights(machine, at)["helpdesk"] for at in (before, during, after)]
    assert found == [Right.SEE, Right.VIEW, Right.SEE]
