"""What other apps hear of changed rights and ended logins."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.utils import timezone

from machines import expiry, signals
from machines.models import Grant, Machine, ShareLink
from people.models import ApiToken, Membership, Project
from tests.machines.sockets import sign_in

pytestmark = pytest.mark.django_db(transaction=True)


class Ear:
    """What was heard, in order: pairs of a signal's name and its news."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def rights(self, user_ids: set[int], **_: Any) -> None:
        self.heard.append(("rights", user_ids))

    def login(self, login: str, **_: Any) -> None:
        self.heard.append(("login", login))

    def disabled(self, user_id: int, **_: Any) -> None:
        self.heard.append(("disabled", user_id))

    def told(self) -> set[int]:
        """Return whose rights were said to have changed, and forget it."""
        told = {user for name, users in self.heard if name == "rights" for user in users}
        self.heard.clear()
        return told


@pytest.fixture
def ear(owner, viewer, stranger, machine) -> Iterator[Ear]:
    """Listens from now on; the cast is complete already."""
    ear = Ear()
    pairs = (
        (signals.rights_changed, ear.rights),
        (signals.login_ended, ear.login),
        (signals.user_disabled, ear.disabled),
    )
    for signal, listener in pairs:
        signal.connect(listener)
    yield ear
    for signal, listener in pairs:
        signal.disconnect(listener)


@pytest.fixture
def team(stranger) -> Group:
    team = Group.objects.create(name="team")
    stranger.groups.add(team)
    return team


def test_a_grant_made_changed_moved_and_deleted(ear, machine, stranger, viewer):
    grant = Grant.objects.create(machine=machine, user=stranger)
    assert ear.told() == {stranger.pk}
    grant.role = "owner"
    grant.save()
    assert ear.told() == {stranger.pk}
    Grant.objects.filter(user=viewer).delete()
    assert ear.told() == {viewer.pk}
    grant.user = viewer
    grant.save()
    assert ear.told() == {stranger.pk, viewer.pk}


def test_a_grant_to_a_group_is_news_to_its_members(team, ear, machine, stranger):
    grant = Grant.objects.create(machine=machine, group=team)
    assert ear.told() == {stranger.pk}
    grant.delete()
    assert ear.told() == {stranger.pk}


def test_a_projects_machines_and_members(ear, machine, owner, viewer, stranger):
    project = Project.objects.create(name="bees")
    member = Membership.objects.create(project=project, user=stranger)
    assert ear.told() == {stranger.pk}
    machine.owner, machine.project = None, project
    machine.save(update_fields=["owner", "project"])
    assert ear.told() == {owner.pk, stranger.pk}
    member.role = "owner"
    member.save()
    assert ear.told() == {stranger.pk}
    grant = Grant.objects.create(machine=machine, project=project)
    assert ear.told() == {stranger.pk}
    grant.delete()
    assert ear.told() == {stranger.pk}
    version = Machine.objects.get().version
    project.delete()
    assert ear.told() == {stranger.pk}
    assert Machine.objects.get().project is None
    assert Machine.objects.get().version == version + 1


def test_what_expires_is_news_when_it_is_ended_and_what_lasts_stays(ear, machine, viewer, stranger):
    now = timezone.now()
    link = ShareLink.objects.create(machine=machine, digest="x", made_by=machine.owner, expires_at=now)
    Grant.objects.create(machine=machine, user=stranger, expires_at=now)
    Grant.objects.create(machine=machine, user=stranger, expires_at=now + timedelta(hours=1))
    ear.told()
    assert expiry.end_expired() == 2
    assert ear.told() == {stranger.pk}
    assert not ShareLink.objects.filter(pk=link.pk).exists()
    assert Grant.objects.count() == 2
    assert expiry.end_expired() == 0


def test_membership_from_either_side(team, ear, owner, stranger):
    owner.groups.add(team)
    assert ear.told() == {owner.pk}
    team.user_set.remove(owner)
    assert ear.told() == {owner.pk}
    team.user_set.clear()
    assert ear.told() == {stranger.pk}


def test_the_end_of_a_group_is_news_to_those_who_were_in_it(team, ear, machine, stranger):
    Grant.objects.create(machine=machine, group=team)
    ear.told()
    team.delete()
    assert ear.told() == {stranger.pk}


def test_a_new_owner_is_news_to_both_and_a_new_version(ear, machine, owner, stranger):
    machine.owner = stranger
    machine.save(update_fields=["owner"])
    assert ear.told() == {owner.pk, stranger.pk}
    assert Machine.objects.get().version == machine.version + 1


def test_what_is_told_can_be_read_already(machine, owner, viewer, stranger):
    """Listeners look at once, and must not find what was before."""
    found: list[Any] = []

    def look(**_: Any) -> None:
        found.append((User.objects.get(pk=owner.pk).is_active, Grant.objects.filter(user=viewer).exists()))

    signals.user_disabled.connect(look)
    signals.rights_changed.connect(look)
    try:
        grant = Grant.objects.get(user=viewer)
        grant.user = stranger
        grant.save()
        owner.is_active = False
        owner.save()
        grant.delete()
    finally:
        signals.user_disabled.disconnect(look)
        signals.rights_changed.disconnect(look)
    assert found == [(True, False), (False, False), (False, False), (False, False)]


def test_saving_a_machine_without_a_new_owner_is_no_news(ear, machine):
    machine.save()
    assert ear.told() == set()


def test_the_deletion_of_a_machine_is_news_to_all_who_saw_it(ear, machine, owner, viewer):
    machine.delete()
    assert ear.told() == {owner.pk, viewer.pk}


def test_the_deletion_of_an_owner_is_a_new_version_of_the_machine(ear, machine, owner, pushes):
    owner.delete()
    assert pushes.machines()[machine.uuid]["owner"] is None
    assert Machine.objects.get().version == machine.version + 1


def test_a_disabled_user_and_one_who_is_deleted(ear, owner, viewer):
    owner.is_active = False
    owner.save()
    assert ("disabled", owner.pk) in ear.heard
    gone = viewer.pk
    viewer.delete()
    assert ("disabled", gone) in ear.heard


def test_becoming_an_administrator_is_news_and_a_new_name_is_not(ear, owner):
    owner.first_name = "Olga"
    owner.save()
    assert ear.heard == []
    owner.is_superuser = True
    owner.save()
    assert ear.told() == {owner.pk}


def test_signing_in_costs_no_look_at_rights(ear, owner, django_assert_num_queries):
    with django_assert_num_queries(1):
        owner.save(update_fields=["last_login"])
    assert ear.heard == []


def test_the_end_of_a_session_and_of_a_token(ear, owner):
    key = sign_in(owner)
    SessionStore(key).flush()
    token, _ = ApiToken.make(owner.pk, "test")
    pk = token.pk
    token.delete()
    assert ear.heard == [("login", f"session:{key}"), ("login", f"token:{pk}")]


def test_what_is_rolled_back_is_no_news(ear, machine):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Grant.objects.all().delete()
        _ = 1 / 0
    assert ear.heard == []


def test_a_new_name_of_a_host_is_a_new_version_of_its_machines(ear, machine, host):
    host.name = "renamed"
    host.save(update_fields=["name"])
    assert Machine.objects.get().version == machine.version + 1
