"""What comes into the trail, by whom and from where; and what never does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db.models import Q
from django.test import Client, RequestFactory
from django.utils import timezone

from audit import trail
from audit.asking import Asker, address_of, asker
from audit.kinds import FAMILIES, KINDS
from audit.models import Entry
from audit.words import told, what
from consoles import reports, sessions
from consoles.models import ConsolePolicy, ConsoleSession, EventKind
from consoles.proxy.endings import Ending
from lifecycle import operations
from lifecycle.models import Operation, Status
from machines.models import Grant, GrantRole, Host, Machine
from people.models import ApiToken
from tests.cast import PASSWORD, ClientOf, MakeMachine
from tests.consoles.seats import sit_down

pytestmark = pytest.mark.django_db


def entries(*kinds: str, **fields: Any) -> list[Entry]:
    """The entries of these kinds, oldest first."""
    return list(Entry.objects.filter(kind__in=kinds, **fields).order_by("pk"))


def only(kind: str, **fields: Any) -> Entry:
    (entry,) = entries(kind, **fields)
    return entry


# Sign-ins


def test_login_and_logout_are_kept_with_who_and_from_where(client: Client, owner: User) -> None:
    client.post("/login/", {"username": "owner", "password": PASSWORD}, REMOTE_ADDR="192.0.2.7")
    client.post("/logout/", REMOTE_ADDR="2001:DB8::7")
    came, went = only("login.ok"), only("login.out")
    assert (came.who, came.who_id, came.via, came.address) == ("owner", owner.pk, "page", "192.0.2.7")
    assert (went.who, went.address) == ("owner", "2001:db8::7")


def test_signing_other_browsers_out_is_kept_with_how_many(owner: User) -> None:
    here, there, *_others = browsers = [Client() for _ in range(4)]
    for browser in browsers:
        browser.post("/login/", {"username": "owner", "password": PASSWORD})
    elsewhere = UserSession.objects.get(session_key=there.session.session_key)
    here.post(f"/profile/logins/{elsewhere.pk}/end/")
    here.post("/profile/logins/end-others/")
    here.post("/profile/logins/end-others/")  # there is none left, which is nothing to tell
    kept = entries("login.ended")
    assert [(entry.who, entry.via, told(entry)) for entry in kept] == [
        ("owner", "page", "1 browser"),
        ("owner", "page", "2 browsers"),
    ]


def test_failed_login_names_the_user_but_no_password(client: Client, owner: User) -> None:
    client.post("/login/", {"username": "owner", "password": "a wrong one"}, REMOTE_ADDR="192.0.2.7")
    entry = only("login.failed")
    assert (entry.who, entry.address, entry.detail) == ("owner", "192.0.2.7", {})
    assert not entries("login.ok")


def test_failed_login_does_not_keep_a_name_that_nobody_has(client: Client, db: None) -> None:
    """It may well be somebody's password, typed into the wrong field."""
    client.post("/login/", {"username": "correct horse 42", "password": "x"})
    entry = only("login.failed")
    assert (entry.who, entry.detail) == ("", {"unknown": True})
    assert "horse" not in str(list(Entry.objects.values()))


def test_no_header_of_a_browser_says_where_it_is(client: Client, owner: User) -> None:
    client.post(
        "/login/",
        {"username": "owner", "password": PASSWORD},
        headers={"X-Forwarded-For": "198.51.100.1", "Forwarded": "for=198.51.100.1", "X-Real-IP": "198.51.100.1"},
    )
    assert only("login.ok").address == "127.0.0.1"


@pytest.mark.parametrize(
    ("said", "kept"),
    [("192.0.2.7", "192.0.2.7"), ("fe80::1%eth0", "fe80::1"), ("", None), ("a socket", None), ("::FFFF:1", "::ffff:1")],
)
def test_address_is_one_or_none(said: str, kept: str | None) -> None:
    assert address_of(RequestFactory().get("/", REMOTE_ADDR=said)) == kept


# Operations


def test_operation_is_kept_as_asked_and_as_ended(client_of: ClientOf, owner: User, machine: Machine) -> None:
    client_of(owner).post(f"/machines/{machine.uuid}/operations/suspend/", REMOTE_ADDR="192.0.2.7")
    operation = Operation.objects.get()
    operations.advance(operation, status=Status.FAILED, error_code="domain_locked")
    asked, ended = only("operation.asked"), only("operation.ended")
    assert (asked.who, asked.machine, asked.machine_name) == ("owner", machine.uuid, "machine")
    assert (asked.address, asked.via) == ("192.0.2.7", "page")
    assert asked.detail == {"operation": operation.pk, "kind": "suspend"}
    assert (ended.who, ended.via, ended.address) == ("", "portal", None)
    assert ended.detail["status"] == "failed"
    assert "domain_locked" in told(ended)
    assert "asked by owner" in told(ended)


