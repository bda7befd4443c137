"""The API's frame: who may ask, and the one shape of every error."""

from __future__ import annotations

import json
import logging
import re
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from kvmportal.api import api
from machines import api as machines_api
from machines.models import Host, Machine
from people.models import ApiToken
from tests.cast import ClientOf, MakeMachine, person

MACHINES = "/api/v1/machines"
HOSTS = "/api/v1/hosts"
TICKETS = "/api/v1/updates-tickets"
JSON = "application/json"


def error_of(response, status: int, code: str) -> dict:
    """Check that the response is an error of this status and code in the API's one shape, and return it."""
    assert response.status_code == status, response.content
    assert response["Content-Type"].startswith(JSON)
    assert response["Cache-Control"] == "no-store"
    assert int(response["Content-Length"]) == len(response.content)
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "details"}
    assert body["error"]["code"] == code
    assert body["error"]["message"]
    assert isinstance(body["error"]["details"], dict)
    return body["error"]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# Who asks


def test_script_with_a_token_is_its_user(script_of: ClientOf, owner: User, machine: Machine) -> None:
    answer = script_of(owner).get(f"{MACHINES}/{machine.uuid}")
    assert answer.status_code == 200
    assert answer.json()["my_right"] == "owner"


def test_browser_with_a_session_may_ask_too(client_of: ClientOf, viewer: User, machine: Machine) -> None:
    assert client_of(viewer).get(f"{MACHINES}/{machine.uuid}").json()["my_right"] == "viewer"


@pytest.mark.parametrize("method", ["get", "post"])
def test_nobody_is_401_and_told_how_to_sign_in(client: Client, db: None, method: str) -> None:
    address = HOSTS if method == "get" else TICKETS
    answer = getattr(Client(enforce_csrf_checks=True), method)(address)
    error = error_of(answer, 401, "unauthenticated")
    assert "Bearer" in error["message"]
    assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["", "wrong", "kvmp_" + "x" * 43, "a b c", "\u00e9", "x" * 10_000, "'; --", "\x00"])
def test_wrong_token_is_401_even_beside_a_valid_session(client_of: ClientOf, owner: User, token: str) -> None:
    error_of(client_of(owner).get(MACHINES, headers=bearer(token)), 401, "unauthenticated")


def test_digest_of_a_token_is_not_a_token(owner: User) -> None:
    row, _ = ApiToken.make(owner.pk, "script")
    error_of(Client().get(MACHINES, headers=bearer(row.digest)), 401, "unauthenticated")


def test_token_of_a_disabled_user_is_401(script_of: ClientOf, owner: User) -> None:
    script = script_of(owner)
    assert script.get(MACHINES).status_code == 200
    User.objects.filter(pk=owner.pk).update(is_active=False)
    error_of(script.get(MACHINES), 401, "unauthenticated")


def test_session_of_a_disabled_user_is_401(client_of: ClientOf, owner: User) -> None:
    client = client_of(owner)
    User.objects.filter(pk=owner.pk).update(is_active=False)
    error_of(client.get(MACHINES), 401, "unauthenticated")


def test_revoked_token_is_401(script_of: ClientOf, owner: User) -> None:
    script = script_of(owner)
    ApiToken.objects.all().delete()
    error_of(script.get(MACHINES), 401, "unauthenticated")


def test_token_beats_the_session_it_comes_with(
    client_of: ClientOf, owner: User, stranger: User, machine: Machine
) -> None:
    _, token = ApiToken.make(stranger.pk, "script")
    answer = client_of(owner).get(f"{MACHINES}/{machine.uuid}", headers=bearer(token))
    error_of(answer, 404, "not_found")


def test_use_of_a_token_is_written_at_most_once_a_minute(script_of: ClientOf, owner: User) -> None:
    script = script_of(owner)
    script.get(MACHINES)
    first = ApiToken.objects.get().last_used_at
    assert timezone.now() - first < timedelta(seconds=30)
    script.get(MACHINES)
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    script.get(MACHINES)
    assert ApiToken.objects.get().last_used_at > first


def test_session_needs_the_csrf_token_for_changes(owner: User, machine: Machine) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    address = f"{MACHINES}/{machine.uuid}/operations"
    error = error_of(browser.post(address, {"operation": "nonsense"}, JSON), 403, "csrf_failed")
    assert "X-CSRFToken" in error["message"]
    browser.get("/profile/")
    csrf = browser.cookies["csrftoken"].value
    accepted = browser.post(address, {"operation": "nonsense"}, JSON, headers={"X-CSRFToken": csrf})
    error_of(accepted, 400, "unknown_operation")


