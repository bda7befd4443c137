"""The pages of hosts: what administrators see, and that they do not exist for others."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisor.states import State
from lifecycle import host_tests
from lifecycle.models import HostTest, Status
from machines import leases
from machines.models import Host, Machine
from tests.cast import ClientOf, MakeMachine, person
from tests.lifecycle.pages import machine_url, one, page, text

HOSTS, HOST, TEST = "/hosts/", "/hosts/host-1/", "/hosts/host-1/test/"
OTHERS = ["owner", "viewer", "stranger", "helpdesk"]


@pytest.fixture
def watched(host: Host) -> Host:
    leases.take(host.pk, "watcher-7")
    return host


def facts(tree, part: str) -> dict[str, str]:
    found = one(tree, f"[data-part={part}]")
    return dict(zip(map(text, found.cssselect("dt")), map(text, found.cssselect("dd")), strict=True))


def state(tree) -> tuple[str, str]:
    head = one(tree, "[data-part=state]")
    return head.get("data-status"), text(head)


# Who sees them


@pytest.mark.parametrize("role", OTHERS)
def test_hosts_do_not_exist_for_others(client_of: ClientOf, watched: Host, role: str, request) -> None:
    client = client_of(request.getfixturevalue(role))
    assert [client.get(HOSTS).status_code, client.get(HOST).status_code, client.post(TEST).status_code] == [404] * 3
    assert not HostTest.objects.exists()
    assert not page(client, "/").cssselect('a[href^="/hosts/"]')


def test_staff_who_are_no_administrators_see_no_hosts(client_of: ClientOf, host: Host) -> None:
    client = client_of(person("clerk", is_staff=True))
    assert [client.get(HOSTS).status_code, client.get(HOST).status_code, client.post(TEST).status_code] == [404] * 3


def test_nobody_who_is_not_signed_in_sees_hosts(client: Client, host: Host) -> None:
    for answer in (client.get(HOSTS), client.get(HOST), client.post(TEST)):
        assert answer.status_code == 302 and answer["Location"].startswith("/login/")
    assert not HostTest.objects.exists()


def test_header_leads_administrators_to_the_hosts(client_of: ClientOf, admin: User, host: Host) -> None:
    for url in (HOSTS, HOST):
        assert one(page(client_of(admin), url), '.header-nav a[href="/hosts/"]').get("aria-current") == "page"
    assert one(page(client_of(admin), "/"), '.header-nav a[href="/hosts/"]').get("aria-current") is None


def test_wrong_methods_and_unknown_hosts(client_of: ClientOf, admin: User, host: Host) -> None:
    client = client_of(admin)
    assert [client.post(HOSTS).status_code, client.post(HOST).status_code, client.get(TEST).status_code] == [405] * 3
    assert [client.get("/hosts/none/").status_code, client.post("/hosts/none/test/").status_code] == [404] * 2


# The list of hosts


def test_empty_list_says_what_a_host_is_and_leads_to_the_form(client_of: ClientOf, admin: User) -> None:
    empty = one(page(client_of(admin), HOSTS), ".empty")
    assert text(one(empty, "h2")) == "No host yet"
    assert one(empty, "a").get("href") == "/admin/machines/host/add/"


def test_list_shows_each_host_with_its_connection_and_load(
    client_of: ClientOf, admin: User, watched: Host, make_machine: MakeMachine
) -> None:
    Host.objects.create(name="spare", uri="qemu:///system", enabled=False)
    make_machine("on", memory_bytes=2**30)
    make_machine("off", state=State.SHUTOFF, memory_bytes=2**30)
    tree = page(client_of(admin), HOSTS)
    rows = {row.get("data-host-row"): row for row in tree.cssselect("tr[data-host-row]")}
    assert {name: text(one(row, ".state")) for name, row in rows.items()} == {
        "host-1": "connected",
        "spare": "disabled",
    }
    row = rows["host-1"]
    assert one(row, ".name").get("href") == HOST
    assert (text(one(row, ".c-promised")), text(one(row, ".c-machines"))) == ("1 GiB of 16 GiB", "2 machines")
    assert (one(row, "progress").get("value"), one(row, "progress").get("max")) == (str(2**30), str(2**34))


def test_list_costs_no_query_for_each_host(
    client_of: ClientOf, admin: User, make_machine: MakeMachine, django_assert_max_num_queries
) -> None:
    for number in range(6):
        host = Host.objects.create(name=f"more-{number}", uri=f"qemu+ssh://h{number}/system")
        leases.take(host.pk, "watcher-7")
        make_machine("one", host=host)
    client = client_of(admin)
    with django_assert_max_num_queries(6):
        client.get(HOSTS)


# One host


def test_host_page_says_what_the_host_is(client_of: ClientOf, admin: User, watched: Host) -> None:
    then = timezone.now() - timedelta(minutes=4)
    Host.objects.filter(pk=watched.pk).update(
        seen_at=timezone.now(),
        facts_at=then,
        hostname="kvm1.example",
        hypervisor_version="7.2.0",
        cpu_model="Skylake",
        free_memory_bytes=4 * 2**30,
        domain_types=["qemu", "kvm"],
        machine_types=["q35", "pc"],
    )
    tree = page(client_of(admin), HOST)
    assert state(tree) == ("succeeded", "connected")
    assert facts(tree, "connection") == {
        "Last seen": "just now",
        "Watched by": "watcher-7 · just now",
        "Host name": "kvm1.example",
        "libvirt": "9.0.0",
        "Hypervisor": "7.2.0",
    }
    assert facts(tree, "capacity") == {
        "CPUs": "8",
        "Memory": "16 GiB",
        "Promised": "0 B of 16 GiB to machines that are on",
        "Free": "4 GiB free · 4 min",
    }
    assert facts(tree, "capabilities") == {
        "CPU model": "Skylake",
        "Runs machines by": "qemu, kvm",
        "Machine types": "2 typesq35, pc",
    }
    assert "test:///default" in text(one(tree, ".machine-head"))
    assert tree.cssselect(f'a[href="/admin/machines/host/{watched.pk}/change/"]')


def test_host_that_only_emulates_says_so(client_of: ClientOf, admin: User, watched: Host) -> None:
    Host.objects.filter(pk=watched.pk).update(domain_types=["qemu"])
    assert "no KVM" in facts(page(client_of(admin), HOST), "capabilities")["Runs machines by"]


def test_memory_promised_beyond_what_there_is_is_marked(
    client_of: ClientOf, admin: User, watched: Host, make_machine: MakeMachine
) -> None:
    make_machine("large", state=State.PAUSED, memory_bytes=20 * 2**30)
    make_machine("saved", state=State.SAVED, memory_bytes=20 * 2**30)
    bar = one(page(client_of(admin), HOST), "[data-part=capacity] progress")
    assert ("over" in bar.get("class").split(), bar.get("value")) == (True, str(20 * 2**30))


def test_machines_are_counted_by_state_and_each_number_is_that_of_the_list_it_leads_to(
    client_of: ClientOf, admin: User, watched: Host, make_machine: MakeMachine
) -> None:
    for number, name in enumerate([State.RUNNING, State.RUNNING, State.IDLE, State.SAVED, State.UNDEFINED]):
        make_machine(f"m{number}", state=name)
    elsewhere = Host.objects.create(name="elsewhere", uri="qemu:///system")
    make_machine("not-here", host=elsewhere, state=State.CRASHED)
    client = client_of(admin)
    links = page(client, HOST).cssselect(".state-links a")
    assert {text(link): link.get("href") for link in links} == {
        "undefined1": "/?host=host-1&state=undefined",
        "running3": "/?host=host-1&state=running",
        "idle1": "/?host=host-1&state=idle",
        "saved1": "/?host=host-1&state=saved",
    }
    for link in links:
        assert len(page(client, link.get("href")).cssselect("tr[data-machine]")) == int(text(one(link, ".number")))


@pytest.mark.parametrize(
    ("fields", "leased", "found", "trouble"),
    [
        ({}, True, ("succeeded", "connected"), ""),
        ({}, False, ("interrupted", "not watched"), "No watcher follows this host"),
        ({"enabled": False}, False, ("cancelled", "disabled"), "This host is disabled"),
        ({"reachable": False}, True, ("queued", "connecting"), ""),
        (
            {"reachable": False, "last_error": "It is away.\nno route"},
            True,
            ("failed", "does not answer"),
            "It is away.",
        ),
    ],
)
def test_host_page_says_how_it_is_connected(
    client_of: ClientOf, admin: User, host: Host, fields: dict, leased: bool, found: tuple, trouble: str
) -> None:
    Host.objects.filter(pk=host.pk).update(**fields)
    if leased:
        leases.take(host.pk, "watcher-7")
    tree = page(client_of(admin), HOST)
    assert state(tree) == found
    assert text(one(tree, "[data-part=trouble]")).startswith(trouble)
    assert bool(text(one(tree, "[data-part=trouble]"))) == bool(trouble)


def test_what_libvirt_said_when_the_host_was_lost_is_folded_beside_our_sentence(
    client_of: ClientOf, admin: User, watched: Host
) -> None:
    words = "Failed to connect <socket>: No such file"
    Host.objects.filter(pk=watched.pk).update(reachable=False, last_error=f"The host does not answer.\n{words}")
    trouble = one(page(client_of(admin), HOST), "[data-part=trouble]")
    assert text(one(trouble, "p")).startswith("The host does not answer. Its machines keep the state")
    assert one(trouble, "details pre").text_content() == words
    assert not trouble.cssselect("details[open]")


def test_lease_that_ran_out_is_nobodys(client_of: ClientOf, admin: User, watched: Host) -> None:
    leases.Lease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    tree = page(client_of(admin), HOST)
    assert (state(tree)[1], facts(tree, "connection")["Watched by"]) == ("not watched", "nobody")


# Tests of the connection


def test_pressed_button_makes_a_test_that_the_page_shows(client_of: ClientOf, admin: User, watched: Host) -> None:
    client = client_of(admin)
    form = one(page(client, HOST), f'form[action="{TEST}"]')
    assert (form.get("method"), len(form.cssselect("input[name=csrfmiddlewaretoken]"))) == ("post", 1)
    for _twice in range(2):
        answer = client.post(TEST)
        assert (answer.status_code, answer["Location"]) == (302, HOST)
    tests = one(page(client, HOST), "[data-part=tests]")
    assert tests.get("data-testing") is not None
    assert one(tests, "[data-host-test]").get("data-status") == "queued"
    assert tests.cssselect("noscript")


def test_button_without_its_csrf_token_tests_nothing(admin: User, watched: Host) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    assert client.post(TEST).status_code == 403
    assert not HostTest.objects.exists()


def test_ended_tests_say_how_and_what_libvirt_said(client_of: ClientOf, admin: User, watched: Host) -> None:
    test = host_tests.request(watched, admin)
    words = {"message": "The host does not answer.", "error_code": "host_unreachable", "error_text": "<no> route"}
    HostTest.objects.update(status=Status.FAILED, finished_at=timezone.now(), facts={"milliseconds": 12}, **words)
    HostTest.objects.create(
        host=watched,
        status=Status.SUCCEEDED,
        finished_at=timezone.now(),
        message="Connected: libvirt 9.0.0.",
        facts={"milliseconds": 1234},
    )
    tests = one(page(client_of(admin), HOST), "[data-part=tests]")
    assert tests.get("data-testing") is None
    newest, older = tests.cssselect("[data-host-test]")
    assert text(newest) == "succeeded1.2 sjust now Connected: libvirt 9.0.0."
    assert (older.get("data-host-test"), older.get("data-status")) == (str(test.pk), "failed")
    assert "12 ms" in text(older) and "admin" in text(older) and "The host does not answer." in text(older)
    assert one(older, "pre").text_content() == "<no> route"


def test_page_of_a_host_costs_a_constant_number_of_queries(
    client_of: ClientOf, admin: User, watched: Host, make_machine: MakeMachine, django_assert_max_num_queries
) -> None:
    other = Host.objects.create(name="other", uri="qemu:///system")
    for number in range(8):
        make_machine(f"m{number}", conflict_host=other)
        HostTest.objects.create(host=watched, requested_by=admin, status=Status.FAILED)
    client = client_of(admin)
    with django_assert_max_num_queries(9):
        client.get(HOST)


def test_nothing_on_the_pages_is_inline(client_of: ClientOf, admin: User, watched: Host) -> None:
    for url in (HOSTS, HOST):
        tree = page(client_of(admin), url)
        assert not tree.cssselect("[style], style, [onclick], script:not([src]):not([type='application/json'])"), url


# Conflicts


@pytest.fixture
def conflict(watched: Host, owner: User, make_machine: MakeMachine) -> Machine:
    """A machine of `watched`, owned by owner, whose UUID host-2 shows too."""
    other = Host.objects.create(name="host-2", uri="qemu+ssh://two/system", reachable=True)
    return make_machine("twin", owner=owner, conflict_host=other)


def test_both_hosts_of_a_conflict_show_it_and_lead_to_each_other(
    client_of: ClientOf, admin: User, conflict: Machine
) -> None:
    client = client_of(admin)
    line = one(page(client, HOST), ".conflicts li")
    assert text(line) == "twin is followed here; host-2 shows it too."
    assert [link.get("href") for link in line.cssselect("a")] == [machine_url(conflict), "/hosts/host-2/"]
    line = one(page(client, "/hosts/host-2/"), ".conflicts li")
    assert text(line) == "twin is followed on host-1; this host shows it too."
    assert "1 machine with a UUID conflict" in text(one(page(client, HOSTS), "tr[data-host-row=host-2]"))


def test_a_host_added_twice_does_not_make_a_page_without_end(
    client_of: ClientOf, admin: User, conflict: Machine, host: Host
) -> None:
    rows = [Machine(uuid=uuid.uuid4(), host=host, name=f"t{n}", state="shutoff") for n in range(30)]
    for row in rows:
        row.conflict_host_id = conflict.conflict_host_id
    Machine.objects.bulk_create(rows)
    conflicts = one(page(client_of(admin), HOST), ".conflicts")
    assert len(conflicts.cssselect("li")) == 20
    assert "And 11 more." in text(conflicts)


SENTENCE = "The same UUID is shown by another host; an administrator has to look at it."


def test_owner_is_told_of_a_conflict_but_not_which_other_host(
    client_of: ClientOf, script_of: ClientOf, owner: User, conflict: Machine
) -> None:
    answer = client_of(owner).get(machine_url(conflict)).content.decode()
    assert SENTENCE in answer
    assert "host-2" not in answer
    described = script_of(owner).get(f"/api/v1/machines/{conflict.uuid}").content.decode()
    assert SENTENCE in described
    assert "host-2" not in described


@pytest.mark.parametrize("role", ["helpdesk", "admin"])
def test_those_who_see_every_machine_are_told_which_host(
    client_of: ClientOf, conflict: Machine, role: str, request
) -> None:
    callout = one(page(client_of(request.getfixturevalue(role)), machine_url(conflict)), "[data-optional=conflict]")
    assert callout.get("hidden") is None
    assert text(callout).startswith(SENTENCE) and "host-2" in text(callout)
    assert bool(callout.cssselect("a")) == (role == "admin")


def test_machine_without_a_conflict_hides_the_words(client_of: ClientOf, admin: User, machine: Machine) -> None:
    callout = one(page(client_of(admin), machine_url(machine)), "[data-optional=conflict]")
    assert (callout.get("hidden"), text(callout)) == ("", "")
