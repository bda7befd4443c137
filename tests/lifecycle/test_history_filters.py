"""The history by who, what, status, machine and time, and what an operation's own page tells."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from lxml import html

from lifecycle.models import Bulk, Operation, Status
from machines.models import Machine
from tests.cast import ClientOf, MakeMachine
from tests.lifecycle.conftest import MakeOperation
from tests.lifecycle.pages import machine_url, one, page, text

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def found(client: Client, query: str, path: str = "/operations/") -> list[int]:
    rows = page(client, f"{path}{query}").cssselect("[data-operation-row]")
    return [int(row.get("data-operation-row")) for row in rows]


def by_script(script: Client, query: str) -> list[int]:
    answer = script.get(f"/api/v1/operations{query}")
    assert answer.status_code == 200, answer.content
    return [item["id"] for item in answer.json()["items"]]


def at(row: Operation, when: datetime) -> None:
    Operation.objects.filter(pk=row.pk).update(created_at=when)


@pytest.fixture
def rows(
    machine: Machine, make_machine: MakeMachine, owner: User, admin: User, make_operation: MakeOperation
) -> dict[str, Operation]:
    """Four ended operations of owner's two machines, by two people, one an hour from noon on."""
    second = make_machine("second", owner=owner)
    made = {
        "save": make_operation(status=Status.FAILED),
        "start": make_operation(kind="start", status=Status.SUCCEEDED, machine=second),
        "reset": make_operation(kind="reset", status=Status.SUCCEEDED, requested_by=admin),
        "destroy": make_operation(kind="destroy", status=Status.CANCELLED, requested_by=admin, machine=second),
    }
    for hours, row in enumerate(made.values()):
        at(row, NOON + timedelta(hours=hours))
    return made


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("", "destroy reset start save"),
        ("?by=me", "start save"),
        ("?by=owner", "start save"),
        ("?by=admin", "destroy reset"),
        ("?by=nobody-of-this-name", ""),
        ("?kind=save", "save"),
        ("?kind=save&kind=reset", "reset save"),
        ("?status=failed", "save"),
        ("?status=failed&status=cancelled", "destroy save"),
        ("?machine=second", "destroy start"),
        ("?machine=second&by=admin&status=cancelled", "destroy"),
        ("?since=2026-11-24T13:00", "destroy reset start"),
        ("?since=2026-11-24T13:00:01", "destroy reset"),
        ("?until=2026-11-24T13:00", "save"),
        ("?since=2026-11-24T13:00&until=2026-11-24+14:00", "start"),
        ("?since=2026-11-24", "destroy reset start save"),
        ("?until=2026-11-24", "destroy reset start save"),
        ("?until=2026-11-23", ""),
        ("?since=2026-11-25", ""),
        ("?since=2026-11-24T14:00%2B01:00", "destroy reset start"),
        ("?by=&kind=&status=&machine=&since=&until=&last=", "destroy reset start save"),
    ],
)
def test_page_and_api_find_the_same(
    client_of: ClientOf, script_of: ClientOf, owner: User, rows: dict[str, Operation], query: str, kinds: str
) -> None:
    wanted = [rows[kind].pk for kind in kinds.split()]
    assert found(client_of(owner), query) == wanted
    assert by_script(script_of(owner), query) == wanted


def test_times_without_a_zone_are_in_the_portals(
    client_of: ClientOf, owner: User, rows: dict[str, Operation], settings
) -> None:
    settings.TIME_ZONE = "Asia/Taipei"
    with timezone.override(ZoneInfo("Asia/Taipei")):
        assert found(client_of(owner), "?since=2026-11-24T22:00") == [rows["destroy"].pk, rows["reset"].pk]
        assert found(client_of(owner), "?until=2026-11-24T21:00") == [rows["save"].pk]


@pytest.mark.parametrize(("last", "number"), [("1h", 1), ("24h", 2), ("7d", 3)])
def test_quick_choices_count_back_from_now(
    client_of: ClientOf, owner: User, make_operation: MakeOperation, last: str, number: int
) -> None:
    ages = [timedelta(minutes=50), timedelta(hours=20), timedelta(days=6), timedelta(days=8)]
    made = [make_operation(status=Status.SUCCEEDED) for _age in ages]
    for row, age in zip(made, ages, strict=True):
        at(row, timezone.now() - age)
    assert found(client_of(owner), f"?last={last}") == [row.pk for row in reversed(made[:number])]