def test_who_cancels_an_operation_is_kept(client_of: ClientOf, owner: User, admin: User, machine: Machine) -> None:
    operation = operations.request(machine, "suspend", by=owner, parameters={})
    client_of(admin).post(f"/operations/{operation.pk}/cancel/")
    ended = only("operation.ended")
    assert (ended.who, ended.detail["status"], ended.detail["asked_by"]) == ("admin", "cancelled", "owner")


def test_operation_that_goes_on_is_nothing_new(machine: Machine, owner: User) -> None:
    operation = operations.request(machine, "suspend", by=owner, parameters={})
    operations.advance(operation, progress=50)
    assert not entries("operation.ended")


def test_neither_keys_nor_definitions_are_kept_of_an_operation(machine: Machine, admin: User) -> None:
    operations.request(machine, "send-keys", by=admin, parameters={"keys": ["KEY_S", "KEY_E", "KEY_C"]})
    assert only("operation.asked").detail.get("parameters", {}) == {}
    assert "KEY_S" not in str(list(Entry.objects.values()))


def test_name_of_a_saved_file_is_kept(make_machine: MakeMachine, owner: User) -> None:
    machine = make_machine("other", owner=owner)
    operations.request(machine, "save", by=owner, parameters={"file": "before-lunch"})
    assert only("operation.asked").detail["parameters"] == {"file": "before-lunch"}


# Grants, owners, users, groups


def test_grant_is_kept_when_made_changed_and_removed(make_machine: MakeMachine, owner: User, stranger: User) -> None:
    machine = make_machine("shared", owner=owner)
    grant = Grant.objects.create(machine=machine, user=stranger, role=GrantRole.VIEWER)
    grant.role = GrantRole.OPERATOR
    grant.save()
    grant.save()  # nothing is different
    number = grant.pk
    grant.delete()
    made, changed, removed = entries("grant.made", "grant.changed", "grant.removed")
    holder = {"id": stranger.pk, "name": "stranger"}
    nobody_else = {"group": None, "project": None, "expires_at": None}
    assert made.detail == {"id": number, "after": {"user": holder, "role": "viewer", **nobody_else}}
    assert changed.detail["before"]["role"] == "viewer"
    assert changed.detail["after"]["role"] == "operator"
    assert changed.detail["changed"] == ["role"]
    assert removed.detail["before"]["role"] == "operator"
    assert {entry.machine for entry in (made, changed, removed)} == {machine.uuid}
    assert "role: viewer → operator" in told(changed)


def test_grant_in_the_admin_is_by_the_administrator(
    client_of: ClientOf, admin: User, stranger: User, machine: Machine
) -> None:
    form = {
        "owner": machine.owner_id,
        "grants-TOTAL_FORMS": 1,
        "grants-INITIAL_FORMS": 0,
        "grants-0-id": "",
        "grants-0-machine": str(machine.pk),
        "grants-0-user": stranger.pk,
        "grants-0-group": "",
        "grants-0-role": "operator",
    }
    machine.grants.all().delete()
    answer = client_of(admin).post(f"/admin/machines/machine/{machine.pk}/change/", form, REMOTE_ADDR="192.0.2.9")
    assert answer.status_code == 302
    made = entries("grant.made")[-1]
    assert (made.who, made.address) == ("admin", "192.0.2.9")
    logged = only("admin.changed")
    assert (logged.who, logged.machine) == ("admin", machine.uuid)
    assert "grant" in told(logged)


def test_new_owner_is_kept(make_machine: MakeMachine, owner: User, stranger: User) -> None:
    machine = make_machine("given", owner=owner)
    machine.owner = stranger
    machine.save(update_fields=["owner"])
    changed = only("machine.changed")
    assert changed.detail["before"] == {"owner": {"id": owner.pk, "name": "owner"}, "project": None}
    assert changed.detail["after"] == {"owner": {"id": stranger.pk, "name": "stranger"}, "project": None}


def test_what_the_watcher_writes_is_nothing_for_the_trail(machine: Machine) -> None:
    before = Entry.objects.count()
    machine.state = "paused"
    machine.save(update_fields=["state"])
    assert Entry.objects.count() == before


def test_deleted_user_leaves_machines_grants_groups_and_tokens_in_the_trail(
    machine: Machine, owner: User, viewer: User
) -> None:
    team = Group.objects.create(name="team")
    owner.groups.add(team)
    ApiToken.make(owner.pk, "script")
    number = owner.pk
    owner.delete()
    assert only("machine.changed").detail["before"]["owner"]["id"] == number
    assert only("group.left").detail["user"] == {"id": number, "name": "owner"}
    assert only("token.removed").detail["before"]["name"] == "script"
    assert only("user.removed").detail["before"]["username"] == "owner"
    viewer.delete()
    assert only("grant.removed").detail["before"]["user"]["name"] == "viewer"


