"""The portal's part of the console doctor: each part that is not well is named, with what to do."""

from __future__ import annotations

import json
import time
import uuid

import pytest

from consoles import probes
from consoles.models import ConsoleSession
from consoles.proxy import redis_names
from consoles.proxy.tickets import Claim
from machines.models import Host, Machine
from people.logins import login_digest


def parts(client, machine: Machine, protocol: str = "vnc") -> dict[str, tuple[bool, str]]:
    answer = client.get(f"/api/v1/machines/{machine.uuid}/console-check?protocol={protocol}")
    assert answer.status_code == 200
    return {item["part"]: (item["well"], item["sentence"]) for item in answer.json()["items"]}


@pytest.fixture
def proxy_lives(redis) -> None:
    redis.zadd(redis_names.PROXIES, {"one": time.time(), "dead": time.time() - 100})


@pytest.mark.usefixtures("proxy_lives")
def test_a_healthy_console_is_well_in_every_part(machine, owner, client_of):
    Machine.objects.update(agent_connected=True)
    found = parts(client_of(owner), machine)
    assert [part for part, (well, _) in found.items() if well] == ["host", "display", "proxy", "agent"]
    assert found["proxy"][1].startswith("1 ")


@pytest.mark.usefixtures("proxy_lives")
def test_each_part_that_is_not_well_is_named_with_what_to_do(machine, owner, client_of):
    look = client_of(owner)
    assert "install" in parts(look, machine)["agent"][1]
    assert "SPICE" in parts(look, machine, "spice")["display"][1]
    Machine.objects.update(state="shutoff")
    found = parts(look, machine)
    assert not found["display"][0]
    assert "agent" not in found
    Host.objects.update(reachable=False)
    assert "does not answer" in parts(look, machine)["host"][1]
    Host.objects.update(enabled=False)
    assert "disabled" in parts(look, machine)["host"][1]


def test_a_proxy_that_reports_no_more_is_missed(machine, owner, client_of, redis):
    redis.zadd(redis_names.PROXIES, {"dead": time.time() - 100})
    well, sentence = parts(client_of(owner), machine)["proxy"]
    assert not well
    assert "administrator" in sentence


def test_who_may_not_look_at_the_screen_is_not_told(machine, viewer, stranger, helpdesk, client_of, client):
    url = f"/api/v1/machines/{machine.uuid}/console-check"
    statuses = {person: client_of(person).get(url).status_code for person in (viewer, helpdesk, stranger)}
    assert statuses == {viewer: 200, helpdesk: 403, stranger: 404}
    assert client.get(url).status_code == 401
    assert client_of(viewer).get(f"/api/v1/machines/{uuid.uuid4()}/console-check").status_code == 404
    assert client_of(viewer).get(f"{url}?protocol=telepathy").status_code == 400


def probe(client, machine: Machine, protocol: str = "spice", **more):
    url = f"/api/v1/machines/{machine.uuid}/console-probe"
    return client.post(url, {"protocol": protocol} | more, content_type="application/json")


@pytest.fixture
def everything(machine) -> Machine:
    """The machine with every display there is."""
    Machine.objects.update(graphics=["vnc", "spice"], has_serial=True)
    machine.refresh_from_db()
    return machine


@pytest.mark.parametrize("protocol", ["vnc", "spice", "serial"])
def test_a_probe_is_a_ticket_and_no_console(everything, viewer, client_of, redis, protocol):
    client = client_of(viewer)
    answer = probe(client, everything, protocol)
    assert answer.status_code == 201
    key = redis_names.ticket_key(answer.json()["ticket"])
    assert 0 < redis.ttl(key) <= redis_names.TICKET_SECONDS
    claim = Claim.parse(redis.get(key))
    assert (claim.machine, claim.protocol, claim.mode, claim.probe) == (everything.uuid, protocol, "view", True)
    assert (claim.by_token, claim.login) == (False, login_digest(f"session:{client.session.session_key}"))
    assert redis.get(redis_names.lease_key(claim.session)) == "view"
    assert answer.json()["url"].endswith(f"/serial/{everything.uuid}") == (protocol == "serial")
    assert not ConsoleSession.objects.exists()
    assert "probe" not in json.loads(redis.get(redis_names.ticket_key(_console(client, everything))))


def _console(client, machine: Machine) -> str:
    url = f"/api/v1/machines/{machine.uuid}/console-tickets"
    answer = client.post(url, {"protocol": "vnc", "mode": "view"}, content_type="application/json")
    return answer.json()["tickets"][0]


def test_somebody_at_a_spice_screen_is_neither_in_the_way_nor_put_out(everything, owner, viewer, client_of):
    url = f"/api/v1/machines/{everything.uuid}/console-tickets"
    wanted = {"protocol": "spice", "mode": "control"}
    assert client_of(owner).post(url, wanted, content_type="application/json").status_code == 201
    for person in (viewer, owner):
        assert probe(client_of(person), everything).status_code == 201
    assert ConsoleSession.objects.get().ended_at is None


def test_who_may_not_look_at_the_screen_may_not_have_it_looked_at(
    everything, viewer, stranger, helpdesk, client_of, client
):
    statuses = {person: probe(client_of(person), everything).status_code for person in (viewer, helpdesk, stranger)}
    assert statuses == {viewer: 201, helpdesk: 403, stranger: 404}
    assert probe(client, everything).status_code == 401
    for wrong in ({"protocol": "pictures"}, {"protocol": "telnet"}, {"port": 5900}):
        assert probe(client_of(viewer), everything, **wrong).status_code == 400


def test_a_display_is_looked_at_once_in_a_while_and_only_where_there_is_one(
    everything, owner, viewer, client_of, redis, monkeypatch
):
    client = client_of(owner)
    assert probe(client, everything).status_code == 201
    again = probe(client, everything, "serial")
    assert (again.status_code, again.json()["error"]["code"]) == (429, "asked_too_soon")
    assert probe(client_of(viewer), everything).status_code == 201, "everyone has a pace of their own"
    [pace] = redis.keys(f"console:probe:*:{owner.pk}")
    assert 0 < redis.ttl(pace) <= probes.AGAIN_SECONDS
    redis.delete(pace)
    Machine.objects.update(graphics=["vnc"])
    assert probe(client, everything).json()["error"]["code"] == "no_display"
    Machine.objects.update(state="shutoff")
    assert probe(client, everything, "vnc").json()["error"]["code"] == "state_conflict"
