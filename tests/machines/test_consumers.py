"""The socket of live updates: who gets in, what is sent, what is refused, when it ends. By a real web process."""

from __future__ import annotations

import time
import uuid
from socket import create_connection

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from websockets.exceptions import InvalidStatus

from lifecycle.models import Operation, Status
from machines import push, socket_tickets
from machines.models import Grant, Host, Machine
from machines.push_sender import LISTING_INTERVAL
from machines.redis_client import redis_client
from people.models import ApiToken
from tests.machines.conftest import until
from tests.machines.sockets import sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def machines_of(messages):
    return {message["machine"]["uuid"]: message["machine"] for message in messages if message["type"] == "machine"}


class TestWhoGetsIn:
    """Refused before the handshake ends: HTTP 403."""

    def refused(self, open_socket, *arguments, **options) -> bool:
        with pytest.raises(InvalidStatus) as refusal:
            open_socket(*arguments, **options)
        return refusal.value.response.status_code == 403

    def test_nobody_anonymous(self, open_socket):
        assert self.refused(open_socket)

    def test_nobody_with_an_invented_session(self, open_socket):
        assert self.refused(open_socket, session="a" * 32)

    def test_nobody_whose_session_has_ended(self, open_socket, owner):
        session = sign_in(owner)
        Session.objects.all().delete()
        assert self.refused(open_socket, session=session)

    def test_nobody_who_is_disabled(self, open_socket, owner):
        session = sign_in(owner)
        User.objects.filter(pk=owner.pk).update(is_active=False)
        assert self.refused(open_socket, session=session)

    @pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null", None])
    def test_no_session_from_another_origin(self, open_socket, owner, origin):
        assert self.refused(open_socket, owner, origin=origin)

    def test_a_session_from_the_portals_own_origin(self, open_socket, owner):
        open_socket(owner)

    def test_a_session_from_the_configured_url_of_the_portal(self, open_socket, owner):
        open_socket(owner, origin="http://testserver")

    def test_no_session_at_a_host_name_that_is_not_ours(self, open_socket, owner, web):
        """DNS rebinding: the browser believes that the portal is evil.example."""
        there = create_connection(("127.0.0.1", web.port))
        url, origin = f"ws://evil.example:{web.port}/ws/updates/", f"http://evil.example:{web.port}"
        assert self.refused(open_socket, owner, url=url, sock=there, origin=origin)


class TestTickets:
    """Scripts come by a ticket that works once."""

    @pytest.fixture
    def ticket(self, owner):
        token, _ = ApiToken.make(owner.pk, "test")
        return socket_tickets.issue(owner, f"token:{token.pk}")

    def test_a_ticket_opens_a_socket_without_origin_or_cookie(self, open_socket, ticket, machine):
        socket = open_socket(origin=None, subprotocols=["updates", f"ticket.{ticket}"])
        assert socket.subprotocol == "updates"
        assert str(machine.uuid) in machines_of(socket.watch(machine))

    def test_a_ticket_works_once(self, open_socket, ticket):
        open_socket(origin=None, subprotocols=["updates", f"ticket.{ticket}"])
        with pytest.raises(InvalidStatus):
            open_socket(origin=None, subprotocols=["updates", f"ticket.{ticket}"])

    def test_a_ticket_is_no_use_to_another_sites_page(self, open_socket, ticket):
        with pytest.raises(InvalidStatus):
            open_socket(origin="http://evil.example", subprotocols=["updates", f"ticket.{ticket}"])

    def test_a_ticket_is_no_use_after_its_token_was_revoked(self, open_socket, ticket):
        ApiToken.objects.all().delete()
        with pytest.raises(InvalidStatus):
            open_socket(origin=None, subprotocols=["updates", f"ticket.{ticket}"])

    def test_an_invented_ticket_does_not_fall_back_to_the_session(self, open_socket, owner):
        with pytest.raises(InvalidStatus):
            open_socket(owner, subprotocols=["updates", "ticket.invented"])

    def test_redis_holds_only_the_digest(self, ticket, redis_server):
        assert not [key for key in redis_client().scan_iter() if ticket in key]


