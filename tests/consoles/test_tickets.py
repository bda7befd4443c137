"""Asking for a console: who gets tickets, for which machines, and what they hold."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from redis import Redis

from consoles.models import ConsoleSession
from consoles.proxy import redis_names
from hypervisor.states import State
from machines.models import Grant, GrantRole, Machine
from machines.redis_client import redis_client
from people.models import ApiToken
from tests.cast import ClientOf


def ask(client: Client, machine: Machine | UUID, **wanted: object):
    uuid = machine.uuid if isinstance(machine, Machine) else machine
    return client.post(
        f"/api/v1/machines/{uuid}/console-tickets", {"protocol": "vnc"} | wanted, content_type="application/json"
    )


def test_owner_gets_a_ticket_that_names_everything_but_holds_no_secret(
    client_of: ClientOf, owner: User, machine: Machine, redis: Redis
) -> None:
    client = client_of(owner)
    answer = ask(client, machine, mode="control")
    assert answer.status_code == 201
    body = answer.json()
    assert body["url"] == "ws://testserver/console"
    assert 20 < (datetime.fromisoformat(body["expires_at"]) - datetime.now(UTC)).total_seconds() <= 30

    (ticket,) = body["tickets"]
    assert len(ticket) >= 43
    key = f"console:ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"
    assert 0 < redis.ttl(key) <= 30
    assert 30 < redis.ttl(redis_names.lease_key(body["session"])) <= 60
    session_key = client.session.session_key
    kept = redis.get(key)
    assert session_key not in kept
    assert json.loads(kept) == {
        "session": body["session"],
        "machine": str(machine.uuid),
        "uri": machine.host.uri,
        "protocol": "vnc",
        "mode": "control",
        "login": hashlib.sha256(f"session:{session_key}".encode()).hexdigest(),
        "by_token": False,
        "user": owner.pk,
        "client": "page",
        "channel": None,
        "record": False,
        "idle_limit": 0,
        "limit": 43_200,
    }
    assert redis.get(redis_names.lease_key(body["session"])) == "control"
    assert (body["protocol"], body["mode"], body["recorded"], body["channels"]) == ("vnc", "control", False, {})
    row = ConsoleSession.objects.get()
    assert (str(row.pk), row.user, row.machine, row.mode) == (body["session"], owner, machine, "control")
    assert (row.address, row.opened_at, row.ended_at) == ("127.0.0.1", None, None)
    assert not any(ticket in name for name in redis.scan_iter())


def test_script_gets_a_ticket_of_its_token(script_of: ClientOf, owner: User, machine: Machine, redis: Redis) -> None:
    (ticket,) = ask(script_of(owner), machine).json()["tickets"]
    kept = json.loads(redis.get(redis_names.ticket_key(ticket)))
    token = ApiToken.objects.get()
    assert kept["by_token"] is True
    assert kept["login"] == hashlib.sha256(f"token:{token.pk}".encode()).hexdigest()
    assert kept["mode"] == "control"


def test_spice_gets_a_ticket_for_each_channel_and_none_for_keys_in_view_mode(
    client_of: ClientOf, owner: User, machine: Machine, redis: Redis
) -> None:
    Machine.objects.update(graphics=["spice"])
    wanted = {"control": {"main", "display", "inputs", "cursor", "playback"}}
    wanted["view"] = wanted["control"] - {"inputs"}
    for mode, channels in wanted.items():
        body = ask(client_of(owner), machine, protocol="spice", mode=mode).json()
        assert body["channels"].keys() == channels
        assert sorted(body["tickets"]) == sorted(body["channels"].values())
        for channel, ticket in body["channels"].items():
            claim = json.loads(redis.get(redis_names.ticket_key(ticket)))
            assert (claim["channel"], claim["mode"], claim["session"]) == (channel, mode, body["session"])


def test_every_ticket_is_a_session_of_its_own(client_of: ClientOf, viewer: User, machine: Machine) -> None:
    client = client_of(viewer)
    answers = [ask(client, machine, mode="view").json() for _ in range(3)]
    assert len({answer["session"] for answer in answers}) == 3
    assert len({answer["tickets"][0] for answer in answers}) == 3


def test_viewer_may_view_and_is_told_the_right_that_control_needs(
    client_of: ClientOf, viewer: User, machine: Machine
) -> None:
    client = client_of(viewer)
    assert ask(client, machine, mode="view").status_code == 201
    refused = ask(client, machine, mode="control")
    assert refused.status_code == 403
    assert "operator" in refused.json()["error"]["message"]
    assert ConsoleSession.objects.count() == 1


def test_operator_may_control(client_of: ClientOf, stranger: User, machine: Machine) -> None:
    Grant.objects.create(machine=machine, user=stranger, role=GrantRole.OPERATOR)
    assert ask(client_of(stranger), machine, mode="control").status_code == 201


def test_stranger_learns_nothing(client_of: ClientOf, stranger: User, machine: Machine) -> None:
    client = client_of(stranger)
    unknown, hidden = ask(client, uuid4()), ask(client, machine)
    assert (unknown.status_code, hidden.status_code) == (404, 404)
    assert unknown.json() == hidden.json()


@pytest.mark.parametrize("protocol", ["spice", "serial"])
def test_rights_are_the_same_for_every_protocol(
    client_of: ClientOf, viewer: User, stranger: User, helpdesk: User, machine: Machine, protocol: str, redis: Redis
) -> None:
    Machine.objects.update(graphics=["vnc", "spice"], has_serial=True)
    assert ask(client_of(viewer), machine, protocol=protocol).status_code == 403
    assert ask(client_of(stranger), machine, protocol=protocol).status_code == 404
    assert ask(client_of(helpdesk), machine, protocol=protocol, mode="view").status_code == 403
    assert not ConsoleSession.objects.exists()
    body = ask(client_of(viewer), machine, protocol=protocol, mode="view").json()
    claims = [json.loads(redis.get(redis_names.ticket_key(ticket))) for ticket in body["tickets"]]
    assert {(claim["machine"], claim["protocol"], claim["mode"]) for claim in claims} == {
        (str(machine.uuid), protocol, "view")
    }


def test_helpdesk_may_not_look_at_screens_by_itself(client_of: ClientOf, helpdesk: User, machine: Machine) -> None:
    refused = ask(client_of(helpdesk), machine, mode="view")
    assert refused.status_code == 403
    assert "viewer" in refused.json()["error"]["message"]


def test_nobody_gets_nothing(client: Client, machine: Machine) -> None:
    assert ask(client, machine).status_code == 401


def test_get_gives_no_tickets(client_of: ClientOf, owner: User, machine: Machine) -> None:
    assert client_of(owner).get(f"/api/v1/machines/{machine.uuid}/console-tickets").status_code == 405


def test_a_page_of_another_site_cannot_ask(owner: User, machine: Machine) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert ask(client, machine).status_code == 403
    assert not ConsoleSession.objects.exists()


@pytest.mark.parametrize("wanted", [{"protocol": "rdp"}, {"mode": "admin"}, {"mode": None}, {"port": 5900}])
def test_what_is_not_understood_is_refused(client_of: ClientOf, owner: User, machine: Machine, wanted) -> None:
    refused = ask(client_of(owner), machine, **wanted)
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "bad_parameters"


@pytest.mark.parametrize("state", [State.SHUTOFF, State.SAVED, State.CRASHED, State.UNDEFINED])
def test_a_machine_without_a_picture_is_refused_in_words(
    client_of: ClientOf, owner: User, machine: Machine, state: State
) -> None:
    Machine.objects.update(state=state)
    refused = ask(client_of(owner), machine)
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "state_conflict"
    assert "no picture" in refused.json()["error"]["message"]
    assert not ConsoleSession.objects.exists()


@pytest.mark.parametrize("state", [State.PAUSED, State.IDLE, State.SHUTDOWN, State.DYING, State.PMSUSPENDED])
def test_every_active_machine_can_be_looked_at(
    client_of: ClientOf, owner: User, machine: Machine, state: State
) -> None:
    Machine.objects.update(state=state)
    assert ask(client_of(owner), machine).status_code == 201


def test_a_panicked_guest_still_has_its_picture(client_of: ClientOf, owner: User, machine: Machine) -> None:
    Machine.objects.update(state=State.CRASHED, state_reason="panicked")
    assert ask(client_of(owner), machine).status_code == 201


@pytest.mark.parametrize("fact", [{"reachable": False}, {"enabled": False}])
def test_an_unreachable_host_is_refused_in_words(client_of: ClientOf, owner: User, machine: Machine, fact) -> None:
    type(machine.host).objects.update(**fact)
    refused = ask(client_of(owner), machine)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "host_unreachable")


def test_a_machine_without_vnc_is_refused_in_words(client_of: ClientOf, owner: User, machine: Machine) -> None:
    Machine.objects.update(graphics=["spice"])
    refused = ask(client_of(owner), machine)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "no_display")


def test_a_serial_console_has_an_address_of_its_machine(
    client_of: ClientOf, owner: User, machine: Machine, redis: Redis, settings
) -> None:
    Machine.objects.update(graphics=[], has_serial=True)
    answer = ask(client_of(owner), machine, protocol="serial", take_over=True).json()
    assert answer["url"] == f"{settings.CONSOLE_PUBLIC_URL}/serial/{machine.uuid}"
    (ticket,) = answer["tickets"]
    kept = json.loads(redis.get(redis_names.ticket_key(ticket)))
    assert (kept["protocol"], kept["take_over"]) == ("serial", True)


def test_whoever_only_looks_throws_nobody_out(
    client_of: ClientOf, viewer: User, machine: Machine, redis: Redis
) -> None:
    Machine.objects.update(has_serial=True)
    answer = ask(client_of(viewer), machine, protocol="serial", mode="view", take_over=True).json()
    assert "take_over" not in json.loads(redis.get(redis_names.ticket_key(answer["tickets"][0])))


def test_a_machine_without_a_serial_port_is_refused_in_words(
    client_of: ClientOf, owner: User, machine: Machine
) -> None:
    refused = ask(client_of(owner), machine, protocol="serial")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "no_display")
    assert "serial console" in refused.json()["error"]["message"]


def test_without_redis_there_are_no_tickets(
    client_of: ClientOf, owner: User, machine: Machine, settings, monkeypatch
) -> None:
    client = client_of(owner)
    redis_client.cache_clear()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    try:
        assert ask(client, machine).status_code == 503
    finally:
        redis_client.cache_clear()
    assert not ConsoleSession.objects.exists()
