"""Logging in with the password of an LDAP directory: a real OpenLDAP server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from kvmportal.services import Directory
from people.models import Membership, Project
from people.roles import HELPDESK_GROUP
from sharing import tasks
from sharing.models import Departure
from tests.cast import PASSWORD as OWN_PASSWORD
from tests.cast import MakeMachine
from tests.people.openldap import GROUPS, PASSWORD, PEOPLE, PORTAL, OpenLdap, make_certificate

pytestmark = pytest.mark.usefixtures("quick_passwords")


@pytest.fixture(scope="module")
def openldap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenLdap]:
    with OpenLdap(tmp_path_factory.mktemp("openldap") / "server", temporary=True) as server:
        server.fill()
        server.add_person("alice", givenName="Alice", mail="alice@example.org")
        server.add_person("mallory", givenName="Mallory")
        yield server


@pytest.fixture
def directory(openldap: OpenLdap) -> Directory:
    return Directory(
        url=openldap.url,
        users=PEOPLE,
        starttls=False,
        bind_dn=PORTAL,
        bind_password=PASSWORD,
        groups=GROUPS,
    )


@pytest.fixture(autouse=True)
def portal(quick_passwords: None, db: None, settings, directory: Directory) -> None:
    """The portal as it is with that directory."""
    settings.DIRECTORY = directory
    settings.AUTHENTICATION_BACKENDS = [*settings.AUTHENTICATION_BACKENDS, "people.directory.DirectoryBackend"]


def log_in(name: str = "alice", password: str = PASSWORD) -> tuple[Client, object]:
    client = Client()
    return client, client.post("/login/", {"username": name, "password": password})


def is_in(client: Client) -> bool:
    return client.get("/profile/").status_code == 200


def test_person_of_the_directory_logs_in_and_gets_an_account_without_a_password() -> None:
    client, answer = log_in()
    assert answer.status_code == 302
    assert is_in(client)
    alice = User.objects.get(username="alice")
    assert (alice.first_name, alice.last_name, alice.email) == ("Alice", "Liddell", "alice@example.org")
    assert not alice.has_usable_password()
    assert not (alice.is_staff or alice.is_superuser)
    assert b"keeps no password of yours" in client.get("/profile/").content


def test_name_is_one_account_however_it_is_written() -> None:
    log_in("alice")
    client, _ = log_in(" Alice ")
    assert is_in(client)
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("alice", "wrong"),
        ("alice", ""),
        ("nobody", PASSWORD),
        ("*", PASSWORD),
        ("alice)(uid=*", PASSWORD),
        ("ali*", PASSWORD),
    ],
)
def test_wrong_password_unknown_name_and_wildcards_are_refused(name: str, password: str) -> None:
    client, answer = log_in(name, password)
    assert answer.status_code == 200
    assert not is_in(client)
    assert not User.objects.exists()


def test_failed_logins_are_counted_for_people_of_the_directory_too() -> None:
    for _ in range(5):
        log_in("alice", "wrong")
    client, answer = log_in("alice")
    assert b"Too many logins failed" in answer.content
    assert not is_in(client)


def test_account_of_the_portal_is_not_opened_by_its_name_in_the_directory(openldap: OpenLdap, admin: User) -> None:
    openldap.add_person("admin")
    client, _ = log_in("admin")
    assert not is_in(client)
    own, _ = log_in("admin", OWN_PASSWORD)
    assert is_in(own)


def test_disabled_person_is_refused_and_signed_out() -> None:
    client, _ = log_in()
    User.objects.filter(username="alice").update(is_active=False)
    assert not is_in(client)
    again, answer = log_in()
    assert answer.status_code == 200
    assert not is_in(again)


def test_person_taken_out_of_the_directory_keeps_the_account_and_who_is_disabled_then_leaves(
    openldap: OpenLdap, make_machine: MakeMachine, settings
) -> None:
    settings.DEPARTED_MACHINES = "project"
    entry = openldap.add_person("leaver")
    log_in("leaver")
    leaver = User.objects.get(username="leaver")
    bees = Project.objects.create(name="bees")
    Membership.objects.create(project=bees, user=leaver)
    machine = make_machine(owner=leaver)

    openldap.as_root().delete_s(entry)
    assert not is_in(log_in("leaver")[0])
    tasks.see_off()
    machine.refresh_from_db()
    assert (User.objects.get(pk=leaver.pk).is_active, machine.owner) == (True, leaver)

    User.objects.filter(pk=leaver.pk).update(is_active=False)  # as a script does that reads the directory
    tasks.see_off()
    machine.refresh_from_db()
    assert (machine.owner, machine.project) == (None, bees)

    openldap.add_person("leaver")
    assert not is_in(log_in("leaver")[0])
    assert Departure.objects.get().user == leaver


def test_groups_give_roles_and_take_them(openldap: OpenLdap, directory: Directory, settings) -> None:
    alice = f"uid=alice,{PEOPLE}"
    settings.DIRECTORY = replace(
        directory,
        staff_group=openldap.set_members("staff", []),
        superuser_group=openldap.set_members("Masters", [alice]),
        helpdesk_group=f"cn=Support, {GROUPS.upper()}",
        mirrored_groups=("lab",),
    )
    for group in ("support", "lab", "other"):
        openldap.set_members(group, [alice])
    log_in()
    person = User.objects.get(username="alice")
    assert (person.is_superuser, person.is_staff) == (True, True)
    assert set(person.groups.values_list("name", flat=True)) == {HELPDESK_GROUP, "lab"}

    person.groups.add(Group.objects.create(name="of the portal's own"))
    for group in ("Masters", "support", "lab"):
        openldap.set_members(group, [])
    openldap.set_members("staff", [alice])
    log_in()
    person.refresh_from_db()
    assert (person.is_superuser, person.is_staff) == (False, True)
    assert set(person.groups.values_list("name", flat=True)) == {"of the portal's own"}


def test_only_members_of_the_required_group_come_in(openldap: OpenLdap, directory: Directory, settings) -> None:
    users = openldap.set_members("users", [f"uid=alice,{PEOPLE}"])
    settings.DIRECTORY = replace(directory, required_group=users)
    assert is_in(log_in("alice")[0])
    assert not is_in(log_in("mallory")[0])
    assert not User.objects.filter(username="mallory").exists()


def test_passwords_travel_encrypted_to_a_directory_whose_certificate_is_trusted(
    openldap: OpenLdap, directory: Directory, settings
) -> None:
    settings.DIRECTORY = replace(directory, starttls=True, ca_file=openldap.ca_file)
    assert is_in(log_in()[0])


def test_directory_that_cannot_show_who_it_is_gets_no_password(
    directory: Directory, settings, tmp_path, caplog: pytest.LogCaptureFixture
) -> None:
    make_certificate(tmp_path / "other.pem", tmp_path / "key.pem")
    settings.DIRECTORY = replace(directory, starttls=True, ca_file=str(tmp_path / "other.pem"))
    client, answer = log_in()
    assert b"does not answer" in answer.content
    assert not is_in(client)


def test_directory_that_does_not_answer_is_no_failure_of_the_person(openldap: OpenLdap, owner: User) -> None:
    openldap.end()
    try:
        for _ in range(7):
            client, answer = log_in()
            assert b"The directory that knows your password does not answer" in answer.content
            assert not is_in(client)
        assert is_in(log_in("owner", OWN_PASSWORD)[0])
    finally:
        openldap.start()
    assert is_in(log_in()[0])


def test_wrong_password_of_the_portals_own_account_there_is_said(directory: Directory, settings) -> None:
    settings.DIRECTORY = replace(directory, bind_password="not the portal's")
    assert b"does not answer" in log_in()[1].content


def test_forgotten_password_of_the_directory_is_not_replaced_here(settings, mailoutbox) -> None:
    settings.MAIL = object()
    log_in()
    Client().post("/login/forgotten/", {"email": "alice@example.org"})
    assert mailoutbox == []
