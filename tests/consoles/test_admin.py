"""The audit in the admin: read-only, without what sessions live on, and with one action for administrators."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.utils import timezone

from consoles.models import ConsoleEvent, ConsolePolicy, ConsoleSession, EventKind
from machines.models import Machine
from tests.cast import ClientOf
from tests.consoles.test_tickets import ask

LIST = "/admin/consoles/consolesession/"


@pytest.fixture
def row(client_of: ClientOf, owner: User, machine: Machine) -> ConsoleSession:
    return ConsoleSession.objects.get(pk=ask(client_of(owner), machine).json()["session"])


def test_administrator_sees_who_was_where_but_not_what_it_lived_on(
    client_of: ClientOf, admin: User, row: ConsoleSession
) -> None:
    client = client_of(admin)
    for page in (LIST, f"{LIST}{row.pk}/change/"):
        text = client.get(page).content.decode()
        assert "owner" in text
        assert "machine" in text
        assert "127.0.0.1" in text
        assert row.login.partition(":")[2] not in text


def test_the_list_says_how_long_and_how_much_in_readable_form(
    client_of: ClientOf, admin: User, row: ConsoleSession
) -> None:
    opened = timezone.now() - timedelta(hours=1)
    ConsoleSession.objects.filter(pk=row.pk).update(
        opened_at=opened,
        ended_at=opened + timedelta(minutes=2, seconds=5),
        bytes_to_client=3 * 1024**2,
        bytes_from_client=1536,
    )
    page = client_of(admin).get(LIST).content.decode()
    assert "2 min 5 s" in page
    assert "3 MiB / 1.5 KiB" in page


def test_nothing_can_be_added_changed_or_deleted(client_of: ClientOf, admin: User, row: ConsoleSession) -> None:
    client = client_of(admin)
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(f"{LIST}{row.pk}/change/", {"mode": "view"}).status_code == 403
    assert client.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in client.get(LIST).content.decode()


def test_list_costs_no_query_for_each_row(
    client_of: ClientOf, owner: User, admin: User, machine: Machine, django_assert_max_num_queries
) -> None:
    asking, looking = client_of(owner), client_of(admin)
    for _ in range(15):
        ask(asking, machine)
    with django_assert_max_num_queries(12):
        looking.get(LIST)


def test_staff_who_may_look_may_not_end_sessions(client_of: ClientOf, helpdesk: User, row: ConsoleSession) -> None:
    helpdesk.is_staff = True
    helpdesk.save()
    helpdesk.user_permissions.add(Permission.objects.get(codename="view_consolesession"))
    client = client_of(helpdesk)
    assert "end_sessions" not in client.get(LIST).content.decode()
    client.post(LIST, {"action": "end_sessions", "_selected_action": [str(row.pk)]})
    row.refresh_from_db()
    assert row.ended_at is None


@pytest.mark.parametrize("who", ["owner", "stranger", "helpdesk"])
def test_others_do_not_see_the_audit(request, client_of: ClientOf, row: ConsoleSession, who: str) -> None:
    assert client_of(request.getfixturevalue(who)).get(LIST).status_code in (302, 403)


def test_what_happened_in_a_session_is_said_in_words(
    client_of: ClientOf, owner: User, viewer: User, admin: User, row: ConsoleSession
) -> None:
    events = [
        (EventKind.TYPED, viewer, {"characters": 14, "secret": True, "layout": "de"}),
        (EventKind.TYPED, viewer, {"characters": 1, "secret": False, "layout": ""}),
        (EventKind.TAKEN, owner, {"from": ["viewer"]}),
        (EventKind.WARNED, None, {"reason": "idle"}),
    ]
    for kind, by, detail in events:
        ConsoleEvent.objects.create(session=row, kind=kind, by=by, detail=detail)
    page = client_of(admin).get(f"{LIST}{row.pk}/change/").content.decode()
    for words in ("typed 14 secret characters (de)", "typed 1 character<", "from: viewer", "reason: idle"):
        assert words in page


def test_events_cost_no_query_each(
    client_of: ClientOf, viewer: User, admin: User, row: ConsoleSession, django_assert_max_num_queries
) -> None:
    client = client_of(admin)
    for _ in range(20):
        ConsoleEvent.objects.create(session=row, kind=EventKind.ASKED, by=viewer)
    with django_assert_max_num_queries(12):
        client.get(f"{LIST}{row.pk}/change/")


def test_the_list_says_who_types_now(
    client_of: ClientOf, admin: User, viewer: User, machine: Machine, row: ConsoleSession
) -> None:
    client = client_of(admin)
    watching = ask(client_of(viewer), machine, mode="view").json()["session"]
    ConsoleSession.objects.update(opened_at=timezone.now())
    page = client.get(LIST, {"types": "now"}).content.decode()
    assert str(row.pk) in page
    assert watching not in page
    assert 'alt="True"' in page
    ConsoleSession.objects.update(ended_at=timezone.now())
    assert str(row.pk) not in client.get(LIST, {"types": "now"}).content.decode()


def test_a_policy_is_for_a_machine_or_a_group(client_of: ClientOf, admin: User, machine: Machine) -> None:
    client, address = client_of(admin), "/admin/consoles/consolepolicy/add/"
    group = Group.objects.create(name="students")
    for both in ({}, {"machine": str(machine.pk), "group": group.pk}):
        assert "Choose either a machine or a group." in client.post(address, both).content.decode()
    assert not ConsolePolicy.objects.exists()
    assert client.post(address, {"group": group.pk, "record": "on"}).status_code == 302
    policy = ConsolePolicy.objects.get()
    assert (policy.group, policy.machine, policy.record, policy.thumbnails) == (group, None, True, False)
    assert "students" in client.get("/admin/consoles/consolepolicy/").content.decode()
