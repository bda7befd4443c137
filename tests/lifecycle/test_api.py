"""The API of machines and operations, for each of the cast."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisor.states import State
from lifecycle import operations
from lifecycle.models import Operation, Status
from machines.models import Grant, GrantRole, Host, Machine
from tests.cast import ClientOf, MakeMachine
from tests.lifecycle.allowed import ASKS
from tests.lifecycle.conftest import Ask

API = "/api/v1"
CONTRACT = {
    "uuid", "name", "title", "host", "state", "state_reason", "state_since", "persistent", "autostart",
    "has_saved_image", "snapshot_count", "vcpus", "memory_bytes", "disk_bytes", "video_model", "graphics",
    "agent_connected", "addresses", "owner", "my_right", "allowed_operations", "version",
    "saved_file_count", "state_meaning", "consoles",
}  # fmt: skip
OPERATION_CONTRACT = {
    "id", "machine", "operation", "status", "progress", "message", "error", "requested_by", "created_at",
    "started_at", "finished_at",
}  # fmt: skip


def get(client: Client, path: str, status: int = 200, /, **query: Any) -> Any:
    answer = client.get(f"{API}/{path}", query)
    assert answer.status_code == status, answer.content
    return answer.json()


def post(client: Client, path: str, status: int, body: Any = None) -> Any:
    answer = client.post(f"{API}/{path}", json.dumps(body or {}), content_type="application/json")
    assert answer.status_code == status, answer.content
    return answer.json()


def code(answer: dict[str, Any]) -> str:
    assert set(answer["error"]) == {"code", "message", "details"}
    return answer["error"]["code"]


# Machines


def test_owner_lists_their_machines_with_every_field_of_the_contract(script_of: ClientOf, machine: Machine) -> None:
    page = get(script_of(machine.owner), "machines")
    assert (page["total"], page["next"]) == (1, None)
    (item,) = page["items"]
    assert set(item) >= CONTRACT
    assert (item["uuid"], item["state"], item["my_right"]) == (str(machine.uuid), "running", "owner")
    assert item["allowed_operations"] == [
        "shutdown", "reboot", "suspend", "save", "reset", "destroy", "autostart", "undefine",
    ]  # fmt: skip


def test_everyone_sees_the_machines_they_may_and_the_right_they_have(
    script_of: ClientOf, machine: Machine, viewer: User, stranger: User, helpdesk: User, admin: User
) -> None:
    seen = {
        person.username: [item["my_right"] for item in get(script_of(person), "machines")["items"]]
        for person in (viewer, stranger, helpdesk, admin)
    }
    assert seen == {"viewer": ["viewer"], "stranger": [], "helpdesk": ["helpdesk"], "admin": ["admin"]}


def test_people_who_only_look_are_allowed_no_operation(script_of: ClientOf, machine: Machine, viewer: User) -> None:
    assert get(script_of(viewer), f"machines/{machine.uuid}")["allowed_operations"] == []


def test_list_is_filtered_sorted_and_paged(script_of: ClientOf, make_machine: MakeMachine, owner: User) -> None:
    for number in range(5):
        make_machine(f"m{number}", owner=owner, state=State.SHUTOFF if number % 2 else State.RUNNING)
    script = script_of(owner)
    page = get(script, "machines", limit=2, sort="-name", fields="name")
    assert page["items"] == [{"name": "m4"}, {"name": "m3"}]
    assert page["total"] == 5
    page = get(script, "machines", limit=2, sort="-name", fields="name", cursor=page["next"])
    assert page["items"] == [{"name": "m2"}, {"name": "m1"}]
    assert [item["name"] for item in get(script, "machines", state=["shutoff", "paused"])["items"]] == ["m1", "m3"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "flying"}, "bad_filter"),
        ({"limit": "0"}, "bad_filter"),
        ({"limit": "many"}, "bad_filter"),
        ({"cursor": "x"}, "bad_filter"),
        ({"sort": "beauty"}, "bad_filter"),
        ({"autostart": "perhaps"}, "bad_filter"),
        ({"fields": "uuid,password"}, "bad_parameters"),
    ],
)
def test_filter_that_cannot_be_used_is_400(script_of: ClientOf, owner: User, query, expected: str) -> None:
    assert code(get(script_of(owner), "machines", 400, **query)) == expected


def test_list_costs_as_many_queries_for_fifty_machines_as_for_two(
    script_of: ClientOf, make_machine: MakeMachine, owner: User, django_assert_max_num_queries
) -> None:
    script = script_of(owner)
    for number in range(50):
        make_machine(f"m{number}", owner=owner)
    with django_assert_max_num_queries(11):  # one for maintenance, one for quotas
        assert len(get(script, "machines")["items"]) == 50


def test_one_machine_can_be_looked_at_whole_or_in_part(script_of: ClientOf, machine: Machine) -> None:
    script = script_of(machine.owner)
    assert set(get(script, f"machines/{machine.uuid}")) >= CONTRACT
    assert get(script, f"machines/{machine.uuid}", fields="state, name") == {"name": "machine", "state": "running"}
    assert code(get(script, f"machines/{machine.uuid}", 400, fields="secret")) == "bad_parameters"


def test_stranger_and_unknown_uuid_are_404(script_of: ClientOf, machine: Machine, stranger: User) -> None:
    assert code(get(script_of(stranger), f"machines/{machine.uuid}", 404)) == "not_found"
    assert code(get(script_of(machine.owner), f"machines/{uuid.uuid4()}", 404)) == "not_found"
    assert code(get(script_of(machine.owner), "machines/42", 404)) == "not_found"


def test_allowed_operations_follow_from_what_is_in_the_way(script_of: ClientOf, machine: Machine, ask: Ask) -> None:
    ask(machine, "save")
    script = script_of(machine.owner)
    assert get(script, f"machines/{machine.uuid}")["allowed_operations"] == ["destroy"]
    ask(machine, "destroy")
    assert get(script, f"machines/{machine.uuid}")["allowed_operations"] == []


def test_nothing_is_allowed_on_a_host_that_does_not_answer(script_of: ClientOf, machine: Machine) -> None:
    Host.objects.update(reachable=False)
    answer = get(script_of(machine.owner), f"machines/{machine.uuid}")
    assert (answer["host_reachable"], answer["allowed_operations"]) == (False, [])


# Asking


def test_operation_is_accepted_with_202(script_of: ClientOf, machine: Machine) -> None:
    body = {"operation": "shutdown", "parameters": {"mode": "acpi"}}
    answer = post(script_of(machine.owner), f"machines/{machine.uuid}/operations", 202, body)
    assert set(answer) >= OPERATION_CONTRACT
    expected = {
        "machine": str(machine.uuid), "operation": "shutdown", "parameters": {"mode": "acpi"}, "status": "queued",
        "progress": 0, "error": None, "requested_by": "owner", "started_at": None, "cancellable": True,
    }  # fmt: skip
    assert {name: answer[name] for name in expected} == expected
    assert get(script_of(machine.owner), f"operations/{answer['id']}") == answer


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"operation": "explode"}, 400, "unknown_operation"),
        ({"operation": "shutdown", "parameters": {"mode": "hammer"}}, 400, "bad_parameters"),
        ({"operation": "suspend", "parameters": {"now": True}}, 400, "bad_parameters"),
        ({"operation": "suspend", "parameters": []}, 400, "bad_parameters"),
        ({"operation": "suspend", "force": True}, 400, "bad_parameters"),
        ({"operation": 7}, 400, "bad_parameters"),
        ({}, 400, "bad_parameters"),
        ([], 400, "bad_parameters"),
        ({"operation": "start"}, 409, "state_conflict"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    script_of: ClientOf, machine: Machine, body, status: int, expected: str
) -> None:
    script = script_of(machine.owner)
    answer = script.post(f"{API}/machines/{machine.uuid}/operations", json.dumps(body), content_type="application/json")
    assert (answer.status_code, code(answer.json())) == (status, expected)
    assert not Operation.objects.exists()


def test_second_operation_is_409_and_names_the_first(script_of: ClientOf, machine: Machine, ask: Ask) -> None:
    first = ask(machine, "save")
    answer = post(script_of(machine.owner), f"machines/{machine.uuid}/operations", 409, {"operation": "suspend"})
    assert answer["error"]["code"] == "operation_conflict"
    assert answer["error"]["details"] == {"operation": first.pk}


def test_host_that_does_not_answer_is_409(script_of: ClientOf, machine: Machine) -> None:
    Host.objects.update(reachable=False)
    answer = post(script_of(machine.owner), f"machines/{machine.uuid}/operations", 409, {"operation": "suspend"})
    assert answer["error"]["code"] == "host_unreachable"


def test_viewer_and_helpdesk_may_not_ask_and_a_stranger_finds_nothing(
    script_of: ClientOf, machine: Machine, viewer: User, helpdesk: User, stranger: User
) -> None:
    for person, status in ((viewer, 403), (helpdesk, 403), (stranger, 404)):
        for asked in ASKS.values():
            body = {"operation": asked.kind, "parameters": dict(asked.parameters)}
            post(script_of(person), f"machines/{machine.uuid}/operations", status, body)
    assert not Operation.objects.exists()


def test_wrong_methods_are_405_and_anonymous_is_401(script_of: ClientOf, machine: Machine, client: Client) -> None:
    script = script_of(machine.owner)
    assert code(get(script, f"machines/{machine.uuid}/operations", 405)) == "method_not_allowed"
    assert code(post(script, "machines/names", 405)) == "method_not_allowed"
    assert code(get(client, "operations", 401)) == "unauthenticated"
    assert code(post(client, f"machines/{machine.uuid}/operations", 401, {"operation": "save"})) == "unauthenticated"


# Operations


def test_operations_are_listed_newest_first_filtered_and_paged(
    script_of: ClientOf, machine: Machine, make_machine: MakeMachine, ask: Ask, owner: User
) -> None:
    rows = []
    for kind in ("save", "suspend", "reset"):
        rows.append(ask(machine, kind))
        operations.advance(rows[-1], status=Status.SUCCEEDED)
    rows.append(ask(make_machine("other", owner=owner), "save"))
    newest = [row.pk for row in reversed(rows)]
    script = script_of(owner)
    assert [item["id"] for item in get(script, "operations")["items"]] == newest
    first = get(script, "operations", limit=3)
    assert [item["id"] for item in first["items"]] == newest[:3]
    second = get(script, "operations", limit=3, cursor=first["next"])
    assert ([item["id"] for item in second["items"]], second["next"]) == (newest[3:], None)
    assert [item["id"] for item in get(script, "operations", machine=str(machine.uuid))["items"]] == newest[1:]
    assert [item["id"] for item in get(script, "operations", status=["queued", "running"])["items"]] == newest[:1]


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"machine": "x"}, "bad_filter"),
        ({"status": "odd"}, "bad_filter"),
        ({"kind": "odd"}, "bad_filter"),
        ({"since": "odd"}, "bad_filter"),
        ({"until": "2026-13-01"}, "bad_filter"),
        ({"last": "8d"}, "bad_filter"),
        ({"limit": "0"}, "bad_parameters"),
        ({"limit": "201"}, "bad_parameters"),
        ({"cursor": "x"}, "bad_parameters"),
        ({"cursor": "-1"}, "bad_parameters"),
    ],
)
def test_operations_filter_that_cannot_be_used_is_400(script_of: ClientOf, owner: User, query, word: str) -> None:
    assert code(get(script_of(owner), "operations", 400, **query)) == word


def test_operations_of_machines_one_may_not_see_are_hidden(
    script_of: ClientOf, machine: Machine, ask: Ask, stranger: User, viewer: User, helpdesk: User, admin: User
) -> None:
    row = ask(machine, "save")
    assert get(script_of(stranger), "operations")["items"] == []
    get(script_of(stranger), f"operations/{row.pk}", 404)
    get(script_of(stranger), "operations", 404, machine=str(machine.uuid))
    for person in (viewer, helpdesk, admin):
        assert [item["id"] for item in get(script_of(person), "operations")["items"]] == [row.pk]
        assert get(script_of(person), f"operations/{row.pk}")["requested_by"] == "owner"


@pytest.mark.parametrize("number", ["0", "-1", "99999999999999999999", "abc", "424242"])
def test_operation_that_does_not_exist_is_404(script_of: ClientOf, owner: User, number: str) -> None:
    assert code(get(script_of(owner), f"operations/{number}", 404)) == "not_found"


def test_failed_operation_carries_code_and_text(script_of: ClientOf, machine: Machine, ask: Ask) -> None:
    row = operations.advance(ask(machine, "save"), status=Status.FAILED, error_code="no_space", error_text="disk full")
    assert get(script_of(machine.owner), f"operations/{row.pk}")["error"] == {"code": "no_space", "text": "disk full"}


def test_operation_is_cancelled_by_who_may_and_only_while_it_is_open(
    script_of: ClientOf, machine: Machine, ask: Ask, viewer: User, stranger: User
) -> None:
    row = ask(machine, "save")
    assert code(post(script_of(viewer), f"operations/{row.pk}/cancel", 403)) == "forbidden"
    assert code(post(script_of(stranger), f"operations/{row.pk}/cancel", 404)) == "not_found"
    Grant.objects.create(machine=machine, user=stranger, role=GrantRole.OPERATOR)
    assert post(script_of(stranger), f"operations/{row.pk}/cancel", 202)["status"] == "cancelled"
    assert code(post(script_of(machine.owner), f"operations/{row.pk}/cancel", 409)) == "not_cancellable"


def test_description_names_every_call_of_machines_and_operations(
    client: Client, owner: User, client_of: ClientOf
) -> None:
    paths = get(client_of(owner), "openapi.json")["paths"]
    for path in (
        "machines",
        "machines/{uuid}",
        "machines/{uuid}/operations",
        "operations",
        "operations/{operation_id}",
    ):
        assert f"{API}/{path}" in paths