class TestWatching:
    """What a socket gets."""

    def test_the_state_now_and_then_every_change(self, open_socket, owner, machine):
        socket = open_socket(owner)
        first = machines_of(socket.watch(machine))[str(machine.uuid)]
        assert (first["name"], first["state"], first["owner"]) == ("machine", "running", "owner")
        machine.state, machine.version = "paused", machine.version + 1
        push.machine(machine)
        assert socket.take_until("machine")[-1]["machine"]["state"] == "paused"

    def test_the_rights_and_the_host_come_with_it(self, open_socket, viewer, machine):
        messages = open_socket(viewer).watch(machine)
        assert messages[-1] == {"type": "rights", "rights": {str(machine.uuid): "viewer"}}
        assert [m["host"]["name"] for m in messages if m["type"] == "host"] == ["host-1"]

    def test_what_a_host_is_reaches_those_who_watch_a_machine_on_it(self, open_socket, viewer, machine, host):
        socket = open_socket(viewer)
        socket.watch(machine)
        host.reachable = False
        push.host(host)
        assert socket.take_until("host")[-1]["host"] == {
            "id": host.pk,
            "name": "host-1",
            "reachable": False,
            "seen_at": None,
        }

    def test_machines_not_to_be_seen_are_answered_like_those_that_are_not(self, open_socket, stranger, machine):
        unknown = uuid.uuid4()
        socket = open_socket(stranger)
        [error, *rest] = socket.watch(machine, unknown)
        assert error["error"]["code"] == "not_found"
        assert set(error["error"]["details"]["machines"]) == {str(machine.uuid), str(unknown)}
        assert machines_of(rest) == {}
        push.machine(machine)
        assert socket.rest() == []

    def test_watching_again_replaces_what_was_watched(self, open_socket, owner, machine, make_machine):
        other = make_machine("other", owner=owner)
        socket = open_socket(owner)
        socket.watch(machine)
        socket.rest()
        socket.watch(other)
        push.machine(machine)
        push.machine(other)
        assert list(machines_of(socket.rest())) == [str(other.uuid)]

    def test_helpdesk_and_admin_may_watch_every_machine(self, open_socket, helpdesk, admin, machine):
        for person in (helpdesk, admin):
            assert str(machine.uuid) in machines_of(open_socket(person).watch(machine))

    def test_new_machines_are_told_to_those_who_see_everything(self, open_socket, admin, owner):
        sockets = {person: open_socket(person) for person in (admin, owner)}
        push.listing([], everything=True, changed="state")
        assert {"type": "listing", "changed": "state"} in sockets[admin].rest(listing=True)
        assert sockets[owner].rest(listing=True) == []

    def test_administrators_are_told_of_every_host_once(self, open_socket, admin, owner, machine, host):
        socket, others = open_socket(admin), open_socket(owner)
        socket.watch(machine)
        push.host(host)
        push.host(Host.objects.create(name="another", uri="test:///2"))
        told = [message["host"]["name"] for _ in range(2) for message in socket.take_until("host")[-1:]]
        assert told == ["host-1", "another"]
        assert others.rest() == []

    def test_five_hundred_machines_are_watched_and_more_are_refused(self, open_socket, owner, host, make_machine):
        rows = [Machine(uuid=uuid.uuid4(), host=host, owner=owner, name=f"m{n}", state="shutoff") for n in range(501)]
        Machine.objects.bulk_create(rows)
        socket = open_socket(owner)
        assert len(machines_of(socket.watch(*rows[:500]))) == 500
        socket.say({"type": "watch", "machines": [str(row.uuid) for row in rows]})
        assert socket.take_until("error")[-1]["error"]["code"] == "too_many"
        push.machine(rows[0])
        assert str(rows[0].uuid) in machines_of(socket.take_until("machine"))


class TestVersions:
    """What a socket missed it gets by saying what it has."""

    def test_only_what_differs_is_sent(self, open_socket, owner, machine, make_machine):
        other = make_machine("other", owner=owner)
        socket = open_socket(owner)
        socket.watch(machine, other)
        socket.rest()
        versions = {str(machine.uuid): machine.version, str(other.uuid): other.version}
        Machine.objects.filter(pk=other.pk).update(version=7, state="paused")
        socket.say({"type": "versions", "machines": versions, "operations": {}})
        missed = machines_of(socket.rest())
        assert {uuid: one["state"] for uuid, one in missed.items()} == {str(other.uuid): "paused"}

    def test_a_version_newer_than_ours_is_put_right_too(self, open_socket, owner, machine):
        socket = open_socket(owner)
        socket.watch(machine)
        socket.say({"type": "versions", "machines": {str(machine.uuid): 999}})
        assert str(machine.uuid) in machines_of(socket.rest())

    def test_machines_that_are_not_watched_are_not_sent(self, open_socket, owner, machine):
        socket = open_socket(owner)
        socket.watch()
        socket.say({"type": "versions", "machines": {str(machine.uuid): 0}})
        assert machines_of(socket.rest()) == {}

    def test_an_unreachable_host_is_always_told(self, open_socket, owner, machine, host):
        socket = open_socket(owner)
        socket.watch(machine)
        Host.objects.filter(pk=host.pk).update(reachable=False)
        socket.say({"type": "versions", "machines": {str(machine.uuid): machine.version}})
        assert [message["host"]["reachable"] for message in socket.rest()] == [False]

    def test_a_right_revoked_without_a_message_is_found(self, open_socket, viewer, machine):
        socket = open_socket(viewer)
        socket.watch(machine)
        Grant.objects.filter(user=viewer)._raw_delete("default")
        socket.say({"type": "versions", "machines": {str(machine.uuid): 0}})
        assert socket.rest() == [{"type": "rights", "rights": {str(machine.uuid): ""}}]