def test_machine_is_found_by_its_uuid_and_all_of_one_name_by_their_name(
    client_of: ClientOf, owner: User, machine: Machine, make_machine: MakeMachine, make_operation: MakeOperation
) -> None:
    twin = make_machine("machine", owner=owner)
    first, second = make_operation(), make_operation(machine=twin)
    assert found(client_of(owner), f"?machine={twin.uuid}") == [second.pk]
    assert found(client_of(owner), "?machine=machine") == [second.pk, first.pk]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("?status=odd", "status"),
        ("?kind=save&kind=odd", "kind"),
        ("?machine=none-of-this-name", "machine"),
        ("?since=yesterday", "since"),
        ("?since=2026-02-30", "since"),
        ("?until=0001-01-01", "until"),
        ("?until=9999-12-31", "until"),
        ("?last=8d", "last"),
        ("?by=" + "x" * 300, "by"),
    ],
)
def test_bad_value_is_answered_with_a_sentence_that_names_its_parameter(
    client_of: ClientOf, script_of: ClientOf, owner: User, machine: Machine, query: str, parameter: str
) -> None:
    for path in ("/operations/", machine_url(machine, "history/")) if parameter != "machine" else ("/operations/",):
        said = text(one(page(client_of(owner), f"{path}{query}", 400), "#list p"))
        assert said.startswith(f"The filter “{parameter}” cannot be used: ")
    answer = script_of(owner).get(f"/api/v1/operations{query}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"]) == (400, "bad_filter", {"parameter": parameter})
    assert error["message"].startswith(f"The filter “{parameter}” cannot be used: ")


def test_scripts_on_the_page_get_only_the_part_that_says_so(client_of: ClientOf, owner: User) -> None:
    answer = client_of(owner).get("/operations/?status=odd", headers={"HX-Request": "true"})
    assert answer.status_code == 400
    assert answer.content.decode().strip().startswith('<div id="list"')


# Rights


def test_filters_show_nobody_what_they_may_not_see(
    client_of: ClientOf, script_of: ClientOf, stranger: User, viewer: User, helpdesk: User, rows: dict[str, Operation]
) -> None:
    machine = rows["save"].machine
    assert found(client_of(stranger), "?by=owner") == []
    assert found(client_of(viewer), "?by=owner") == [rows["save"].pk]
    assert found(client_of(helpdesk), "?by=owner") == [rows["start"].pk, rows["save"].pk]
    for query in ("?machine=machine", "?machine=second"):
        assert client_of(stranger).get(f"/operations/{query}").status_code == 400
        assert script_of(stranger).get(f"/api/v1/operations{query}").status_code == 400
    for unknown in (machine.uuid, uuid.uuid4()):
        assert client_of(stranger).get(f"/operations/?machine={unknown}").status_code == 404
        assert script_of(stranger).get(f"/api/v1/operations?machine={unknown}").status_code == 404


def test_only_those_who_see_every_machine_are_offered_everybodys_names(
    client_of: ClientOf, owner: User, helpdesk: User, viewer: User, rows: dict[str, Operation]
) -> None:
    def offered(person: User, what: str) -> list[str]:
        options = page(client_of(person), "/operations/").cssselect(f"#filter-{what} option")
        return [option.get("value") for option in options]

    assert offered(owner, "people") == ["me"]
    assert offered(helpdesk, "people") == ["me", "admin", "helpdesk", "owner", "viewer"]
    assert (offered(owner, "machines"), offered(viewer, "machines")) == (["machine", "second"], ["machine"])


# The form, its chips and pages


def test_filters_in_force_are_chips_that_can_be_removed(
    client_of: ClientOf, owner: User, rows: dict[str, Operation]
) -> None:
    query = "?by=owner&kind=save&kind=start&status=failed&machine=second&last=7d&since=2026-11-24&until=2026-11-24"
    tree = page(client_of(owner), f"/operations/{query}")
    chips = {text(chip): chip.get("href") for chip in tree.cssselect(".chip")}
    rest = "machine=second&last=7d&since=2026-11-24T00%3A00&until=2026-11-25T00%3A00"
    assert chips == {
        "asked by owner": f"?kind=save&kind=start&status=failed&{rest}",
        "Save": f"?by=owner&kind=start&status=failed&{rest}",
        "Start": f"?by=owner&kind=save&status=failed&{rest}",
        "failed": f"?by=owner&kind=save&kind=start&{rest}",
        "machine: second": f"?by=owner&kind=save&kind=start&status=failed&{rest.replace('machine=second&', '')}",
        "last 7 days": f"?by=owner&kind=save&kind=start&status=failed&{rest.replace('last=7d&', '')}",
        "since 2026-11-24 00:00": ANYTHING,
        "until 2026-11-25 00:00": ANYTHING,
    }
    assert "since=" not in chips["since 2026-11-24 00:00"] and "until=" not in chips["until 2026-11-25 00:00"]


