"""Pages of machines and operations: who sees what, what is refused, and that they work without scripts."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from unittest.mock import ANY

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from lxml import html

from hypervisor.states import REASONS, State
from lifecycle.models import Operation, Status
from machines.models import Host, Machine
from machines.operation_table import SUGGESTED, TABLE, Place
from machines.state_words import REASON_SENTENCES, STATE_MEANINGS
from tests.cast import ClientOf, MakeMachine
from tests.lifecycle.conftest import MakeOperation
from tests.lifecycle.pages import machine_url, names, one, operation_url, page, text

HOSTILE = "<script>alert(1)</script> \"'><img src=x onerror=alert(2)> {{ 7*7 }} %(name)s"

AssertNumQueries = Callable[..., object]


# Who sees what


@pytest.mark.parametrize("url", ["/", "/operations/", "/machines/{}/", "/machines/{}/history/", "/operations/1/"])
def test_anonymous_visitors_are_sent_to_the_login_page(client: Client, machine: Machine, url: str) -> None:
    url = url.format(machine.uuid)
    response = client.get(url)
    assert (response.status_code, response["Location"]) == (302, f"/login/?next={url}")


@pytest.mark.parametrize("tab", ["", "history/", "definition/"])
def test_strangers_get_404_for_a_machine(client_of: ClientOf, stranger: User, machine: Machine, tab: str) -> None:
    known = page(client_of(stranger), machine_url(machine, tab), 404)
    unknown = page(client_of(stranger), f"/machines/{uuid.uuid4()}/{tab}", 404)
    assert text(one(known, "main")) == text(one(unknown, "main"))


def test_strangers_get_404_for_its_operations(
    client_of: ClientOf, stranger: User, machine: Machine, make_operation: MakeOperation
) -> None:
    operation, client = make_operation(), client_of(stranger)
    assert client.get(operation.get_absolute_url()).status_code == 404
    assert client.post(reverse("lifecycle:cancel", args=[operation.pk])).status_code == 404
    assert client.post(operation_url(machine, "destroy"), {"confirm": "1"}).status_code == 404
    assert client.get(f"/operations/?machine={machine.uuid}").status_code == 404
    assert not page(client, "/operations/").cssselect("[data-operation-row]")
    assert Operation.objects.get().status == Status.RUNNING


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("/", "GET, HEAD"),
        ("/operations/", "GET, HEAD"),
        ("/machines/{}/", "GET, HEAD"),
        ("/machines/{}/history/", "GET, HEAD"),
        ("/machines/{}/definition/", "GET, HEAD"),
    ],
)
def test_pages_are_only_read(client_of: ClientOf, owner: User, machine: Machine, url: str, allowed: str) -> None:
    response = client_of(owner).post(url.format(machine.uuid))
    assert (response.status_code, response["Allow"]) == (405, allowed)


def test_nothing_is_asked_by_get(
    client_of: ClientOf, owner: User, machine: Machine, make_operation: MakeOperation
) -> None:
    operation = make_operation()
    assert client_of(owner).get(operation_url(machine, "shutdown")).status_code == 405
    assert client_of(owner).get(reverse("lifecycle:cancel", args=[operation.pk])).status_code == 405


def test_operations_are_protected_against_other_sites(owner: User, machine: Machine) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert client.post(operation_url(machine, "shutdown")).status_code == 403
    assert not Operation.objects.exists()


# The list


def test_the_list_shows_machines_with_what_makes_sense_next(client_of: ClientOf, owner: User, machine: Machine) -> None:
    row = one(page(client_of(owner), "/"), f'tr[data-machine="{machine.uuid}"]')
    assert row.get("data-state") == "running"
    assert text(one(row, ".state")) == "running"
    assert one(row, "[data-operation]").get("data-operation") == "shutdown"
    assert one(row, "[data-to-screen]").get("href") == machine_url(machine, "console/")


@pytest.mark.parametrize("state", State)
def test_each_state_suggests_what_is_possible_in_it(
    client_of: ClientOf, owner: User, make_machine: MakeMachine, state: State
) -> None:
    make_machine(owner=owner, state=state)
    row = one(page(client_of(owner), "/"), "tr[data-machine]")
    buttons = row.cssselect("[data-operation]")
    assert [button.get("data-operation") for button in buttons] == list(SUGGESTED[state])
    assert not [button for button in buttons if button.get("aria-disabled")]


def test_viewers_see_disabled_buttons_that_say_why(client_of: ClientOf, viewer: User, machine: Machine) -> None:
    row = one(page(client_of(viewer), "/"), "tr[data-machine]")
    button = one(row, "[data-operation=shutdown]")
    assert button.get("aria-disabled") == "true"
    assert "“operator”" in button.get("title")
    assert row.cssselect("[data-to-screen]")


def test_helpdesk_sees_states_but_no_console(client_of: ClientOf, helpdesk: User, machine: Machine) -> None:
    row = one(page(client_of(helpdesk), "/"), "tr[data-machine]")
    assert one(row, "[data-operation=shutdown]").get("aria-disabled") == "true"
    assert not row.cssselect('a[href$="/console/"]')
    assert not page(client_of(helpdesk), machine_url(machine)).cssselect('a[href$="/console/"]')


def test_no_console_is_offered_where_it_could_not_work(
    client_of: ClientOf, owner: User, make_machine: MakeMachine
) -> None:
    machine = make_machine(owner=owner, graphics=[])
    assert not page(client_of(owner), "/").cssselect("tr [data-to-screen]")
    tree = page(client_of(owner), machine_url(machine))
    assert not tree.cssselect('a[href$="/console/"]')
    assert text(one(tree, ".screen")) == "It has no display and no serial console."


@pytest.mark.parametrize(("graphics", "has_serial"), [(["spice", "vnc"], False), (["spice"], False), ([], True)])
def test_a_console_is_offered_for_every_display_and_for_a_serial_port(
    client_of: ClientOf, owner: User, make_machine: MakeMachine, graphics: list[str], has_serial: bool
) -> None:
    machine = make_machine(owner=owner, graphics=graphics, has_serial=has_serial)
    assert page(client_of(owner), "/").cssselect("tr [data-to-screen]")
    assert page(client_of(owner), machine_url(machine)).cssselect("a.screen")


def test_an_unreachable_host_greys_its_machines_and_says_since_when(
    client_of: ClientOf, owner: User, machine: Machine, host: Host
) -> None:
    Host.objects.filter(pk=host.pk).update(reachable=False, seen_at=timezone.now() - timedelta(minutes=14))
    row = one(page(client_of(owner), "/"), "tr[data-machine]")
    assert (row.get("data-reachable"), row.get("data-state")) == ("0", "running")
    assert text(one(row, ".unreachable")) == "last seen 14 min"
    assert "does not answer" in one(row, "[data-operation]").get("title")


def test_a_running_operation_is_drawn_in_the_row(
    client_of: ClientOf, owner: User, make_operation: MakeOperation
) -> None:
    operation = make_operation(progress=42)
    row = one(page(client_of(owner), "/"), "tr[data-machine]")
    job = one(row, "[data-job]")
    assert (job.get("data-job"), text(job)) == (str(operation.pk), "Saving 42 %")
    assert one(job, "progress").get("value") == "42"
    assert one(row, "[data-operation]").get("title") == "Another operation is in the way: Saving."


def test_hostile_names_stay_text(
    client_of: ClientOf, owner: User, machine: Machine, make_operation: MakeOperation
) -> None:
    Machine.objects.filter(pk=machine.pk).update(name=HOSTILE, title=HOSTILE, description=HOSTILE)
    operation = make_operation(message=HOSTILE, error_text=HOSTILE, error_code="x")
    Machine.objects.filter(pk=machine.pk).update(definition_xml=f"<domain><title a='{HOSTILE}'>--&gt;</title></domain>")
    for url in (
        "/",
        machine_url(machine),
        machine_url(machine, "definition/"),
        "/operations/",
        operation.get_absolute_url(),
    ):
        tree = page(client_of(owner), url)
        assert HOSTILE in tree.text_content(), url
        assert not tree.cssselect("img, main script:not([type])"), url


def test_nothing_is_inline(client_of: ClientOf, owner: User, machine: Machine, make_operation: MakeOperation) -> None:
    operation = make_operation(progress=10)
    for url in (
        "/",
        machine_url(machine),
        machine_url(machine, "history/"),
        "/operations/",
        operation.get_absolute_url(),
    ):
        tree = page(client_of(owner), url)
        assert not tree.cssselect("[style], style, [onclick], script:not([src]):not([type='application/json'])"), url


def test_empty_lists_say_what_to_do(
    client_of: ClientOf, stranger: User, admin: User, make_machine: MakeMachine
) -> None:
    empty = one(page(client_of(stranger), "/"), ".empty")
    assert "ask an administrator" in text(empty)
    assert one(empty, "a").get("href") == "/requests/new/"
    assert "Add a host" in text(one(page(client_of(admin), "/"), ".empty"))
    make_machine(owner=stranger)
    nothing = one(page(client_of(stranger), "/?q=nothing-like-it"), ".empty")
    assert "No machine matches" in text(nothing)
    assert one(nothing, "a").get("href") == "?"


def test_filters_are_chips_that_can_be_removed(client_of: ClientOf, owner: User, machine: Machine) -> None:
    tree = page(client_of(owner), "/?state=running&state=paused&q=mach&owner=owner&has_snapshot=0&sort=-since")
    chips = {text(chip): chip.get("href") for chip in tree.cssselect(".chip")}
    assert list(chips) == ["“mach”", "running", "paused", "owner: owner", "without snapshots"]
    assert chips["running"] == "?q=mach&state=paused&owner=owner&has_snapshot=0&sort=-since"
    assert {box.get("value") for box in tree.cssselect("input[name=state][checked]")} == {"running", "paused"}
    assert one(tree, "#search").get("value") == "mach"
    assert one(tree, "th[aria-sort]").get("aria-sort") == "descending"


def test_a_bad_filter_is_explained(client_of: ClientOf, owner: User) -> None:
    for url in (
        "/?state=bogus",
        "/?sort=colour",
        "/operations/?status=bogus",
        "/operations/?before=x",
        "/operations/?machine=x",
    ):
        tree = page(client_of(owner), url, 400)
        assert "does not exist" in text(one(tree, "#list h1"))


def test_pages_of_the_list_lead_to_each_other(client_of: ClientOf, owner: User, make_machine: MakeMachine) -> None:
    for number in range(5):
        make_machine(f"m{number}", owner=owner)
    first = page(client_of(owner), "/?limit=2")
    assert (names(first), first.cssselect("a[rel=prev]")) == (["m0", "m1"], [])
    assert text(one(first, ".pager > span")) == "5 machines"
    second = page(client_of(owner), f"/{one(first, 'a[rel=next]').get('href')}")
    assert names(second) == ["m2", "m3"]
    assert names(page(client_of(owner), f"/{one(second, 'a[rel=prev]').get('href')}")) == ["m0", "m1"]


def test_scripts_may_fetch_the_list_alone(client_of: ClientOf, owner: User, machine: Machine) -> None:
    response = client_of(owner).get("/", headers={"HX-Request": "true"})
    assert response.content.decode().lstrip().startswith('<section id="list"')
    assert "HX-Request" in response["Vary"]
    assert "no-store" in response["Cache-Control"]


def test_fifty_rows_are_small_and_cost_a_constant_number_of_queries(
    client_of: ClientOf,
    admin: User,
    owner: User,
    make_machine: MakeMachine,
    django_assert_max_num_queries: AssertNumQueries,
) -> None:
    for number in range(60):
        addresses = [{"interface": "eth0", "mac": "52:54:00:00:00:00", "address": f"10.0.0.{number}", "prefix": 24}]
        make_machine(f"machine-{number:03}", owner=owner, title="An ordinary title", addresses=addresses)
    client = client_of(admin)
    with django_assert_max_num_queries(10):  # one of them for maintenance
        response = client.get("/")
    assert len(names(html.fromstring(response.content.decode()))) == 50
    assert len(response.content) < 100_000


# A machine


def test_a_machine_page_shows_state_reason_and_facts(client_of: ClientOf, owner: User, machine: Machine) -> None:
    Machine.objects.filter(pk=machine.pk).update(disk_bytes=3 * 2**30)
    tree = page(client_of(owner), machine_url(machine))
    head = one(tree, f'[data-machine="{machine.uuid}"]')
    assert (head.get("data-state"), text(one(head, "[data-fact=reason]"))) == ("running", "booted")
    facts = dict(zip(map(text, tree.cssselect(".facts dt")), map(text, tree.cssselect(".facts dd")), strict=True))
    assert facts == {
        "Owner": "owner",
        "Host": "host-1",
        "Addresses": "none known; the guest agent reports them",
        "vCPUs": "1",
        "Memory": "512 MiB",
        "Disk": "3 GiB",
        "Display": "VNC vga",
        "Guest agent": "not connected",
        "Definition": "persistent",
        "Autostart": "no",
        "Pictures": "shown here and in the list",
        "Saved files": "0",
        "Saved image": "none",
        "Snapshots": "0",
        "UUID": str(machine.uuid),
        "Description": "",  # hidden until there is one
        "Your right": ANY,
    }
    assert one(tree, "a.screen").get("href") == machine_url(machine, "console/")


def test_every_operation_has_a_button_in_the_tables_order(client_of: ClientOf, owner: User, machine: Machine) -> None:
    tree = page(client_of(owner), machine_url(machine))
    buttons = tree.cssselect("[data-operation][aria-describedby], .operations > [data-operation], .with-ways > button")
    with_button = [kind.name for kind in TABLE.values() if kind.place is Place.BUTTON]
    assert [button.get("data-operation") for button in buttons] == with_button
    for button in buttons:
        name = button.get("data-operation")
        possible = State.RUNNING in TABLE[name].states
        assert (button.get("aria-disabled") is None) == possible, name
        if not possible:
            reason = one(tree, f"#{button.get('aria-describedby')}")
            assert "The machine is running" in text(reason) and text(reason).endswith(button.get("title"))


def test_the_menu_has_every_other_operation_with_its_reason(
    client_of: ClientOf, admin: User, owner: User, machine: Machine
) -> None:
    items = one(page(client_of(admin), machine_url(machine)), ".more").cssselect(".menu-item:not([name])")
    names = [item.get("data-operation") or item.get("data-form-of") for item in items]
    assert names == [kind.name for kind in TABLE.values() if kind.place is not Place.BUTTON]
    for item, name in zip(items, names, strict=True):
        reason = one(item, "[data-reason]")
        possible = State.RUNNING in TABLE[name].states and not set(TABLE[name].requires) - {"persistent"}
        assert (reason.get("hidden") is not None, not text(reason)) == (possible, possible), name
    menu = one(page(client_of(owner), machine_url(machine)), ".more")
    assert "“admin”" in text(one(menu, "[data-operation=send-keys]"))  # no link to where they are refused
    assert one(menu, "[data-form-of=undefine]").get("href") == machine_url(machine, "undefine/")


@pytest.mark.parametrize(
    ("state", "reason", "sentence"),
    [
        (State.PAUSED, "I/O error", "A disk of it could not be written"),
        (State.CRASHED, "panicked", "kernel panicked"),
        (State.PAUSED, "user", ""),
    ],
)
def test_a_machine_page_says_what_state_and_reason_mean(
    client_of: ClientOf, viewer: User, machine: Machine, state: State, reason: str, sentence: str
) -> None:
    Machine.objects.filter(pk=machine.pk).update(state=state, state_reason=reason)
    head = one(page(client_of(viewer), machine_url(machine)), ".state-meaning")
    assert text(one(head, "[data-fact=meaning]")) == str(STATE_MEANINGS[state])
    assert sentence in text(one(head, "[data-fact=why]"))
    assert bool(text(one(head, "[data-fact=why]"))) == bool(sentence)


def test_every_reason_with_a_sentence_is_one_of_libvirts() -> None:
    known = {word for words in REASONS.values() for word in words}
    assert {reason for sentences in REASON_SENTENCES.values() for reason in sentences} <= known


@pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED])
def test_how_a_guest_is_asked_can_be_chosen_where_it_can_be_asked(
    client_of: ClientOf, owner: User, make_machine: MakeMachine, state: State
) -> None:
    machine = make_machine(owner=owner, state=state)
    buttons = page(client_of(owner), machine_url(machine)).cssselect(".with-ways button[name=mode]")
    assert [(button.get("formaction"), button.get("value"), text(button)) for button in buttons] == [
        (operation_url(machine, "shutdown"), "acpi", "Shut down by the power button"),
        (operation_url(machine, "shutdown"), "agent", "Shut down by the guest agent"),
        (operation_url(machine, "reboot"), "acpi", "Reboot by the power button"),
        (operation_url(machine, "reboot"), "agent", "Reboot by the guest agent"),
    ]
    assert {button.get("aria-disabled") for button in buttons} == {None if state == State.RUNNING else "true"}


def test_an_operation_in_the_way_is_named_and_can_be_cancelled(
    client_of: ClientOf, owner: User, viewer: User, machine: Machine, make_operation: MakeOperation
) -> None:
    operation = make_operation(progress=10, processed_bytes=2**29, total_bytes=2**32)
    tree = page(client_of(owner), machine_url(machine))
    panel = one(tree, "[data-job-panel]")
    assert "Saving 10 %" in text(panel) and "512 MiB of 4 GiB" in text(panel)
    cancel = one(panel, "[data-cancel]")
    assert (cancel.get("formaction"), cancel.get("hidden")) == (reverse("lifecycle:cancel", args=[operation.pk]), None)
    assert one(tree, "[data-operation=destroy]").get("aria-disabled") is None
    seen = one(page(client_of(viewer), machine_url(machine)), "[data-job-panel] [data-cancel]")
    assert seen.get("hidden") is not None


def test_the_definition_is_for_owners(
    client_of: ClientOf, owner: User, operator: User, viewer: User, helpdesk: User, machine: Machine
) -> None:
    url = machine_url(machine, "definition/")
    Machine.objects.filter(pk=machine.pk).update(definition_xml="<domain type='kvm'>\n  <name>a&lt;b</name>\n</domain>")
    assert (
        one(page(client_of(owner), url), "pre.code").text_content()
        == "<domain type='kvm'>\n  <name>a&lt;b</name>\n</domain>"
    )
    for person in (operator, viewer, helpdesk):
        assert "“owner”" in text(one(page(client_of(person), url, 403), ".empty"))
        assert not page(client_of(person), machine_url(machine)).cssselect(f'a[href="{url}"]')


def test_the_history_lists_a_machines_operations(
    client_of: ClientOf, viewer: User, machine: Machine, make_machine: MakeMachine, make_operation: MakeOperation
) -> None:
    mine = make_operation(status=Status.FAILED, message="It did not work.", finished_at=timezone.now())
    make_operation(machine=make_machine("other"))
    row = one(page(client_of(viewer), machine_url(machine, "history/")), "[data-operation-row]")
    assert (row.get("data-operation-row"), row.get("data-status")) == (str(mine.pk), "failed")
    assert "It did not work." in text(row)


# What the browser is told


def test_the_browser_gets_the_table_and_the_words(client_of: ClientOf, owner: User, machine: Machine) -> None:
    tree = page(client_of(owner), "/")
    assert tree.cssselect("#operation-table")
    script = client_of(owner).get(one(tree, "script[src^='/words/']").get("src"))
    assert "immutable" in script["Cache-Control"]
    brought = json.loads(script.content.decode().removeprefix("globalThis.kvmportal = ").removesuffix(";"))
    table, words = brought["table"], brought["words"]
    assert list(table["operations"]) == list(TABLE)
    assert table["sentences"].keys() == {"forbidden", "host_unreachable", "operation_conflict", "state_conflict"}
    assert set(words["ended"]) == set(Status.values) - {"queued", "running"}
    assert set(words["statuses"]) == set(Status.values)


def test_words_of_another_fingerprint_are_not_kept(client: Client) -> None:
    assert client.get("/words/en-0000.js")["Cache-Control"] == "no-store"
    assert client.get("/words/xx-0000.js").status_code == 404


def test_every_icon_that_is_used_is_on_the_page(client_of: ClientOf, owner: User, machine: Machine) -> None:
    source = client_of(owner).get("/").content.decode() + client_of(owner).get(machine_url(machine)).content.decode()
    used = set(re.findall(r'<use href="#i-([\w-]+)"', source)) | {kind.icon for kind in TABLE.values()}
    assert used <= set(re.findall(r'<symbol id="i-([\w-]+)"', source))