def test_another_site_cannot_use_the_session(owner: User, machine: Machine) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    browser.get("/profile/")
    headers = {"X-CSRFToken": browser.cookies["csrftoken"].value, "Origin": "https://evil.example"}
    answer = browser.post(f"{MACHINES}/{machine.uuid}/operations", {"operation": "destroy"}, JSON, headers=headers)
    error_of(answer, 403, "csrf_failed")


def test_token_needs_no_csrf_token(script_of: ClientOf, owner: User, machine: Machine) -> None:
    answer = script_of(owner).post(f"{MACHINES}/{machine.uuid}/operations", {"operation": "nonsense"}, JSON)
    error_of(answer, 400, "unknown_operation")


# What every error looks like


@pytest.mark.parametrize("body", ["{", "nonsense", "\x00", "[" * 100_000, "9" * 5000, b"\xff\xfe"])
def test_body_that_is_not_json_is_400(script_of: ClientOf, owner: User, machine: Machine, body: str | bytes) -> None:
    answer = script_of(owner).post(f"{MACHINES}/{machine.uuid}/operations", body, JSON)
    error_of(answer, 400, "invalid_json")


def test_form_instead_of_json_is_400(script_of: ClientOf, client_of: ClientOf, owner: User, machine: Machine) -> None:
    address = f"{MACHINES}/{machine.uuid}/operations"
    error_of(script_of(owner).post(address, {"operation": "start"}), 400, "invalid_json")
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    browser.get("/profile/")
    form = {"operation": "start", "csrfmiddlewaretoken": browser.cookies["csrftoken"].value}
    error_of(browser.post(address, form), 400, "invalid_json")


@pytest.mark.parametrize("body", [[], "text", 1, None, True])
def test_json_that_is_not_an_object_is_400(script_of: ClientOf, owner: User, machine: Machine, body: object) -> None:
    answer = script_of(owner).post(f"{MACHINES}/{machine.uuid}/operations", json.dumps(body), JSON)
    error_of(answer, 400, "bad_parameters")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "operation"),
        ({"operation": 5}, "operation"),
        ({"operation": "start", "parameters": []}, "parameters"),
        ({"operation": "start", "parametres": {}}, "parametres"),
    ],
)
def test_wrong_field_is_named(script_of: ClientOf, owner: User, machine: Machine, body: dict, field: str) -> None:
    answer = script_of(owner).post(f"{MACHINES}/{machine.uuid}/operations", body, JSON)
    error = error_of(answer, 400, "bad_parameters")
    assert list(error["details"]["fields"]) == [field]
    assert error["message"].startswith(f"{field}: ")


def test_wrong_query_parameter_is_named(script_of: ClientOf, owner: User) -> None:
    error = error_of(script_of(owner).get("/api/v1/operations?limit=many"), 400, "bad_parameters")
    assert list(error["details"]["fields"]) == ["limit"]


def test_right_that_lacks_is_named_in_a_403(script_of: ClientOf, owner: User) -> None:
    assert "admin" in error_of(script_of(owner).get(HOSTS), 403, "forbidden")["message"]


def test_unknown_and_forbidden_machines_get_the_same_404(script_of: ClientOf, stranger: User, machine: Machine) -> None:
    script = script_of(stranger)
    unknown = script.get(f"{MACHINES}/{uuid.uuid4()}")
    forbidden = script.get(f"{MACHINES}/{machine.uuid}")
    assert error_of(unknown, 404, "not_found") == error_of(forbidden, 404, "not_found")


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/", "/api/v1/nonsense", "/api/v2/machines", f"{MACHINES}/", "/api/v1//hosts"]
)
def test_unknown_address_is_a_json_404(script_of: ClientOf, owner: User, path: str) -> None:
    error_of(script_of(owner).get(path), 404, "not_found")


def test_unknown_address_cannot_be_posted_to(script_of: ClientOf, owner: User) -> None:
    error_of(script_of(owner).post("/api/v1/nonsense", {}, JSON), 404, "not_found")


def test_unknown_address_is_json_while_debugging_too(script_of: ClientOf, owner: User, settings) -> None:
    settings.DEBUG = True
    error_of(script_of(owner).get("/api/v1/nonsense"), 404, "not_found")


@pytest.mark.parametrize("bad", ["nonsense", "1", "../hosts", "%00", "00000000-0000-0000-0000-00000000000g"])
def test_path_that_holds_no_uuid_is_404(script_of: ClientOf, owner: User, bad: str) -> None:
    error_of(script_of(owner).get(f"{MACHINES}/{bad}"), 404, "not_found")


@pytest.mark.parametrize("bad", ["nonsense", "0", "-1", "9" * 30, "1.5"])
def test_path_that_holds_no_operation_number_is_404(script_of: ClientOf, owner: User, bad: str) -> None:
    error_of(script_of(owner).get(f"/api/v1/operations/{bad}"), 404, "not_found")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options", "head"])