class TestOperations:
    """What is asked of a watched machine is shown with it."""

    @pytest.fixture
    def operation(self, machine, owner):
        return Operation.objects.create(machine=machine, kind="save", requested_by=owner, status=Status.RUNNING)

    def operations_of(self, messages):
        return [m["operation"]["status"] for m in messages if m["type"] == "operation"]

    def test_what_is_open_comes_with_the_machine(self, open_socket, owner, machine, operation):
        assert self.operations_of(open_socket(owner).watch(machine)) == ["running"]

    def test_what_ended_unnoticed_is_told_to_who_still_draws_it(self, open_socket, owner, machine, operation):
        socket = open_socket(owner)
        socket.watch(machine)
        Operation.objects.update(status=Status.SUCCEEDED, version=5)
        socket.say({"type": "versions", "machines": {}, "operations": {operation.pk: 1}})
        assert self.operations_of(socket.rest()) == ["succeeded"]
        socket.say({"type": "versions", "machines": {}, "operations": {operation.pk: 5}})
        assert self.operations_of(socket.rest()) == []

    def test_operations_of_others_are_not_told(self, open_socket, stranger, machine, operation):
        socket = open_socket(stranger)
        socket.watch(machine)
        socket.say({"type": "versions", "machines": {}, "operations": {operation.pk: 0}})
        assert self.operations_of(socket.rest()) == []


class TestRights:
    """Rights as they change while the socket is open."""

    @pytest.fixture
    def socket(self, open_socket, viewer, machine):
        socket = open_socket(viewer)
        socket.watch(machine)
        socket.rest()
        return socket

    def test_a_revoked_right_is_told_and_nothing_of_the_machine_follows(self, socket, machine):
        Grant.objects.all().delete()
        [rights] = [message for message in socket.rest() if message["type"] == "rights"]
        assert rights["rights"] == {str(machine.uuid): ""}
        push.machine(machine)
        push.operation(machine.uuid, {"id": 1})
        push.host(machine.host)
        assert socket.rest() == []

    def test_a_better_right_is_told(self, socket, machine, viewer):
        grant = Grant.objects.get(user=viewer)
        grant.role = "operator"
        grant.save()
        assert {"type": "rights", "rights": {str(machine.uuid): "operator"}} in socket.rest()

    def test_a_right_by_a_group_ends_with_the_membership(self, open_socket, stranger, machine):
        group = Group.objects.create(name="team")
        Grant.objects.create(machine=machine, group=group, role="operator")
        stranger.groups.add(group)
        socket = open_socket(stranger)
        assert socket.watch(machine)[-1]["rights"] == {str(machine.uuid): "operator"}
        stranger.groups.clear()
        assert {"type": "rights", "rights": {str(machine.uuid): ""}} in socket.rest()

    def test_a_right_that_is_given_again_shows_the_machine_again(self, open_socket, viewer, machine):
        socket = open_socket(viewer)
        socket.watch(machine)
        socket.rest()
        Grant.objects.get(machine=machine, user=viewer).delete()
        assert {"type": "rights", "rights": {str(machine.uuid): ""}} in socket.rest()
        Grant.objects.create(machine=machine, user=viewer, role="operator")
        news = socket.rest()
        assert {"type": "rights", "rights": {str(machine.uuid): "operator"}} in news
        assert str(machine.uuid) in [message["machine"]["uuid"] for message in news if message["type"] == "machine"]

    def test_losing_the_helpdesk_role_ends_seeing_everything(self, open_socket, helpdesk, machine):
        socket = open_socket(helpdesk)
        socket.watch(machine)
        socket.rest()
        helpdesk.groups.clear()
        told = socket.rest(2 * LISTING_INTERVAL)  # news of their own list are held back for one
        assert {"type": "rights", "rights": {str(machine.uuid): ""}} in told
        push.listing([], everything=True, changed="state")
        push.machine(machine)
        assert socket.rest(2 * LISTING_INTERVAL, listing=True) == []

    def test_becoming_an_administrator_shows_everything(self, open_socket, stranger):
        socket = open_socket(stranger)
        stranger.is_superuser = True
        stranger.save()
        socket.rest(1.2)
        push.listing([], everything=True, changed="state")
        assert {"type": "listing", "changed": "state"} in socket.rest(1.2, listing=True)

    def test_a_new_owner_is_told_of_the_list_and_the_old_one_of_the_loss(self, open_socket, owner, stranger, machine):
        old, new = open_socket(owner), open_socket(stranger)
        old.watch(machine)
        machine.owner = stranger
        machine.save()
        assert {"type": "rights", "rights": {str(machine.uuid): ""}} in old.rest()
        assert {"type": "listing", "changed": "machines"} in new.rest(listing=True)