class _Anything:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


ANYTHING = _Anything()


def test_removing_a_value_leaves_what_is_called_the_same(
    client_of: ClientOf, owner: User, make_machine: MakeMachine
) -> None:
    make_machine("save", owner=owner)
    tree = page(client_of(owner), "/operations/?by=save&kind=save&machine=save")
    chips = {text(chip): chip.get("href") for chip in tree.cssselect(".chip")}
    assert chips["Save"] == "?by=save&machine=save"


def test_form_is_a_plain_one_that_holds_what_is_in_the_address(
    client_of: ClientOf, owner: User, rows: dict[str, Operation]
) -> None:
    query = "?by=me&kind=save&status=failed&machine=second&last=24h&since=2026-11-24&until=2026-11-24T18:30"
    form = one(page(client_of(owner), f"/operations/{query}"), "form[data-filter-form]")
    assert (form.get("method"), form.get("action"), len(form.cssselect("noscript button"))) == ("get", None, 1)
    values = dict(form.form_values())
    assert values == {
        "by": "me",
        "kind": "save",
        "status": "failed",
        "machine": "second",
        "last": "24h",
        "since": "2026-11-24T00:00",
        "until": "2026-11-24T18:30",
    }


def test_quick_choice_is_given_and_taken_back_by_a_click(
    client_of: ClientOf, owner: User, rows: dict[str, Operation]
) -> None:
    client = client_of(owner)
    links = {text(link): link for link in page(client, "/operations/?status=failed").cssselect(".quick a")}
    assert {words: link.get("href") for words, link in links.items()} == {
        "Asked by me": "?by=me&status=failed",
        "Last hour": "?status=failed&last=1h",
        "Last 24 hours": "?status=failed&last=24h",
        "Last 7 days": "?status=failed&last=7d",
    }
    chosen = one(page(client, "/operations/?by=me&status=failed"), ".quick a[aria-current]")
    assert (text(chosen), chosen.get("href")) == ("Asked by me", "?status=failed")


def test_pages_keep_their_filters(client_of: ClientOf, owner: User, make_operation: MakeOperation) -> None:
    for number in range(105):
        make_operation(kind="start" if number % 2 else "reset", status=Status.SUCCEEDED)
    client, seen, query = client_of(owner), [], "?kind=reset&by=me"
    while query:
        tree = page(client, f"/operations/{query}")
        seen += [int(row.get("data-operation-row")) for row in tree.cssselect("[data-operation-row]")]
        query = next((link.get("href") for link in tree.cssselect("a[rel=next]")), "")
        assert not query or ("kind=reset" in query and "by=me" in query)
    assert seen == list(Operation.objects.filter(kind="reset").order_by("-pk").values_list("pk", flat=True))


def test_machines_own_history_has_the_filters_but_that_of_the_machine(
    client_of: ClientOf, owner: User, rows: dict[str, Operation]
) -> None:
    path = machine_url(rows["save"].machine, "history/")
    assert found(client_of(owner), "?status=succeeded&machine=second", path) == [rows["reset"].pk]
    tree = page(client_of(owner), f"{path}?status=succeeded")
    assert not tree.cssselect("#filter-machine, #filter-machines")
    assert [chip.get("href") for chip in tree.cssselect(".chip")] == ["?"]


def test_history_costs_a_constant_number_of_queries(
    client_of: ClientOf,
    admin: User,
    owner: User,
    make_machine: MakeMachine,
    make_operation: MakeOperation,
    django_assert_max_num_queries,
) -> None:
    for number in range(60):
        machine = make_machine(f"m{number}", owner=owner)
        make_operation(machine=machine, kind="save", status=Status.FAILED, parameters={"file": "a"})
    client = client_of(admin)
    with django_assert_max_num_queries(7):
        client.get("/operations/?kind=save&status=failed&by=owner&last=7d")


