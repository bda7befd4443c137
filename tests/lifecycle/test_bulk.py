"""One operation asked of many machines: one result for each, by page and by API."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from lxml import html
from lxml.html import HtmlElement

from hypervisor.states import State
from lifecycle import bulk
from lifecycle.models import Bulk, Operation, Status
from machines.models import Grant, GrantRole, Machine
from machines.operation_table import TABLE, Place
from machines.refused import Refused
from tests.cast import ClientOf, MakeMachine
from tests.lifecycle.pages import messages, one, page, text

API = "/api/v1/bulk-operations"

Fleet = dict[str, Machine]


@pytest.fixture
def fleet(make_machine: MakeMachine, owner: User, viewer: User) -> Fleet:
    """Of owner: `a` and `b` run, `off` is off. `looked-at` is viewer's, who shows it to owner; `other` is nobody's."""
    made = {
        "a": make_machine("a", owner=owner),
        "b": make_machine("b", owner=owner),
        "off": make_machine("off", owner=owner, state=State.SHUTOFF),
        "looked-at": make_machine("looked-at", owner=viewer),
        "other": make_machine("other"),
    }
    Grant.objects.create(machine=made["looked-at"], user=owner, role=GrantRole.VIEWER)
    return made


def ids(fleet: Fleet, *names: str) -> list[str]:
    return [str(fleet[name].pk) for name in names]


def post(client: Client, operation: str, machines: list[str], query: str = "", **more: str) -> Any:
    return client.post(f"/bulk/{query}", {"operation": operation, "machine": machines, **more})


def asked(operation: str | None = None) -> list[str]:
    """The names of the machines that something was asked of."""
    rows = Operation.objects.filter(**({"kind": operation} if operation else {}))
    return sorted(rows.values_list("machine__name", flat=True))


def rows(tree: HtmlElement) -> dict[str, tuple[str, str]]:
    """Each machine on the page of results with its result and what happened."""
    return {
        text(one(row, ".name")): (text(one(row, ".state")), text(one(row, ".c-message")))
        for row in tree.cssselect(".results tbody tr")
    }


def fields(form: HtmlElement) -> dict[str, list[str]]:
    """What the form sends, with its button pressed."""
    sent: dict[str, list[str]] = {}
    for field in form.cssselect("input, button[name]"):
        sent.setdefault(field.get("name"), []).append(field.get("value"))
    return sent


# Each machine has its own result


def test_every_machine_gets_one_result_and_a_refusal_says_why(
    client_of: ClientOf, owner: User, fleet: Fleet, make_operation: Callable[..., Operation]
) -> None:
    make_operation(machine=fleet["b"])
    gone = str(uuid.uuid4())
    client = client_of(owner)
    answer = post(client, "suspend", [*ids(fleet, "a", "b", "off", "looked-at", "other"), gone])
    tree = page(client, answer["Location"])
    found = rows(tree)
    assert list(found) == ["a", "b", "off", "looked-at", str(fleet["other"].pk), gone]
    assert found["a"] == ("queued", "")
    assert found["b"] == ("refused", "Another operation is in the way: Saving.")
    assert found["off"][1].startswith("The machine is shut off; “Pause” is possible when")
    assert found["looked-at"] == ("refused", "You need the right “operator” on this machine.")
    assert (
        found[str(fleet["other"].pk)] == found[gone] == ("refused", "There is no such machine, or no longer for you.")
    )
    assert text(one(tree, "[data-bulk-summary]")) == "1 accepted, 5 refused"
    assert text(one(tree, "h1")) == "Pause: 6 machines"
    assert asked("suspend") == ["a"]


def test_the_result_leads_to_the_operation_and_says_how_it_ended(
    client_of: ClientOf, owner: User, fleet: Fleet
) -> None:
    client = client_of(owner)
    url = post(client, "suspend", ids(fleet, "a", "b"))["Location"]
    first, second = Operation.objects.order_by("pk")
    Operation.objects.filter(pk=first.pk).update(status=Status.FAILED, message="It did not work.")
    tree = page(client, url)
    assert rows(tree) == {"a": ("failed", "It did not work."), "b": ("queued", "")}
    row = one(tree, f'[data-operation-row="{second.pk}"]')
    assert [link.get("href") for link in row.cssselect("a")] == [
        fleet["b"].get_absolute_url(),
        second.get_absolute_url(),
    ]
    tally = {part.get("data-tally"): text(part) for part in tree.cssselect("[data-tally]:not([hidden])")}
    assert tally == {"failed": "1 failed", "queued": "1 queued"}


def test_a_machine_ticked_twice_is_asked_once(client_of: ClientOf, owner: User, fleet: Fleet) -> None:
    post(client_of(owner), "suspend", ids(fleet, "a", "a"))
    assert (asked(), len(Bulk.objects.get().machines)) == (["a"], 1)


def test_no_machine_is_passed_over_when_the_portal_stops_halfway(
    client_of: ClientOf, owner: User, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_one, calls = bulk._ask_one, []

    def ask_one_then_stop(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise SystemExit
        return ask_one(*args)

    monkeypatch.setattr(bulk, "_ask_one", ask_one_then_stop)
    with pytest.raises(SystemExit):
        bulk.ask("suspend", [fleet[name].pk for name in ("a", "off", "b")], by=owner, parameters={})
    found = rows(page(client_of(owner), Bulk.objects.get().get_absolute_url()))
    assert (found["a"][0], found["off"][0], found["b"][0]) == ("queued", "refused", "refused")
    assert found["off"][1].startswith("The machine is shut off")
    assert "the portal stopped halfway" in found["b"][1]


def test_a_machine_that_vanished_after_it_was_asked_still_has_a_line(
    client_of: ClientOf, owner: User, fleet: Fleet
) -> None:
    client = client_of(owner)
    url = post(client, "suspend", ids(fleet, "a", "b"))["Location"]
    fleet["a"].delete()
    Machine.objects.filter(pk=fleet["b"].pk).update(owner=None)
    found = rows(page(client, url))
    assert list(found) == ["a", "b"]
    assert all("removed or taken from you" in sentence for _, sentence in found.values())


# All that match


def test_all_that_match_is_resolved_by_the_server_and_asked_first(
    client_of: ClientOf, owner: User, fleet: Fleet, make_machine: MakeMachine
) -> None:
    client = client_of(owner)
    answer = post(client, "suspend", ids(fleet, "off"), "?state=running", matching="1")
    question = html.fromstring(answer.content.decode())
    assert (answer.status_code, asked()) == (200, [])
    assert "3 machines match now" in text(one(question, ".confirm"))
    assert text(one(question, "h2.mt")) == "1 will be refused"
    form = one(question, ".confirm form")
    make_machine("late", owner=owner)  # matches by now, but was not confirmed
    Machine.objects.filter(name="b").delete()
    answer = client.post(form.get("action"), fields(form))
    assert asked() == ["a"]
    found = rows(page(client, answer["Location"]))
    assert set(found) == {"a", "looked-at", str(fleet["b"].pk)}


def ids_of_the(form: HtmlElement) -> list[str]:
    return fields(form)["machine"]


def test_all_that_match_never_reaches_what_one_may_not_see(client_of: ClientOf, owner: User, fleet: Fleet) -> None:
    question = html.fromstring(post(client_of(owner), "suspend", [], matching="1").content.decode())
    assert set(ids_of_the(one(question, ".confirm form"))) == set(ids(fleet, "a", "b", "off", "looked-at"))


def test_filters_that_match_nothing_are_said_to(client_of: ClientOf, owner: User, fleet: Fleet) -> None:
    client = client_of(owner)
    answer = post(client, "suspend", [], "?q=nothing", matching="1", next="/?q=nothing")
    assert (answer.status_code, answer["Location"]) == (302, "/?q=nothing")
    assert "No machine was chosen" in messages(client)


@pytest.fixture
def crowd(fleet: Fleet, owner: User) -> list[Machine]:
    """501 machines of owner, with the three that are there."""
    like = fleet["a"]
    fields = {"host": like.host, "owner": owner, "state": State.RUNNING}
    return Machine.objects.bulk_create(
        [Machine(uuid=uuid.uuid4(), name=f"c{number:03}", **fields) for number in range(bulk.MOST - 2)]
    )


def test_more_than_can_be_asked_are_refused_with_what_to_do(
    client_of: ClientOf, owner: User, crowd: list[Machine]
) -> None:
    client = client_of(owner)
    answer = post(client, "suspend", [], matching="1")
    assert answer["Location"] == "/"
    said = messages(client)
    assert "These are 502 machines; at most 500 are asked at once. Narrow the list" in said
    assert post(client, "suspend", [str(uuid.uuid4()) for _ in range(501)]).status_code == 302
    assert not Bulk.objects.exists()
    bar = one(page(client, "/"), "#bulk")
    assert not bar.cssselect("[name=matching]")
    assert "502 match: too many to ask at once" in text(bar)


def test_five_hundred_can_be_asked(client_of: ClientOf, owner: User, crowd: list[Machine], fleet: Fleet) -> None:
    client = client_of(owner)
    bar = one(page(client, "/?q=c"), "#bulk")
    assert "all 498 that match" in text(bar)
    question = html.fromstring(post(client, "start", [], "?q=c", matching="1").content.decode())
    assert len(ids_of_the(one(question, ".confirm form"))) == 498


# What loses data


@pytest.mark.parametrize("kind", [kind.name for kind in TABLE.values() if kind.loses and kind.place is not Place.FORM])
def test_what_loses_is_asked_in_every_machines_name(client_of: ClientOf, admin: User, fleet: Fleet, kind: str) -> None:
    state = sorted(TABLE[kind].states)[0]
    Machine.objects.update(state=state, has_saved_image=True)
    question = html.fromstring(post(client_of(admin), kind, ids(fleet, "a", "b")).content.decode())
    assert not Operation.objects.exists()
    expected = [str(TABLE[kind].loses) % {"name": name} for name in ("a", "b")]
    assert [text(line) for line in question.cssselect(".prospects li")] == expected
    assert text(one(question, ".confirm [data-confirm]")) == f"{TABLE[kind].label} 2 machines"


def test_what_loses_is_done_once_it_was_confirmed(client_of: ClientOf, owner: User, fleet: Fleet) -> None:
    client = client_of(owner)
    question = html.fromstring(post(client, "destroy", ids(fleet, "a", "off"), next="/?q=x").content.decode())
    assert "“Force off” is possible when" in text(one(question, "ul.prospects:last-of-type"))
    assert one(question, ".confirm a").get("href") == "/?q=x"
    form = one(question, ".confirm form")
    assert text(form.cssselect("[data-confirm]")[0]) == "Force off 1 machine"
    answer = client.post(form.get("action"), fields(form))
    assert asked("destroy") == ["a"]
    assert rows(page(client, answer["Location"]))["off"][0] == "refused"


def test_when_all_would_be_refused_there_is_nothing_to_confirm(client_of: ClientOf, owner: User, fleet: Fleet) -> None:
    question = html.fromstring(post(client_of(owner), "destroy", ids(fleet, "off")).content.decode())
    assert not question.cssselect(".confirm [data-confirm]")
    assert text(one(question, ".prospects li")).startswith("off The machine is shut off")


# Who may


def test_bulk_operations_are_protected_against_other_sites(owner: User, fleet: Fleet) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert post(client, "suspend", ids(fleet, "a")).status_code == 403
    assert client.post(API, {"operation": "suspend", "machines": []}, "application/json").status_code == 403
    assert not Bulk.objects.exists()


def test_nothing_is_asked_by_get_or_by_nobody(client: Client, client_of: ClientOf, owner: User, fleet: Fleet) -> None:
    assert client_of(owner).get("/bulk/").status_code == 405
    answer = post(client, "suspend", ids(fleet, "a"))
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/login/")
    assert client.post(API, {"operation": "suspend", "machines": []}, "application/json").status_code == 401
    assert not Bulk.objects.exists()


@pytest.mark.parametrize(("role", "status"), [("viewer", 404), ("helpdesk", 404), ("stranger", 404), ("admin", 200)])
def test_only_who_asked_and_administrators_see_the_results(
    client_of: ClientOf, script_of: ClientOf, owner: User, fleet: Fleet, role: str, status: int, request: Any
) -> None:
    found = bulk.ask("suspend", [fleet["a"].pk], by=owner, parameters={})
    person = request.getfixturevalue(role)
    assert client_of(person).get(found.get_absolute_url()).status_code == status
    assert script_of(person).get(f"{API}/{found.pk}").status_code == status
    assert client_of(person).get("/bulk/424242/").status_code == 404


def test_who_may_ask_nothing_is_offered_nothing(
    client_of: ClientOf, viewer: User, helpdesk: User, stranger: User, machine: Machine
) -> None:
    for person in (viewer, helpdesk, stranger):
        tree = page(client_of(person), "/")
        assert not tree.cssselect("#bulk, .c-tick")


def test_the_bar_offers_what_needs_no_form_and_the_right_allows(
    client_of: ClientOf, owner: User, admin: User, machine: Machine
) -> None:
    def offered(person: User) -> set[str]:
        bar = one(page(client_of(person), "/"), "#bulk")
        return {button.get("value") for button in bar.cssselect("button[name=operation]")}

    simple = {kind.name for kind in TABLE.values() if kind.place is not Place.FORM}
    assert offered(admin) == simple
    assert offered(owner) == simple - {"inject-nmi"}


def test_every_row_has_a_box_with_the_machines_name(client_of: ClientOf, owner: User, fleet: Fleet) -> None:
    tree = page(client_of(owner), "/")
    boxes = tree.cssselect("tr[data-machine] .c-tick input[type=checkbox][form=bulk]")
    assert [(box.get("value"), box.get("aria-label")) for box in boxes] == [
        (str(fleet[name].pk), name) for name in ("a", "b", "looked-at", "off")
    ]
    assert one(tree, "#bulk").cssselect("button")[0].get("formmethod") == "dialog"  # Enter in a box asks nothing


@pytest.mark.parametrize(
    ("operation", "machines", "sentence"),
    [
        ("suspend", [], "No machine was chosen"),
        ("dance", ["a"], "There is no operation “dance”."),
        ("undefine", ["a"], "“Undefine” is asked on a machine's own page."),
        ("suspend", ["nonsense"], "“machine” is not a UUID."),
    ],
)
def test_what_cannot_be_asked_is_said_on_the_list(
    client_of: ClientOf, owner: User, fleet: Fleet, operation: str, machines: list[str], sentence: str
) -> None:
    client = client_of(owner)
    chosen = [str(fleet[name].pk) if name in fleet else name for name in machines]
    assert post(client, operation, chosen, next="//evil.example/")["Location"] == "/"
    assert sentence in messages(client)
    assert not Bulk.objects.exists()


# The API


def test_a_script_asks_machines_by_uuid(script_of: ClientOf, owner: User, fleet: Fleet) -> None:
    client = script_of(owner)
    body = {"operation": "shutdown", "parameters": {"mode": "acpi"}, "machines": ids(fleet, "b", "off", "other")}
    answer = client.post(API, body, "application/json")
    assert answer.status_code == 202
    told = answer.json()
    assert (told["url"], told["operation"], told["requested_by"]) == (f"/bulk/{told['id']}/", "shutdown", "owner")
    assert (told["accepted"], told["refused"]) == (1, 2)
    assert [(item["name"], item["error"] and item["error"]["code"]) for item in told["items"]] == [
        ("b", None),
        ("off", "state_conflict"),
        ("", "not_found"),
    ]
    assert told["items"][0]["operation"]["parameters"] == {"mode": "acpi"}
    Operation.objects.update(status=Status.SUCCEEDED)
    again = client.get(f"{API}/{told['id']}").json()
    assert again["items"][0]["operation"]["status"] == "succeeded"
    assert again["items"][1:] == told["items"][1:]


def test_a_script_asks_machines_by_filters(script_of: ClientOf, owner: User, fleet: Fleet) -> None:
    body = {"operation": "start", "filters": {"state": ["shutoff", "crashed"], "autostart": False, "q": "o"}}
    told = script_of(owner).post(API, body, "application/json").json()
    assert [item["name"] for item in told["items"]] == ["off"]
    assert asked() == ["off"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"operation": "start"}, "bad_parameters"),
        ({"operation": "start", "machines": [], "filters": {}}, "bad_parameters"),
        ({"operation": "start", "machines": []}, "no_machines"),
        ({"operation": "start", "machines": ["x"]}, "bad_parameters"),
        ({"operation": "dance", "filters": {}}, "unknown_operation"),
        ({"operation": "start", "filters": {"sate": "shutoff"}}, "bad_filter"),
        ({"operation": "start", "filters": {"cursor": "x"}}, "bad_filter"),
        ({"operation": "start", "filters": {"state": None}}, "bad_filter"),
        ({"operation": "start", "filters": {"state": ""}}, "bad_filter"),
        ({"operation": "start", "filters": {"state": []}}, "bad_filter"),
        ({"operation": "start", "filters": {"state": {"a": 1}}}, "bad_filter"),
        ({"operation": "start", "filters": {"q": "nothing"}}, "no_machines"),
        ({"operation": "start", "filters": {}, "parameters": {"mode": "x"}}, "bad_parameters"),
        ({"operation": "shutdown", "filters": {}, "parameters": {"mode": "x"}}, "bad_parameters"),
        ({"operation": "start", "filters": {}, "more": 1}, "bad_parameters"),
    ],
)
def test_what_a_script_cannot_ask_is_refused_whole(
    script_of: ClientOf, owner: User, fleet: Fleet, body: dict[str, Any], code: str
) -> None:
    answer = script_of(owner).post(API, body, "application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert not Bulk.objects.exists()


# What it costs


def test_the_queries_of_asking_grow_by_a_few_for_each_machine(owner: User, fleet: Fleet, crowd: list[Machine]) -> None:
    def cost(machines: list[Machine]) -> int:
        with CaptureQueriesContext(connection) as queries:
            bulk.ask("suspend", [machine.pk for machine in machines], by=owner, parameters={})
        return len(queries)

    few, many = cost(crowd[:2]), cost(crowd[2:12])
    assert many - few <= 8 * 11, (few, many)


def test_the_results_cost_the_same_for_many_machines(
    client_of: ClientOf, owner: User, crowd: list[Machine], django_assert_max_num_queries: Any
) -> None:
    found = bulk.ask("suspend", [machine.pk for machine in crowd[:20]], by=owner, parameters={})
    client = client_of(owner)
    with django_assert_max_num_queries(7):
        assert len(rows(page(client, found.get_absolute_url()))) == 20


def test_a_question_of_many_costs_a_constant_number_of_queries(
    client_of: ClientOf, owner: User, crowd: list[Machine], django_assert_max_num_queries: Any
) -> None:
    client = client_of(owner)
    with django_assert_max_num_queries(12):
        assert post(client, "destroy", [], "?q=c", matching="1").status_code == 200


def test_nothing_is_kept_of_what_was_refused_whole(owner: User, fleet: Fleet) -> None:
    with pytest.raises(Refused):
        bulk.ask("shutdown", [fleet["a"].pk], by=owner, parameters={"mode": "x"})
    assert not Bulk.objects.exists()