class TestEnds:
    """A socket lives as long as its login, and closes within a second."""

    def ends(self, socket) -> bool:
        began = time.monotonic()
        code = socket.closing_code()
        return code == 4401 and time.monotonic() - began < 1

    def test_with_the_logout(self, open_socket, owner):
        session = sign_in(owner)
        socket, other = open_socket(session=session), open_socket(owner)
        Session.objects.get(session_key=session).delete()
        assert self.ends(socket)
        assert other.rest() == []

    def test_with_the_api_token(self, open_socket, owner):
        token, _ = ApiToken.make(owner.pk, "test")
        ticket = socket_tickets.issue(owner, f"token:{token.pk}")
        socket = open_socket(origin=None, subprotocols=["updates", f"ticket.{ticket}"])
        token.delete()
        assert self.ends(socket)

    def test_with_the_user(self, open_socket, owner):
        socket = open_socket(owner)
        owner.is_active = False
        owner.save()
        assert self.ends(socket)

    def test_with_the_deletion_of_the_user(self, open_socket, owner):
        socket = open_socket(owner)
        owner.delete()
        assert self.ends(socket)

    def test_with_the_password_it_was_made_under(self, open_socket, owner):
        socket = open_socket(owner)
        owner.set_password("another one entirely")
        owner.save()
        assert self.ends(socket)

    def test_not_with_another_users_logout(self, open_socket, owner, viewer):
        socket = open_socket(owner)
        Session.objects.get(session_key=sign_in(viewer)).delete()
        assert socket.rest() == []


class TestBadInput:
    """A message that makes no sense is answered; the socket survives it."""

    @pytest.mark.parametrize(
        "message",
        [
            "",
            "no JSON",
            "[]",
            "null",
            "7",
            "{}",
            {"type": "watch"},
            {"type": "watch", "machines": "all"},
            {"type": "watch", "machines": ["not-a-uuid"]},
            {"type": "watch", "machines": [None]},
            {"type": "watch", "machines": {"a": {}}},
            {"type": "versions", "machines": []},
            {"type": "versions", "machines": {"x": 1}},
            {"type": "versions", "machines": {str(uuid.UUID(int=1)): "one"}},
            {"type": "versions", "operations": {"one": 1}},
            {"type": "push.text", "text": "mine"},
            {"type": ["watch"]},
            "[" * 30_000,
            b"\x00\xff",
        ],
        ids=lambda message: str(message)[:40],
    )
    def test_it_is_answered_and_survived(self, open_socket, owner, machine, message):
        socket = open_socket(owner)
        socket.say(message)
        assert socket.take_until("error")[-1]["error"]["code"] == "malformed"
        assert str(machine.uuid) in machines_of(socket.watch(machine))

    def test_an_oversized_message_is_refused(self, open_socket, owner, machine):
        socket = open_socket(owner)
        socket.say({"type": "watch", "machines": [], "padding": "x" * 65_536})
        assert socket.take_until("error")[-1]["error"]["code"] == "too_large"
        assert str(machine.uuid) in machines_of(socket.watch(machine))


def test_pushes_arrive_again_after_redis_was_away(open_socket, owner, machine, redis_server):
    socket = open_socket(owner)
    socket.watch(machine)
    redis_server.end()
    push.machine(machine)
    redis_server.start()

    def arrives() -> bool:
        push.machine(machine)
        return bool(machines_of(socket.rest(0.2)))

    until(arrives, 20)
    Grant.objects.all().delete()


def test_a_socket_opened_while_redis_is_away_is_refused_and_opens_when_it_is_back(open_socket, owner, redis_server):
    session = sign_in(owner)
    redis_server.end()
    try:
        with pytest.raises(Exception):  # noqa: B017 - an answer of 500 or a closed connection
            open_socket(session=session, open_timeout=10)
    finally:
        redis_server.start()

    def opens() -> bool:
        try:
            open_socket(session=session)
        except InvalidStatus:
            return False
        return True

    until(opens, 20)