def test_wrong_method_is_405_and_says_which_are_allowed(script_of: ClientOf, owner: User, method: str) -> None:
    answer = getattr(script_of(owner), method)(HOSTS)
    assert answer.status_code == 405
    assert answer["Allow"] == "GET"
    if method != "head":
        error_of(answer, 405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/operations", "/console-tickets"])
def test_body_over_the_limit_is_413_and_says_the_limit(
    script_of: ClientOf, owner: User, machine: Machine, path: str, settings
) -> None:
    body = '{"operation": "%s"}' % ("x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    answer = script_of(owner).post(f"{MACHINES}/{machine.uuid}{path}", body, JSON)
    error = error_of(answer, 413, "too_large")
    assert error["details"] == {"limit_bytes": settings.DATA_UPLOAD_MAX_MEMORY_SIZE}


def test_body_over_the_limit_without_announced_length_is_413(
    script_of: ClientOf, owner: User, machine: Machine, settings
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    body = '{"operation": "%s"}' % ("x" * 200)
    address = f"{MACHINES}/{machine.uuid}/operations"
    answer = script_of(owner).post(address, body, JSON, CONTENT_LENGTH="10")
    assert answer.status_code in {400, 413}
    assert answer.json()["error"]["code"] in {"invalid_json", "too_large"}


def test_unexpected_error_is_500_with_an_id_that_the_log_has(
    script_of: ClientOf, admin: User, monkeypatch, caplog
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("secret detail at /etc/kvmportal")

    monkeypatch.setattr(machines_api, "machines_by_state", broken)
    with caplog.at_level(logging.ERROR):
        answer = script_of(admin).get(HOSTS)
    error = error_of(answer, 500, "internal_error")
    assert "secret" not in answer.content.decode()
    assert error["details"]["id"] in caplog.text
    assert "secret detail" in caplog.text


def test_unexpected_error_hides_its_inside_while_debugging_too(
    script_of: ClientOf, admin: User, monkeypatch, settings
) -> None:
    settings.DEBUG = True
    monkeypatch.setattr(machines_api, "machines_by_state", lambda: 1 / 0)
    error_of(script_of(admin).get(HOSTS), 500, "internal_error")


def test_wrong_host_name_is_a_json_400(script_of: ClientOf, owner: User) -> None:
    error_of(script_of(owner).get(MACHINES, headers={"Host": "evil.example"}), 400, "bad_request")


# The description


def test_openapi_description_names_every_address_of_the_contract(client: Client, db: None) -> None:
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    expected = {
        "/api/v1/machines": {"get", "post"},
        "/api/v1/machines/names": {"get"},
        "/api/v1/machines/{uuid}": {"get"},
        "/api/v1/machines/{uuid}/operations": {"post"},
        "/api/v1/machines/{uuid}/saved-files": {"get"},
        "/api/v1/machines/{uuid}/console-tickets": {"post"},
        "/api/v1/machines/{uuid}/console-check": {"get"},
        "/api/v1/machines/{uuid}/consoles": {"get"},
        "/api/v1/machines/{uuid}/viewer-file": {"post"},
        "/api/v1/machines/{uuid}/picture": {"get"},
        "/api/v1/consoles/{session}/control": {"post"},
        "/api/v1/consoles/{session}/keep": {"post"},
        "/api/v1/consoles/{session}/typed": {"post"},
        "/api/v1/pictures": {"post"},
        "/api/v1/picture-streams/{session}": {"get"},
        "/api/v1/picture-streams/{session}/leave": {"post"},
        "/api/v1/operations": {"get"},
        "/api/v1/operations/{operation_id}": {"get"},
        "/api/v1/operations/{operation_id}/cancel": {"post"},
        "/api/v1/bulk-operations": {"post"},
        "/api/v1/bulk-operations/{bulk_id}": {"get"},
        "/api/v1/fleet": {"get"},
        "/api/v1/hosts": {"get"},
        "/api/v1/hosts/{host_id}/tests": {"post"},
        "/api/v1/hosts/{host_id}/tests/{test_id}": {"get"},
        "/api/v1/updates-tickets": {"post"},
        "/api/v1/machines/{uuid}/console-probe": {"post"},
        "/api/v1/machines/{uuid}/timeline": {"get"},
        "/api/v1/machines/{uuid}/access": {"get"},
        "/api/v1/audit": {"get"},
        "/api/v1/audit/export": {"get"},
        "/api/v1/audit/access": {"get"},
        "/api/v1/notices": {"get"},
        "/api/v1/notices/read": {"post"},
        "/api/v1/machines/{uuid}/grants": {"get", "post"},
        "/api/v1/machines/{uuid}/grants/{grant_id}/revoke": {"post"},
        "/api/v1/machines/{uuid}/links": {"get", "post"},
        "/api/v1/machines/{uuid}/links/{link_id}/revoke": {"post"},
        "/api/v1/share-links/take": {"post"},
        "/api/v1/machines/{uuid}/owner": {"post"},
        "/api/v1/machines/{uuid}/asks": {"post"},
        "/api/v1/asks": {"get"},
        "/api/v1/asks/{ask_id}/answer": {"post"},
        "/api/v1/asks/{ask_id}/withdraw": {"post"},
        "/api/v1/templates": {"get"},
        "/api/v1/requests": {"get", "post"},
        "/api/v1/requests/{request_id}": {"get"},
        "/api/v1/requests/{request_id}/answer": {"post"},
        "/api/v1/requests/{request_id}/withdraw": {"post"},
        "/api/v1/projects": {"get", "post"},
        "/api/v1/projects/{project_id}": {"get"},
        "/api/v1/projects/{project_id}/members": {"post"},
        "/api/v1/projects/{project_id}/members/{member_id}/remove": {"post"},
        "/api/v1/quota": {"get"},
        "/api/v1/assists": {"get"},
        "/api/v1/assists/{pk}": {"get"},
        "/api/v1/assists/{pk}/picture": {"get"},
        "/api/v1/assists/{pk}/messages": {"get", "post"},
        "/api/v1/machines/{uuid}/assists": {"post"},
        "/api/v1/machines/{uuid}/assist-offers": {"post"},
        "/api/v1/machines/{uuid}/break-glass": {"post"},
        **{
            f"/api/v1/assists/{{pk}}/{move}": {"post"}
            for move in ("take", "release", "accept", "decline", "withdraw", "join", "end")
        },
    }
    assert {path: set(methods) for path, methods in paths.items()} == expected


def test_every_address_of_the_api_needs_a_sign_in(db: None) -> None:
    for path, methods in api.get_openapi_schema()["paths"].items():
        for method in methods:
            address = re.sub(r"\{\w+_id\}", "1", path.replace("{uuid}", str(uuid.uuid4())))
            error_of(getattr(Client(), method)(address, content_type=JSON), 401, "unauthenticated")


# Hosts and tickets for updates


def test_admin_lists_hosts_with_their_machines_by_state(
    script_of: ClientOf, admin: User, make_machine: MakeMachine, machine: Machine
) -> None:
    make_machine("second")
    make_machine("third", state="saved")
    Host.objects.create(name="empty", uri="qemu:///system", last_error="It does not answer.")
    answer = script_of(admin).get(HOSTS).json()
    assert answer["total"] == 2
    assert answer["next"] is None
    empty, full = answer["items"]
    assert (empty["name"], empty["reachable"], empty["machines"]) == ("empty", False, {})
    assert empty["last_error"] == "It does not answer."
    assert (full["name"], full["reachable"], full["machines"]) == ("host-1", True, {"running": 2, "saved": 1})
    assert (full["uri"], full["cpus"], full["memory_bytes"]) == ("test:///default", 8, 16 * 2**30)


def test_listing_hosts_costs_no_query_for_each(
    client_of: ClientOf, admin: User, make_machine: MakeMachine, django_assert_num_queries
) -> None:
    for number in range(5):
        host = Host.objects.create(name=f"more-{number}", uri=f"qemu+ssh://h{number}/system")
        make_machine("one", host=host)
    client = client_of(admin)
    with django_assert_num_queries(4):
        client.get(HOSTS)


@pytest.mark.parametrize("role", ["owner", "viewer", "stranger", "helpdesk"])
def test_only_admins_list_hosts(script_of: ClientOf, role: str, request) -> None:
    error_of(script_of(request.getfixturevalue(role)).get(HOSTS), 403, "forbidden")


def test_staff_who_are_no_administrators_do_not_list_hosts(script_of: ClientOf, db: None) -> None:
    error_of(script_of(person("clerk", is_staff=True)).get(HOSTS), 403, "forbidden")


def test_script_gets_a_ticket_for_updates(script_of: ClientOf, owner: User, redis_server, settings) -> None:
    settings.PORTAL_URL = "https://vm.example.org"
    answer = script_of(owner).post(TICKETS)
    assert answer.status_code == 201
    assert answer.json()["url"] == "wss://vm.example.org/ws/updates/"
    assert len(answer.json()["ticket"]) >= 40


def test_ticket_while_redis_is_down_is_503(script_of: ClientOf, owner: User, dead_redis: None) -> None:
    error = error_of(script_of(owner).post(TICKETS), 503, "unavailable")
    assert "127.0.0.1" not in str(error)
