"""The dashboard of the fleet: what administrators see at a glance, and that it does not exist for others."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from consoles import sessions
from consoles.models import ConsoleSession, Mode, Protocol
from hypervisor.states import State
from lifecycle.models import Operation, Status
from machines import leases, push
from machines.models import Host, Machine
from tests.cast import ClientOf, MakeMachine
from tests.consoles.test_tickets import ask as ask_tickets
from tests.lifecycle.pages import messages, one, page, text

FLEET, API = "/fleet/", "/api/v1/fleet"
OTHERS = ["owner", "viewer", "stranger", "helpdesk"]


@pytest.fixture
def watched(host: Host) -> Host:
    leases.take(host.pk, "watcher-7")
    return host


def console(machine: Machine, user: User | None, **fields: object) -> ConsoleSession:
    ready = {"protocol": Protocol.VNC, "mode": Mode.CONTROL, "opened_at": timezone.now()}
    return ConsoleSession.objects.create(machine=machine, user=user, **(ready | fields))


def end_url(session: ConsoleSession) -> str:
    return f"/fleet/consoles/{session.pk}/end/"


@pytest.mark.parametrize("role", OTHERS)
def test_it_does_not_exist_for_others(client_of: ClientOf, machine: Machine, owner: User, role: str, request) -> None:
    session = console(machine, owner)
    client = client_of(request.getfixturevalue(role))
    assert [client.get(FLEET).status_code, client.get(API).status_code, client.post(end_url(session)).status_code] == [
        404
    ] * 3
    assert not page(client, "/").cssselect('a[href^="/fleet/"]')
    assert sessions.not_ended().count() == 1


def test_an_empty_fleet_says_what_to_do_first(client_of: ClientOf, admin: User) -> None:
    tree = page(client_of(admin), FLEET)
    assert one(tree, ".empty a").get("href") == "/admin/machines/host/add/"
    words = text(one(tree, "main"))
    for sentence in ("No host yet", "No machine is known yet.", "Nothing failed.", "Nobody is at a console."):
        assert sentence in words


def test_each_host_shows_its_capacity_against_what_is_promised(
    client_of: ClientOf, admin: User, watched: Host, make_machine: MakeMachine
) -> None:
    make_machine("on", memory_bytes=2 * 2**30, vcpus=3)
    make_machine("off", state=State.SHUTOFF, memory_bytes=2**30, vcpus=2)
    row = one(page(client_of(admin), FLEET), "tr[data-host-row]")
    memory, vcpus = row.cssselect("progress")
    assert (memory.get("value"), memory.get("max")) == (str(2**31), str(2**34))
    assert (vcpus.get("value"), vcpus.get("max")) == ("3", "8")
    assert [text(cell) for cell in row.cssselect(".c-promised")] == ["2 GiB of 16 GiB", "3 vCPUs on 8 CPUs"]
    assert text(one(row, ".c-machines")) == "2 machines"


def test_hosts_in_trouble_come_first(client_of: ClientOf, admin: User, watched: Host) -> None:
    for name, fields in (
        ("a-fine-one", {"reachable": True}),
        ("z-gone", {"last_error": "It does not answer.\nlibvirt said so"}),
    ):
        leases.take(Host.objects.create(name=name, uri=f"qemu+ssh://{name}/system", **fields).pk, "watcher-7")
    Host.objects.create(name="b-disabled", uri="qemu:///session", enabled=False)
    tree = page(client_of(admin), FLEET)
    names = [row.get("data-host-row") for row in tree.cssselect("tr[data-host-row]")]
    assert names == ["z-gone", "a-fine-one", "b-disabled", "host-1"]
    assert text(one(tree, "[data-alarming]")) == "1 host needs you"
    assert "It does not answer." in text(tree.cssselect("tr[data-host-row]")[0])


def test_machines_are_counted_by_state_with_links_to_the_list(
    client_of: ClientOf, admin: User, watched: Host, make_machine: MakeMachine
) -> None:
    for number, state in enumerate((State.RUNNING, State.IDLE, State.IDLE, State.CRASHED)):
        make_machine(f"m{number}", state=state)
    part = one(page(client_of(admin), FLEET), "[data-part=machines]")
    links = {link.get("href"): text(one(link, ".number")) for link in part.cssselect("li a")}
    assert links == {"/?state=running": "3", "/?state=idle": "2", "/?state=crashed": "1"}
    assert "3 of 4 on" in text(part)


def test_failed_operations_of_the_last_day_are_listed_with_links(
    client_of: ClientOf, admin: User, owner: User, machine: Machine
) -> None:
    rows = {
        status: Operation.objects.create(
            machine=machine, kind="start", status=status, requested_by=owner, message=f"it {status}"
        )
        for status in (Status.SUCCEEDED, Status.FAILED, Status.INTERRUPTED)
    }
    old = Operation.objects.create(machine=machine, kind="start", status=Status.FAILED, requested_by=owner)
    Operation.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=25))
    client = client_of(admin)
    part = one(page(client, FLEET), "[data-part=failed]")
    listed = [item.get("data-failed") for item in part.cssselect("[data-failed]")]
    assert listed == [str(rows[Status.INTERRUPTED].pk), str(rows[Status.FAILED].pk)]
    for link in part.cssselect("a"):
        assert client.get(link.get("href")).status_code == 200
    assert "it failed" in text(part)


@pytest.mark.django_db(transaction=True)
def test_open_consoles_name_their_users_and_are_ended_with_a_click(
    client_of: ClientOf, admin: User, owner: User, viewer: User, machine: Machine
) -> None:
    asked = ask_tickets(client_of(owner), machine).json()["session"]
    console(machine, viewer, ended_at=timezone.now())
    client = client_of(admin)
    assert not page(client, FLEET).cssselect("[data-console-session]")  # not opened yet, and over
    ConsoleSession.objects.filter(pk=asked).update(opened_at=timezone.now(), protocol=Protocol.PICTURES)
    item = one(page(client, FLEET), "[data-console-session]")
    assert "owner" in text(item) and "machine" in text(item)
    assert client.post(one(item, "form").get("action"))["Location"] == FLEET
    row = ConsoleSession.objects.get(pk=asked)
    assert (row.end_reason, row.ended_at is None) == ("ended_by_admin", False)
    assert "The console of owner at machine is ended." in messages(client, FLEET)
    assert client.post(end_url(row)).status_code == 404


def test_a_large_fleet_costs_as_many_queries_as_a_small_one(
    client_of: ClientOf, admin: User, owner: User, host: Host, django_assert_max_num_queries
) -> None:
    hosts = [host] + [
        Host.objects.create(name=f"more-{n}", uri=f"qemu+ssh://h{n}/system", reachable=True, cpus=8, memory_bytes=2**34)
        for n in range(20)
    ]
    machines = Machine.objects.bulk_create(
        Machine(uuid=uuid.uuid4(), name=f"m{n}", host=hosts[n % 21], state=State.RUNNING, memory_bytes=2**30, vcpus=2)
        for n in range(2000)
    )
    Operation.objects.bulk_create(
        Operation(machine=machine, kind="start", status=Status.FAILED, requested_by=owner) for machine in machines[:300]
    )
    for machine in machines[:40]:
        console(machine, owner)
    client = client_of(admin)
    with django_assert_max_num_queries(10):
        tree = page(client, FLEET)
    assert len(tree.cssselect("[data-failed]")) == len(tree.cssselect("[data-console-session]")) == 20
    assert text(one(tree, "[data-part=failed] .panel-head a")) == "300"
    assert text(one(tree, "[data-part=consoles] .panel-head a")) == "40"


def test_the_api_answers_the_same_figures(
    script_of: ClientOf, admin: User, owner: User, watched: Host, machine: Machine, make_machine: MakeMachine
) -> None:
    make_machine("off", state=State.SHUTOFF)
    console(machine, owner)
    Operation.objects.create(machine=machine, kind="start", status=Status.FAILED, requested_by=owner)
    answer = script_of(admin).get(API).json()
    (first,) = answer.pop("hosts")
    assert answer == {
        "machines": 2,
        "machines_on": 1,
        "machines_by_state": {"running": 1, "shutoff": 1},
        "failed_operations": 1,
        "consoles": 1,
    }
    assert (first["name"], first["status"], first["alarming"]) == ("host-1", "succeeded", False)
    assert (first["cpus"], first["promised_vcpus"], first["machines"]) == (8, 1, 2)
    assert (first["memory_bytes"], first["promised_bytes"]) == (16 * 2**30, 512 * 2**20)


def test_what_administrators_see_together_is_pushed_to_those_who_see_hosts() -> None:
    assert {Status.FAILED, Status.INTERRUPTED} == push.ALARMING
