"""What becomes of the machines of somebody who is disabled or deleted, and that it is said before."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisor.states import State
from lifecycle.models import Operation
from machines.models import Machine
from people.models import Membership, Project, Role
from tests.cast import ClientOf, MakeMachine
from tests.kvmportal.test_admin_people import PEOPLE, change_form

pytestmark = pytest.mark.django_db


@pytest.fixture
def bees(owner: User) -> Project:
    """A project that owner is in."""
    project = Project.objects.create(name="bees")
    Membership.objects.create(project=project, user=owner, role=Role.VIEWER)
    return project


@pytest.fixture
def admins(client_of: ClientOf, admin: User) -> Client:
    return client_of(admin)


def disable(client: Client, person: User) -> None:
    form = change_form(person)
    del form["is_active"]
    assert client.post(f"{PEOPLE}{person.pk}/change/", form).status_code == 302


def delete(client: Client, person: User) -> None:
    assert client.post(f"{PEOPLE}{person.pk}/delete/", {"post": "yes"}).status_code == 302


@pytest.mark.parametrize(
    ("policy", "deleted", "disabled"),
    [
        ("keep", "It stays as it is and belongs to nobody.", "It stays theirs, and as it is."),
        ("project", "It is handed to the project bees.", "It is handed to the project bees."),
        ("save", "belongs to nobody. 1 that runs is saved first.", "as it is. 1 that runs is saved first."),
    ],
)
def test_it_is_said_before_it_happens(
    admins: Client, machine: Machine, owner: User, bees: Project, settings, policy: str, deleted: str, disabled: str
) -> None:
    settings.DEPARTED_MACHINES = policy
    assert deleted in admins.get(f"{PEOPLE}{owner.pk}/delete/").content.decode()
    ticked = {"action": "delete_selected", "_selected_action": [owner.pk]}
    assert deleted in admins.post(PEOPLE, ticked).content.decode()
    assert disabled in admins.get(f"{PEOPLE}{owner.pk}/change/").content.decode()


def test_nothing_is_said_of_who_owns_nothing(admins: Client, viewer: User) -> None:
    assert "data-departures" not in admins.get(f"{PEOPLE}{viewer.pk}/delete/").content.decode()


def test_kept_machines_stay_a_disabled_users_and_nobodys_after_a_deletion(
    admins: Client, machine: Machine, owner: User
) -> None:
    disable(admins, owner)
    assert Machine.objects.get().owner == owner
    delete(admins, owner)
    assert Machine.objects.get().owner is None
    assert not Operation.objects.exists()


@pytest.mark.parametrize("leave", [disable, delete])
def test_machines_are_handed_to_the_project(
    admins: Client, machine: Machine, owner: User, bees: Project, settings, leave
) -> None:
    settings.DEPARTED_MACHINES = "project"
    leave(admins, owner)
    assert (Machine.objects.get().owner, Machine.objects.get().project) == (None, bees)


def test_without_a_project_they_are_kept(admins: Client, machine: Machine, owner: User, settings) -> None:
    settings.DEPARTED_MACHINES = "project"
    delete(admins, owner)
    assert Machine.objects.get().project is None


@pytest.mark.parametrize("leave", [disable, delete])
def test_machines_that_run_are_saved_as_the_administrator(
    admins: Client, admin: User, machine: Machine, make_machine: MakeMachine, owner: User, settings, leave
) -> None:
    settings.DEPARTED_MACHINES = "save"
    make_machine("off", owner=owner, state=State.SHUTOFF)
    leave(admins, owner)
    assert [(row.machine, row.kind, row.requested_by) for row in Operation.objects.all()] == [(machine, "save", admin)]


def test_what_cannot_be_saved_is_said_and_left_as_it_is(
    admins: Client, make_machine: MakeMachine, owner: User, settings
) -> None:
    settings.DEPARTED_MACHINES = "save"
    make_machine("passing", owner=owner, persistent=False)
    answer = admins.post(f"{PEOPLE}{owner.pk}/delete/", {"post": "yes"}, follow=True)
    [warning, _deleted] = map(str, answer.context["messages"])
    assert warning.startswith("passing is not saved: It is transient")
    assert not User.objects.filter(pk=owner.pk).exists()