# What was asked, in words


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        ("shutdown", {"mode": "default"}, []),
        ("shutdown", {"mode": "agent"}, ["by the guest agent"]),
        ("pmsuspend", {"mode": "disk"}, ["to its own disk"]),
        ("save", {}, []),
        ("save", {"file": "before-upgrade"}, ["saved file: before-upgrade"]),
        ("restore", {"file": "a", "confirm": "machine"}, ["saved file: a"]),
        ("autostart", {"on": True}, ["start with the host"]),
        ("autostart", {"on": False}, ["not: start with the host"]),
        ("send-keys", {"keys": ["KEY_LEFTCTRL", "KEY_C"], "hold_ms": 100}, ["keys: KEY_LEFTCTRL, KEY_C"]),
        ("send-keys", {"keys": ["KEY_A"], "hold_ms": 500}, ["keys: KEY_A", "held for, in milliseconds: 500"]),
        ("define", {"xml": "<domain><secret/></domain>"}, ["with a definition of its own"]),
        (
            "undefine",
            {"saved_image": True, "snapshots": False, "nvram": False, "disks": ["/images/a b.qcow2"]},
            ["delete its managed-save image", "disks to delete: /images/a b.qcow2"],
        ),
        ("teleport", {"to": "elsewhere"}, ["to: elsewhere"]),
    ],
)
def test_parameters_are_said_in_words(
    client_of: ClientOf, owner: User, make_operation: MakeOperation, kind: str, parameters: dict, words: list[str]
) -> None:
    row = make_operation(kind=kind, parameters=parameters, status=Status.SUCCEEDED)
    client = client_of(owner)
    said = one(page(client, row.get_absolute_url()), '[data-log="created"]').cssselect(".muted.break")
    assert [text(phrase) for phrase in said] == words
    small = [text(part) for part in page(client, "/operations/").cssselect("[data-operation-row] .c-what small")]
    assert [part for part in small if part] == ([" · ".join(words)] if words else [])
    assert "secret" not in client.get(row.get_absolute_url()).content.decode()


# An operation's own page


def shown_log(tree: html.HtmlElement) -> list[str]:
    return [step.get("data-log") for step in tree.cssselect("[data-log]") if step.get("hidden") is None]


def test_log_has_every_step_with_libvirts_words_folded(
    client_of: ClientOf, owner: User, make_operation: MakeOperation
) -> None:
    then = timezone.now()
    row = make_operation(
        status=Status.FAILED,
        sent_at=then,
        started_at=then,
        finished_at=then,
        cancel_requested=True,
        processed_bytes=2**29,
        total_bytes=2**30,
        message="It did not work.",
        error_code="no_space",
        error_text="internal <error>: no room",
    )
    tree = page(client_of(owner), row.get_absolute_url())
    assert shown_log(tree) == ["created", "sent", "started", "cancel", "progress", "finished"]
    assert "Asked by owner" in text(one(tree, '[data-log="created"]'))
    assert text(one(tree, '[data-log="progress"]')) == "Memory moved: 512 MiB of 1 GiB"
    folded = one(tree, "details[data-op-error]")
    assert (folded.get("open"), folded.get("hidden")) == (None, None)
    assert "internal <error>: no room" in text(folded)


def test_log_of_a_fresh_operation_says_only_who_asked(
    client_of: ClientOf, owner: User, make_operation: MakeOperation
) -> None:
    tree = page(client_of(owner), make_operation(status=Status.QUEUED).get_absolute_url())
    assert shown_log(tree) == ["created"]
    assert one(tree, "details[data-op-error]").get("hidden") is not None


def test_part_of_a_bulk_operation_leads_those_there_who_may_see_it(
    client_of: ClientOf, owner: User, viewer: User, admin: User, make_operation: MakeOperation
) -> None:
    bulk = Bulk.objects.create(kind="save", requested_by=owner)
    row = make_operation(bulk=bulk)
    link = f'a[href="/bulk/{bulk.pk}/"]'
    for person, leads in ((owner, True), (admin, True), (viewer, False)):
        tree = page(client_of(person), row.get_absolute_url())
        assert bool(tree.cssselect(link)) == leads
        assert "As one of many" in text(one(tree, '[data-log="created"]'))