def test_forgotten_machine_stays_in_the_trail(machine: Machine) -> None:
    uuid = machine.uuid
    machine.delete()
    assert only("machine.removed").machine == uuid
    assert only("grant.removed").machine == uuid


def test_membership_is_kept_from_both_ends(owner: User, viewer: User) -> None:
    team = Group.objects.create(name="team")
    owner.groups.add(team)
    owner.groups.add(team)  # again: nothing
    team.user_set.add(viewer)
    owner.groups.clear()
    team.user_set.remove(viewer)
    pairs = [(entry.kind, entry.detail["user"]["name"]) for entry in entries("group.joined", "group.left")]
    assert pairs == [
        ("group.joined", "owner"),
        ("group.joined", "viewer"),
        ("group.left", "owner"),
        ("group.left", "viewer"),
    ]


def test_group_that_is_deleted_is_left_by_its_members(owner: User) -> None:
    team = Group.objects.create(name="team")
    owner.groups.add(team)
    team.delete()
    assert only("group.left").detail["group"]["name"] == "team"
    assert only("group.removed").detail["before"] == {"name": "team"}


def test_password_is_only_said_to_be_changed(owner: User) -> None:
    owner.set_password("a new good one 77")
    owner.save()
    changed = only("user.changed")
    assert changed.detail["changed"] == ["password"]
    assert "password" not in changed.detail["before"]
    assert owner.password not in str(changed.detail)


def test_user_who_becomes_administrator_is_kept(owner: User) -> None:
    owner.is_superuser = True
    owner.save()
    assert only("user.changed").detail["after"]["is_superuser"] is True


# API tokens


def test_token_is_kept_when_made_first_used_each_day_and_revoked(owner: User) -> None:
    row, token = ApiToken.make(owner.pk, "backup")
    script = Client(headers={"Authorization": f"Bearer {token}"}, REMOTE_ADDR="192.0.2.8")
    for _time in range(3):
        assert script.get("/api/v1/machines").status_code == 200
    ApiToken.objects.filter(pk=row.pk).update(last_used_at=timezone.now() - timedelta(days=1))
    assert script.get("/api/v1/machines").status_code == 200
    row.delete()
    first, _second = entries("token.used")
    assert (first.who, first.via, first.address) == ("owner", "token", "192.0.2.8")
    assert first.detail["name"] == "backup"
    assert only("token.made").detail["after"]["name"] == "backup"
    assert only("token.removed").detail["before"]["name"] == "backup"
    everything = str(list(Entry.objects.values()))
    assert token not in everything
    assert row.digest not in everything


def test_what_a_script_does_names_its_token(script_of: ClientOf, owner: User, machine: Machine) -> None:
    body = {"operation": "suspend"}
    script = script_of(owner)
    script.post(f"/api/v1/machines/{machine.uuid}/operations", body, content_type="application/json")
    asked = only("operation.asked")
    assert (asked.who, asked.via, asked.detail["token"]) == ("owner", "token", ApiToken.objects.get().pk)


# Administration


def test_every_object_of_an_action_in_the_admin_is_kept(client_of: ClientOf, admin: User) -> None:
    hosts = [Host.objects.create(name=f"rack-{number}", uri=f"qemu+ssh://h{number}/system") for number in range(3)]
    groups = [Group.objects.create(name=f"team-{number}") for number in range(3)]
    ticked = {"action": "delete_selected", "_selected_action": [group.pk for group in groups], "post": "yes"}
    client_of(admin).post("/admin/auth/group/", ticked)
    assert not Group.objects.filter(name__startswith="team").exists()
    assert LogEntry.objects.count() == 3
    assert {entry.detail["name"] for entry in entries("admin.deleted")} == {"team-0", "team-1", "team-2"}
    client_of(admin).post(f"/admin/machines/host/{hosts[0].pk}/delete/", {"post": "yes"})
    assert entries("admin.deleted")[-1].detail["object"] == "machines.host"
    assert only("host.removed").detail["before"]["name"] == "rack-0"


def test_change_in_the_admin_names_the_fields(client_of: ClientOf, admin: User, host: Host) -> None:
    form = {"name": "renamed", "uri": host.uri, "enabled": "on"}
    client_of(admin).post(f"/admin/machines/host/{host.pk}/change/", form)
    assert "Name" in told(only("admin.changed"))
    assert "name: host-1 → renamed" in told(only("host.changed"))


# Consoles


