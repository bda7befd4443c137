"""Open consoles end when what they stand on is taken away: the lease is gone and the proxies are told, at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from time import monotonic

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import Client
from redis import Redis

from consoles import sessions
from consoles.models import ConsoleSession
from consoles.proxy import redis_names
from consoles.proxy.endings import Ending
from machines.models import Grant, GrantRole, Machine
from machines.redis_client import redis_client
from people.models import ApiToken
from tests.cast import PASSWORD, ClientOf
from tests.consoles.peers import Issued, Proxy, TcpDisplay, closed_with, eventually, open_console
from tests.consoles.test_tickets import ask

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ended(redis: Redis) -> Iterator[Callable[[], dict[str, str]]]:
    """A function that gives what was published so far: session to reason."""
    heard: dict[str, str] = {}
    with redis.pubsub() as pubsub:
        pubsub.subscribe(redis_names.END_CHANNEL)
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"

        def ended() -> dict[str, str]:
            while message := pubsub.get_message(timeout=0.05):
                content = json.loads(message["data"])
                heard[content["session"]] = content["reason"]
            return heard

        yield ended


def opened(client: Client, machine: Machine, mode: str = "control", protocol: str = "vnc") -> str:
    """Get tickets and let the audit believe that they were used."""
    session = ask(client, machine, mode=mode, protocol=protocol).json()["session"]
    ConsoleSession.objects.filter(pk=session).update(opened_at="2026-01-01T00:00Z")
    return session


def test_revoking_a_grant_ends_that_persons_console_only(
    client_of: ClientOf, owner: User, viewer: User, machine: Machine, redis: Redis, ended
) -> None:
    owners, viewers = opened(client_of(owner), machine), opened(client_of(viewer), machine, "view")
    Grant.objects.get(user=viewer).delete()
    assert ended() == {viewers: "revoked"}
    assert not redis.exists(redis_names.lease_key(viewers))
    assert redis.exists(redis_names.lease_key(owners))


def test_losing_a_group_ends_a_console(client_of: ClientOf, stranger: User, machine: Machine, ended) -> None:
    group = Group.objects.create(name="students")
    stranger.groups.add(group)
    Grant.objects.create(machine=machine, group=group, role=GrantRole.OPERATOR)
    session = opened(client_of(stranger), machine)
    stranger.groups.remove(group)
    assert ended() == {session: "revoked"}


def test_an_operator_who_becomes_a_viewer_loses_control_and_keeps_viewing(
    client_of: ClientOf, stranger: User, machine: Machine, redis: Redis, ended
) -> None:
    grant = Grant.objects.create(machine=machine, user=stranger, role=GrantRole.OPERATOR)
    client = client_of(stranger)
    control, view = opened(client, machine), opened(client, machine, "view")
    grant.role = GrantRole.VIEWER
    grant.save()
    assert ended() == {}
    assert redis.get(redis_names.lease_key(control)) == "view"
    assert set(sessions.not_ended().values_list("mode", flat=True)) == {"view"}
    assert {str(session.pk) for session in sessions.not_ended()} == {control, view}


def test_an_operator_who_becomes_a_viewer_before_the_console_opened_has_to_ask_anew(
    client_of: ClientOf, stranger: User, machine: Machine, ended
) -> None:
    grant = Grant.objects.create(machine=machine, user=stranger, role=GrantRole.OPERATOR)
    unopened = ask(client_of(stranger), machine, mode="control").json()["session"]
    grant.role = GrantRole.VIEWER
    grant.save()
    assert ended() == {unopened: "revoked"}


@pytest.mark.parametrize("protocol", ["spice", "serial"])
def test_the_same_holds_for_other_protocols(
    client_of: ClientOf, script_of: ClientOf, stranger: User, machine: Machine, protocol: str, ended
) -> None:
    Machine.objects.update(graphics=["vnc", "spice"], has_serial=True)
    grant = Grant.objects.create(machine=machine, user=stranger, role=GrantRole.OPERATOR)
    session = opened(script_of(stranger), machine, protocol=protocol)
    grant.delete()
    assert ended() == {session: "revoked"}
    Grant.objects.create(machine=machine, user=stranger, role=GrantRole.OPERATOR)
    client = client_of(stranger)
    after_logout = opened(client, machine, protocol=protocol)
    client.post("/logout/")
    assert ended()[after_logout] == "login_ended"
    ConsoleSession.objects.update(ended_at="2026-01-01T00:00Z")
    after_disabling = opened(script_of(stranger), machine, protocol=protocol)
    stranger.is_active = False
    stranger.save()
    assert ended()[after_disabling] == "user_disabled"


def test_spice_cannot_be_lowered_and_ends(client_of: ClientOf, stranger: User, machine: Machine, ended) -> None:
    Machine.objects.update(graphics=["spice"])
    grant = Grant.objects.create(machine=machine, user=stranger, role=GrantRole.OPERATOR)
    session = opened(client_of(stranger), machine, protocol="spice")
    grant.role = GrantRole.VIEWER
    grant.save()
    assert ended() == {session: "revoked"}


def test_a_machine_given_to_someone_else_ends_the_former_owners_console(
    client_of: ClientOf, owner: User, stranger: User, machine: Machine, ended
) -> None:
    session = opened(client_of(owner), machine)
    machine.owner = stranger
    machine.save()
    assert ended() == {session: "revoked"}


def test_logging_out_ends_the_consoles_of_that_login_only(
    client_of: ClientOf, script_of: ClientOf, owner: User, machine: Machine, ended
) -> None:
    here, there = client_of(owner), client_of(owner)
    leaves = opened(here, machine)
    opened(there, machine)
    opened(script_of(owner), machine)
    here.post("/logout/")
    assert ended() == {leaves: "login_ended"}


def test_revoking_a_token_ends_its_consoles_only(
    client_of: ClientOf, script_of: ClientOf, owner: User, machine: Machine, ended
) -> None:
    session = opened(script_of(owner), machine)
    opened(client_of(owner), machine)
    ApiToken.objects.get().delete()
    assert ended() == {session: "login_ended"}


def test_disabling_a_user_ends_all_consoles(
    client_of: ClientOf, script_of: ClientOf, owner: User, machine: Machine, ended
) -> None:
    both = {opened(client_of(owner), machine), opened(script_of(owner), machine)}
    owner.is_active = False
    owner.save()
    assert ended() == dict.fromkeys(both, "user_disabled")


def test_a_new_password_ends_the_consoles_of_old_logins(
    client_of: ClientOf, script_of: ClientOf, owner: User, machine: Machine, ended
) -> None:
    session = opened(client_of(owner), machine)
    opened(script_of(owner), machine)
    owner.set_password(PASSWORD + "!")
    owner.save()
    assert ended() == {session: "login_ended"}


def test_signing_in_elsewhere_ends_nothing(client_of: ClientOf, owner: User, machine: Machine, ended) -> None:
    opened(client_of(owner), machine)
    client_of(owner)
    assert ended() == {}


def test_an_unused_ticket_is_worth_nothing_after_the_right_is_gone(
    client_of: ClientOf, viewer: User, machine: Machine, redis: Redis
) -> None:
    session = ask(client_of(viewer), machine, mode="view").json()["session"]
    Grant.objects.all().delete()
    assert not redis.exists(redis_names.lease_key(session))
    row = ConsoleSession.objects.get()
    assert (row.end_reason, row.login) == ("revoked", "")
    assert row.ended_at


def test_nothing_is_ended_when_the_change_is_rolled_back(
    client_of: ClientOf, viewer: User, machine: Machine, ended
) -> None:
    opened(client_of(viewer), machine, "view")
    with transaction.atomic():
        Grant.objects.get().delete()
        transaction.set_rollback(True)
    assert ended() == {}


def test_a_request_succeeds_without_redis_and_the_next_look_ends_the_console(
    client_of: ClientOf, viewer: User, machine: Machine, settings
) -> None:
    session = opened(client_of(viewer), machine, "view")
    redis_client.cache_clear()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    Grant.objects.all().delete()
    redis_client.cache_clear()
    assert sessions.due_to_end(list(sessions.not_ended())) == {
        ConsoleSession.objects.get(pk=session).pk: Ending.REVOKED
    }


def test_many_sessions_are_looked_at_by_few_queries(
    client_of: ClientOf, owner: User, viewer: User, machine: Machine, django_assert_max_num_queries
) -> None:
    clients = [client_of(owner), client_of(viewer)]
    for client in clients * 10:
        ask(client, machine, mode="view")
    rows = list(sessions.not_ended())
    assert len(rows) == 20
    with django_assert_max_num_queries(9):
        assert sessions.due_to_end(rows) == {}


def test_revoking_closes_the_real_console_within_a_second(
    client_of: ClientOf, viewer: User, machine: Machine, proxy: Proxy, display: TcpDisplay, redis: Redis
) -> None:
    client = client_of(viewer)
    answer = ask(client, machine, mode="view").json()
    issued = Issued(answer["tickets"][0], answer["session"], f"sessionid={client.session.session_key}")
    with open_console(proxy.url, issued) as console:
        display.peer().sendall(b"RFB 003.008\n")
        assert console.recv(timeout=5)
        eventually(lambda: redis.pubsub_numsub(redis_names.END_CHANNEL)[0][1])
        started = monotonic()
        Grant.objects.all().delete()
        assert closed_with(console)[0] == 4403
        assert monotonic() - started < 1
