"""The calls about console sessions: who may make them, and what they leave in the audit."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from redis import Redis

from consoles.models import ConsoleEvent, ConsolePolicy, ConsoleSession
from consoles.proxy import redis_names
from machines.models import Grant, GrantRole, Machine
from tests.cast import ClientOf, person
from tests.consoles.seats import Seat, sit_down
from tests.consoles.test_tickets import ask

pytestmark = pytest.mark.django_db(transaction=True)

CALLS = ("control", "keep", "typed")
BODIES: dict[str, dict[str, object]] = {"control": {"action": "give_back"}, "keep": {}, "typed": {"characters": 3}}


def listed(client: Client, machine: Machine):
    return client.get(f"/api/v1/machines/{machine.uuid}/consoles")


def test_everyone_who_sees_the_machine_sees_who_is_at_its_consoles(
    client_of: ClientOf, viewer: User, helpdesk: User, machine: Machine, owners: Seat
) -> None:
    sit_down(client_of(viewer), machine, "view")
    ask(client_of(viewer), machine, mode="view")  # not opened
    for reader in (viewer, helpdesk):
        items = listed(client_of(reader), machine).json()["items"]
        assert [(one["user"], one["right"], one["protocol"], one["mode"], one["client"]) for one in items] == [
            ("owner", "owner", "vnc", "control", "page"),
            ("viewer", "viewer", "vnc", "view", "page"),
        ]
        assert items[0]["id"] == owners.session
    assert "login" not in items[0]


def test_a_script_is_said_to_be_one(script_of: ClientOf, owner: User, machine: Machine) -> None:
    script = script_of(owner)
    sit_down(script, machine)
    assert listed(script, machine).json()["items"][0]["client"] == "script"


def test_strangers_learn_nothing_of_who_is_there(
    client_of: ClientOf, client: Client, stranger: User, machine: Machine, owners: Seat
) -> None:
    assert listed(client_of(stranger), machine).status_code == 404
    assert listed(client, machine).status_code == 401


@pytest.mark.parametrize("call", CALLS)
def test_a_session_is_its_users_own(
    client_of: ClientOf, client: Client, viewer: User, admin: User, stranger: User, owners: Seat, call: str
) -> None:
    def status(who: Client, session: object = owners.session) -> int:
        return Seat(who, str(session)).post(call, BODIES[call]).status_code

    assert status(client) == 401
    assert status(client_of(stranger)) == status(client_of(stranger), uuid4()) == 404
    assert status(client_of(viewer)) == status(client_of(admin)) == 403
    assert status(owners.client, uuid4()) == 404
    assert owners.client.get(f"/api/v1/consoles/{owners.session}/{call}").status_code == 405
    assert owners.mode == "control"
    assert not ConsoleEvent.objects.exists()
    assert status(owners.client) in (200, 204)


def test_who_lost_every_right_is_a_stranger_to_their_own_session(
    client_of: ClientOf, viewer: User, machine: Machine
) -> None:
    seat = sit_down(client_of(viewer), machine, "view")
    Grant.objects.all().delete()
    assert seat.post("keep").status_code == 404


def test_a_page_of_another_site_can_change_nothing(owner: User, machine: Machine, owners: Seat) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert Seat(client, owners.session).act("give_back").status_code == 403
    assert owners.mode == "control"


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("control", {}),
        ("control", {"action": "steal"}),
        ("control", {"action": "grant", "to": "x"}),
        ("control", {"action": "take", "force": True}),
        ("typed", {}),
        ("typed", {"characters": 0}),
        ("typed", {"characters": 10**9}),
        ("typed", {"characters": 3, "text": "hello"}),
        ("typed", {"characters": 3, "layout": "DROP TABLE"}),
    ],
)
def test_what_is_not_understood_is_refused(owners: Seat, call: str, body: dict[str, object]) -> None:
    answer = owners.post(call, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_parameters")
    assert not ConsoleEvent.objects.exists()


def test_typed_text_is_noted_by_its_length_only(owners: Seat) -> None:
    assert owners.post("typed", {"characters": 14, "secret": True, "layout": "de"}).status_code == 204
    event = ConsoleEvent.objects.get()
    assert (event.kind, event.by, str(event.session_id)) == ("typed", owners.row.user, owners.session)
    assert event.detail == {"characters": 14, "secret": True, "layout": "de"}


def test_keeping_a_console_open_tells_its_proxy_each_time_and_the_audit_once(owners: Seat, redis: Redis) -> None:
    with redis.pubsub() as pubsub:
        pubsub.subscribe(redis_names.TELL_CHANNEL)
        assert pubsub.get_message(timeout=5)
        for _ in range(3):
            assert owners.post("keep").status_code == 204
            heard = pubsub.get_message(timeout=5)
            assert json.loads(heard["data"]) == {"session": owners.session, "tell": "keep"}
    assert owners.events() == [("kept", owners.row.user)]


class TestLimits:
    """How many consoles one person may have, and for how long."""

    def test_one_console_too_many_is_refused_in_words(
        self, client_of: ClientOf, owner: User, viewer: User, machine: Machine, settings
    ) -> None:
        settings.CONSOLES_PER_USER = 2
        client = client_of(owner)
        sit_down(client, machine)
        pending = ask(client, machine)
        refused = ask(client, machine)
        error = refused.json()["error"]
        assert (pending.status_code, refused.status_code, error["code"]) == (201, 409, "too_many_consoles")
        assert "Close one of these first: machine" in error["message"]
        assert error["details"]["limit"] == 2
        assert ask(client_of(viewer), machine, mode="view").status_code == 201, "each person's own"
        assert ConsoleSession.objects.filter(user=owner).count() == 2

        ConsoleSession.objects.filter(pk=pending.json()["session"]).update(ended_at="2026-01-01T00:00Z")
        assert ask(client, machine).status_code == 201

    def test_tickets_say_when_a_console_ends(
        self, client_of: ClientOf, owner: User, machine: Machine, settings, redis: Redis
    ) -> None:
        settings.CONSOLE_IDLE_LIMIT, settings.CONSOLE_LIMIT = 600, 0
        (ticket,) = ask(client_of(owner), machine).json()["tickets"]
        claim = json.loads(redis.get(redis_names.ticket_key(ticket)))
        assert (claim["idle_limit"], claim["limit"]) == (600, 0)


class TestSpice:
    """A screen that shows itself to one person at a time."""

    @pytest.fixture(autouse=True)
    def _spice(self, machine: Machine) -> None:
        Machine.objects.update(graphics=["spice", "vnc"])

    def test_a_screen_is_for_one_person_and_others_are_told_who_has_it(
        self, client_of: ClientOf, owner: User, viewer: User, admin: User, machine: Machine
    ) -> None:
        seat = sit_down(client_of(viewer), machine, "view", protocol="spice")
        for other in (owner, admin):
            refused = ask(client_of(other), machine, protocol="spice")
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "screen_taken")
            assert refused.json()["error"]["details"]["user"] == "viewer"
            assert "viewer" in refused.json()["error"]["message"]
        assert ask(client_of(owner), machine, protocol="vnc").status_code == 201
        ConsoleSession.objects.filter(pk=seat.session).update(ended_at="2026-01-01T00:00Z")
        assert ask(client_of(owner), machine, protocol="spice").status_code == 201

    def test_the_same_persons_newer_page_replaces_the_older(
        self, client_of: ClientOf, owner: User, machine: Machine, redis: Redis
    ) -> None:
        older = sit_down(client_of(owner), machine, protocol="spice")
        unopened = ask(client_of(owner), machine, protocol="spice").json()["session"]
        assert not redis.exists(redis_names.lease_key(older.session))
        assert ask(client_of(owner), machine, protocol="spice").status_code == 201
        row = ConsoleSession.objects.get(pk=unopened)
        assert (row.end_reason, bool(row.ended_at)) == ("replaced", True)


class TestRecording:
    """Whose consoles are recorded."""

    def test_is_off_where_nothing_was_laid_down(self, client_of: ClientOf, owner: User, machine: Machine) -> None:
        assert ask(client_of(owner), machine).json()["recorded"] is False

    @pytest.mark.parametrize("whose", ["machine", "member", "granted"])
    def test_is_announced_where_a_policy_says_so(
        self, client_of: ClientOf, owner: User, viewer: User, machine: Machine, redis: Redis, whose: str
    ) -> None:

        group = Group.objects.create(name="students")
        if whose == "machine":
            ConsolePolicy.objects.create(machine=machine, record=True)
        else:
            ConsolePolicy.objects.create(group=group, record=True)
        if whose == "member":
            owner.groups.add(group)
        elif whose == "granted":
            Grant.objects.create(machine=machine, group=group, role=GrantRole.VIEWER)
        body = ask(client_of(owner), machine).json()
        assert body["recorded"] is True
        assert json.loads(redis.get(redis_names.ticket_key(body["tickets"][0])))["record"] is True
        assert ask(client_of(viewer), machine, mode="view").json()["recorded"] is (whose != "member")

    def test_a_policy_of_others_means_nothing(self, client_of: ClientOf, owner: User, machine: Machine, make_machine):

        group = Group.objects.create(name="others")
        person("other").groups.add(group)
        ConsolePolicy.objects.create(group=group, record=True)
        ConsolePolicy.objects.create(machine=make_machine("elsewhere"), record=True)
        assert ask(client_of(owner), machine).json()["recorded"] is False