def test_console_session_is_kept_from_its_tickets_to_its_end(
    client_of: ClientOf, owner: User, machine: Machine
) -> None:
    body = {"protocol": "vnc", "mode": "control"}
    answer = client_of(owner).post(
        f"/api/v1/machines/{machine.uuid}/console-tickets", body, "application/json", REMOTE_ADDR="192.0.2.7"
    )
    session = answer.json()["session"]
    began = timezone.now()
    report = {"session": session, "to_client": "4096", "from_client": "1024", "reason": ""}
    for _again in range(2):  # a report may come twice
        reports.write({**report, "event": "opened", "at": str(began.timestamp())})
    for _again in range(2):
        at = str(began.timestamp() + 60)
        reports.write({**report, "event": "closed", "at": at, "reason": Ending.LEFT.value})
    wanted, opened, closed = only("console.wanted"), only("console.opened"), only("console.closed")
    for entry in (wanted, opened, closed):
        assert (entry.who, entry.address, entry.via, entry.machine) == ("owner", "192.0.2.7", "page", machine.uuid)
        assert entry.detail["session"] == session
        assert entry.detail["mode"] == "control"
    assert (closed.detail["reason"], closed.detail["seconds"]) == (Ending.LEFT.value, 60)
    assert (closed.detail["to_client"], closed.detail["from_client"]) == (4096, 1024)
    for ticket in answer.json()["tickets"]:
        assert ticket not in str(list(Entry.objects.values()))


def test_typed_text_is_kept_as_a_count(client_of: ClientOf, owner: User, machine: Machine) -> None:
    seat = sit_down(client_of(owner), machine)
    seat.post("typed", {"characters": 12, "secret": True, "layout": "de"})
    typed = only("console.typed")
    assert typed.who == "owner"
    assert typed.detail["said"] == {"characters": 12, "secret": True, "layout": "de"}
    assert told(typed) == "session of owner · 12 secret characters · layout: de"


def test_control_that_changes_hands_is_kept(client_of: ClientOf, owner: User, viewer: User, machine: Machine) -> None:
    first, second = sit_down(client_of(owner), machine), sit_down(client_of(viewer), machine, mode="view")
    second.act("ask")
    first.act("grant", second)
    asked, granted = only("console.asked"), only("console.granted")
    assert (asked.who, asked.detail["user"]) == ("viewer", "viewer")
    assert (granted.who, granted.detail["user"]) == ("owner", "viewer")


def test_watched_recording_and_policies_are_kept(machine: Machine, owner: User) -> None:
    session = ConsoleSession.objects.create(machine=machine, user=owner, protocol="vnc", mode="view")
    session.events.create(kind=EventKind.WATCHED, by=owner)
    assert only("console.watched").who == "owner"
    ConsolePolicy.objects.create(machine=machine, record=True)
    assert only("policy.made").machine == machine.uuid


def test_sessions_that_the_portal_ends_are_kept_once(machine: Machine, owner: User) -> None:
    ConsoleSession.objects.create(machine=machine, user=owner, protocol="vnc", mode="view")
    for _again in range(2):
        sessions.close(sessions.not_ended(), Ending.UNUSED)
    assert only("console.closed").detail["reason"] == Ending.UNUSED.value


def test_key_of_a_login_session_is_nowhere_in_the_trail(client_of: ClientOf, owner: User, machine: Machine) -> None:
    client = client_of(owner)
    sit_down(client, machine)
    assert client.session.session_key not in str(list(Entry.objects.values()))


# Entries


def test_outside_of_requests_the_portal_itself_acts() -> None:
    assert asker() == Asker()
    trail.record("host.changed")
    entry = Entry.objects.get()
    assert (entry.who, entry.who_id, entry.via, entry.address) == ("", None, "portal", None)


def test_nothing_of_a_request_is_left_for_the_next_one(client: Client, owner: User) -> None:
    client.post("/login/", {"username": "owner", "password": PASSWORD})
    assert asker() == Asker()


def test_detail_is_kept_as_every_database_takes_it() -> None:
    trail.record("host.changed", text="a\0b\ud800", long="x" * 5000, number=1.23456, when=timezone.now(), things={1})
    entry = Entry.objects.get()
    assert entry.detail["text"] == "ab?"
    assert len(entry.detail["long"]) == trail.LONGEST
    assert entry.detail["number"] == 1.235
    assert entry.detail["things"] == [1]


def test_every_kind_has_words_and_a_family() -> None:
    assert {kind.partition(".")[0] for kind in KINDS} == set(FAMILIES)
    assert all(str(word) for word in KINDS.values())


def test_every_kind_that_is_written_has_words(machine: Machine, owner: User, client_of: ClientOf) -> None:
    seat = sit_down(client_of(owner), machine)
    seat.post("keep")
    unknown = Entry.objects.exclude(Q(kind__in=list(KINDS))).values_list("kind", flat=True)
    assert list(unknown) == []
    assert all(what(entry) for entry in Entry.objects.all())
