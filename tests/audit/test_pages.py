"""The trail's pages, API and exports: who may read what, filters, pages of the list, files."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import sealing, trail
from audit.asking import Asker
from audit.models import Entry, Via
from audit.page import LENGTH
from machines.downloads import BOM
from machines.models import Grant, GrantRole, Machine
from tests.cast import ClientOf, MakeMachine

pytestmark = pytest.mark.django_db

PAGES = ["/audit/", "/audit/export/", "/audit/access/"]
CALLS = ["/api/v1/audit", "/api/v1/audit/export", "/api/v1/audit/access?machine=machine&at=2026-11-26T10:00"]


@pytest.fixture
def happenings(owner: User, viewer: User, machine: Machine, make_machine: MakeMachine) -> None:
    """Five entries beside those that the cast itself left, which are removed from sight by their kinds."""
    other = make_machine("other")
    here, there = Asker(via=Via.PAGE, address="192.0.2.1"), Asker(via=Via.TOKEN, address="192.0.2.2")
    long_ago = timezone.now() - timedelta(days=40)
    trail.record("operation.asked", machine, who=owner, by=here, kind="start", operation=1)
    trail.record("operation.ended", machine, kind="start", operation=1, status="succeeded")
    trail.record("operation.asked", other, who=viewer, by=there, kind="save", operation=2)
    trail.record("console.opened", machine, who=viewer, by=there, protocol="vnc", mode="view", session="x")
    trail.record("login.failed", who=owner, by=there, at=long_ago)


def kinds(client: Client, query: str) -> list[str]:
    answer = client.get(f"/api/v1/audit?{query}")
    assert answer.status_code == 200, answer.content
    return [item["kind"] for item in answer.json()["items"]]


def body(answer: Any) -> str:
    async def read() -> bytes:
        return b"".join([part async for part in answer])

    return async_to_sync(read)().decode()


# Who may read


@pytest.mark.parametrize("role", ["owner", "viewer", "stranger", "helpdesk"])
@pytest.mark.parametrize("address", PAGES + CALLS)
def test_trail_does_not_exist_but_for_administrators(
    client_of: ClientOf, machine: Machine, role: str, address: str, request
) -> None:
    assert client_of(request.getfixturevalue(role)).get(address).status_code == 404


@pytest.mark.parametrize("address", PAGES)
def test_anonymous_is_sent_to_sign_in(client: Client, address: str) -> None:
    assert client.get(address)["Location"].startswith("/login/?next=")


@pytest.mark.parametrize("address", CALLS)
def test_anonymous_script_is_refused(client: Client, address: str) -> None:
    assert client.get(address).status_code == 401


@pytest.mark.parametrize("address", PAGES)
def test_trail_cannot_be_posted_to(client_of: ClientOf, admin: User, address: str) -> None:
    assert client_of(admin).post(address).status_code == 405


@pytest.mark.parametrize(("role", "status"), [("stranger", 404), ("viewer", 403), ("helpdesk", 403), ("owner", 200)])
@pytest.mark.parametrize("address", ["/machines/{}/timeline/", "/api/v1/machines/{}/timeline"])
def test_timeline_is_for_owners(
    client_of: ClientOf, machine: Machine, address: str, role: str, status: int, request
) -> None:
    assert client_of(request.getfixturevalue(role)).get(address.format(machine.uuid)).status_code == status


@pytest.mark.parametrize(("role", "status"), [("stranger", 404), ("viewer", 403), ("helpdesk", 403), ("owner", 200)])
def test_who_could_see_it_is_for_owners(client_of: ClientOf, machine: Machine, role: str, status: int, request) -> None:
    address = f"/api/v1/machines/{machine.uuid}/access?at=2026-11-26T10:00"
    assert client_of(request.getfixturevalue(role)).get(address).status_code == status


def test_only_owners_have_the_tab_and_only_administrators_the_page(
    client_of: ClientOf, owner: User, viewer: User, admin: User, machine: Machine
) -> None:
    page = f"/machines/{machine.uuid}/"
    assert "timeline/" in client_of(owner).get(page).content.decode()
    assert "timeline/" not in client_of(viewer).get(page).content.decode()
    assert 'href="/audit/"' in client_of(admin).get(page).content.decode()
    assert 'href="/audit/"' not in client_of(owner).get(page).content.decode()


# The page


def test_page_shows_what_happened(client_of: ClientOf, admin: User, happenings: None) -> None:
    sealing.seal_all()
    page = client_of(admin).get("/audit/").content.decode()
    for words in ("operation asked", "console opened", "192.0.2.1", "Start · succeeded", "Sealed up to batch 1"):
        assert words in page


def test_page_shows_hostile_text_as_text(client_of: ClientOf, admin: User, make_machine: MakeMachine) -> None:
    trail.record("host.changed", make_machine("<script>alert(1)</script>"), words="<b>bold</b>")
    page = client_of(admin).get("/audit/").content.decode()
    assert "<script>alert(1)" not in page
    assert "<b>bold" not in page


def test_pages_of_the_list_have_every_entry_once(client_of: ClientOf, admin: User) -> None:
    client = client_of(admin)
    for number in range(LENGTH * 2 + 7):
        trail.record("host.changed", id=number)
    seen: list[int] = []
    address: str | None = "?kind=host"
    while address:
        page = client.get(f"/audit/{address}").context["trail"]
        seen += [line.entry.detail["id"] for line in page.rows]
        address = page.next
    assert seen == list(reversed(range(LENGTH * 2 + 7)))


def test_page_costs_no_query_for_each_entry(client_of: ClientOf, admin: User, happenings: None) -> None:
    client = client_of(admin)

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/audit/").status_code == 200
        return len(queries)

    few = cost()
    for number in range(50):
        trail.record("host.changed", id=number)
    assert cost() == few


def test_page_of_a_later_place_stays_when_entries_come(client_of: ClientOf, admin: User) -> None:
    client = client_of(admin)
    for number in range(LENGTH + 5):
        trail.record("host.changed", id=number)
    older = client.get("/audit/?kind=host").context["trail"].next
    before = [line.entry.pk for line in client.get(f"/audit/{older}").context["trail"].rows]
    trail.record("host.changed")
    assert [line.entry.pk for line in client.get(f"/audit/{older}").context["trail"].rows] == before


# Filters


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("who=owner&kind=operation", ["operation.asked"]),
        ("who=owner&kind=login.failed", ["login.failed"]),
        ("who=nobody", []),
        ("kind=operation", ["operation.asked", "operation.ended", "operation.asked"]),
        ("kind=operation.ended&kind=console", ["console.opened", "operation.ended"]),
        ("kind=operation&machine=other", ["operation.asked"]),
        ("machine=gone", []),
        ("address=192.0.2.1", ["operation.asked"]),
        ("address=192.0.2.2", ["login.failed", "console.opened", "operation.asked"]),
        ("address=192.0.2.2&last=1h", ["console.opened", "operation.asked"]),
        ("address=192.0.2.2&since=2000-01-01&until=2999-01-01", ["login.failed", "console.opened", "operation.asked"]),
        ("address=192.0.2.2&until=2001-01-01", []),
    ],
)
def test_entries_are_filtered(
    client_of: ClientOf, admin: User, happenings: None, query: str, expected: list[str]
) -> None:
    client = client_of(admin)
    assert kinds(client, query) == expected
    page = client.get(f"/audit/?{query}").context["trail"]
    assert [line.entry.kind for line in page.rows] == expected


def test_entries_of_a_time_are_found(client_of: ClientOf, admin: User, happenings: None) -> None:
    day = timezone.localdate() - timedelta(days=40)
    assert kinds(client_of(admin), f"since={day}&until={day}") == ["login.failed"]


def test_machine_is_found_by_uuid_and_after_it_is_gone(
    client_of: ClientOf, admin: User, machine: Machine, happenings: None
) -> None:
    client, uuid = client_of(admin), machine.uuid
    by_uuid = kinds(client, f"machine={uuid}&kind=operation")
    assert by_uuid == kinds(client, "machine=machine&kind=operation") == ["operation.ended", "operation.asked"]
    machine.delete()
    assert kinds(client, "machine=machine&kind=operation") == by_uuid


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("kind=nonsense", "kind"),
        ("address=nowhere", "address"),
        ("since=yesterday", "since"),
        ("last=5y", "last"),
        ("who=" + "x" * 300, "who"),
    ],
)
def test_bad_filter_is_refused_and_named(client_of: ClientOf, admin: User, query: str, parameter: str) -> None:
    client = client_of(admin)
    refused = client.get(f"/api/v1/audit?{query}")
    assert refused.status_code == 400
    assert refused.json()["error"]["details"]["parameter"] == parameter
    assert client.get(f"/audit/?{query}").status_code == 400
    assert client.get(f"/audit/export/?{query}").status_code == 400


@pytest.mark.parametrize("place", ["x", "-1", "1" * 30, "1.5"])
def test_place_that_is_none_is_refused(client_of: ClientOf, admin: User, place: str) -> None:
    client = client_of(admin)
    assert client.get(f"/audit/?before={place}").status_code == 400
    assert client.get(f"/api/v1/audit?cursor={place}").status_code == 400


# API


def test_api_gives_pages_with_a_cursor(client_of: ClientOf, admin: User, happenings: None) -> None:
    client = client_of(admin)
    first = client.get("/api/v1/audit?kind=operation&limit=2").json()
    second = client.get(f"/api/v1/audit?kind=operation&limit=2&cursor={first['next']}").json()
    assert (len(first["items"]), len(second["items"]), second["next"]) == (2, 1, None)
    assert first["items"][0]["id"] > second["items"][0]["id"]


def test_api_gives_everything_of_an_entry(
    client_of: ClientOf, admin: User, owner: User, machine: Machine, happenings: None
) -> None:
    sealing.seal_all()
    (item,) = client_of(admin).get("/api/v1/audit?address=192.0.2.1").json()["items"]
    assert (item["who"], item["who_id"], item["via"], item["address"]) == ("owner", owner.pk, "page", "192.0.2.1")
    assert (item["machine"], item["machine_name"], item["batch"]) == (str(machine.uuid), "machine", 1)
    assert (item["what"], item["told"]) == ("operation asked", "Start")
    assert item["detail"] == {"kind": "start", "operation": 1}


# Exports


def test_csv_has_every_entry_that_matches(client_of: ClientOf, admin: User, happenings: None) -> None:
    answer = client_of(admin).get("/audit/export/?format=csv&kind=operation")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer["Content-Disposition"]
    content = body(answer)
    assert content.startswith(BOM)
    rows = list(csv.DictReader(io.StringIO(content.removeprefix(BOM))))
    assert [row["kind"] for row in rows] == ["operation.asked", "operation.ended", "operation.asked"]
    assert rows[2]["address"] == "192.0.2.1"


@pytest.mark.parametrize("hostile", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "=cmd|' /C calc'!A0"])
def test_no_cell_is_a_formula(client_of: ClientOf, admin: User, make_machine: MakeMachine, hostile: str) -> None:
    trail.record("host.changed", make_machine(hostile))
    content = body(client_of(admin).get("/api/v1/audit/export?format=csv&kind=host.changed"))
    assert not content.startswith(BOM)
    (row,) = csv.DictReader(io.StringIO(content))
    assert row["machine_name"] == f"'{hostile}"


def test_json_has_every_entry_with_its_detail(client_of: ClientOf, admin: User, happenings: None) -> None:
    answer = client_of(admin).get("/api/v1/audit/export?format=json&kind=operation")
    assert answer["Content-Type"] == "application/json"
    found = json.loads(body(answer))
    assert [entry["kind"] for entry in found] == ["operation.asked", "operation.ended", "operation.asked"]
    assert found[1]["detail"]["status"] == "succeeded"


def test_json_of_nothing_is_json(client_of: ClientOf, admin: User) -> None:
    assert json.loads(body(client_of(admin).get("/audit/export/?format=json&who=nobody"))) == []


def test_export_itself_is_kept(client_of: ClientOf, admin: User, happenings: None) -> None:
    client_of(admin).get("/audit/export/?format=json")
    entry = Entry.objects.get(kind="audit.exported")
    assert (entry.who, entry.detail) == ("admin", {"format": "json"})


@pytest.mark.parametrize("address", ["/audit/export/?format=xml", "/api/v1/audit/export?format=xml"])
def test_unknown_format_is_refused(client_of: ClientOf, admin: User, address: str) -> None:
    assert client_of(admin).get(address).status_code == 400


def test_export_is_sent_while_it_is_read(client_of: ClientOf, admin: User) -> None:
    for number in range(2500):
        Entry.objects.bulk_create([Entry(kind="host.changed", detail={"id": number})])
    with CaptureQueriesContext(connection) as queries:
        content = body(client_of(admin).get("/audit/export/?format=csv&kind=host"))
    assert len(content.splitlines()) == 2501
    assert len([query for query in queries if 'FROM "audit_entry"' in query["sql"]]) == 1


# A machine's timeline


def test_owner_sees_what_happened_and_by_whom_but_not_from_where(
    client_of: ClientOf, owner: User, machine: Machine, happenings: None
) -> None:
    page = client_of(owner).get(f"/machines/{machine.uuid}/timeline/").content.decode()
    assert "operation asked" in page
    assert "console opened" in page
    assert "viewer" in page
    assert "192.0.2." not in page
    answer = client_of(owner).get(f"/api/v1/machines/{machine.uuid}/timeline?kind=operation&kind=console")
    found = answer.json()["items"]
    assert [item["kind"] for item in found] == ["console.opened", "operation.ended", "operation.asked"]
    assert set(found[0]) == {"id", "at", "kind", "what", "who", "told"}
    assert "192.0.2." not in answer.content.decode()


def test_timeline_has_nothing_of_other_machines(
    client_of: ClientOf, owner: User, machine: Machine, happenings: None
) -> None:
    client = client_of(owner)
    for query in ("", "?machine=other", "?who=viewer"):
        rows = client.get(f"/machines/{machine.uuid}/timeline/{query}").context["trail"].rows
        assert {line.entry.machine for line in rows} == {machine.uuid}
        items = client.get(f"/api/v1/machines/{machine.uuid}/timeline{query}").json()["items"]
        assert "save" not in str(items).lower()


def test_owner_cannot_search_by_address(client_of: ClientOf, owner: User, machine: Machine, happenings: None) -> None:
    """Guessing addresses would tell where people were."""
    client = client_of(owner)
    everything = client.get(f"/api/v1/machines/{machine.uuid}/timeline").json()
    assert client.get(f"/api/v1/machines/{machine.uuid}/timeline?address=192.0.2.1").json() == everything


def test_timeline_says_who_could_see_it_then(
    client_of: ClientOf, owner: User, stranger: User, machine: Machine
) -> None:
    Grant.objects.create(machine=machine, user=stranger, role=GrantRole.OPERATOR).delete()
    at = timezone.now().strftime("%Y-%m-%dT%H:%M:%S")
    page = client_of(owner).get(f"/machines/{machine.uuid}/timeline/?at=2999-01-01T10:00").content.decode()
    assert 'data-holder="owner" data-right="owner"' in page
    assert 'data-holder="viewer" data-right="viewer"' in page
    assert 'data-holder="stranger"' not in page
    early = client_of(owner).get(f"/machines/{machine.uuid}/timeline/?at=2001-01-01T10:00").content.decode()
    assert "reaches back to" in early
    assert client_of(owner).get(f"/machines/{machine.uuid}/timeline/?at=never").status_code == 400
    answer = client_of(owner).get(f"/api/v1/machines/{machine.uuid}/access?at={at}.999999").json()
    assert {"user": "viewer", "right": "viewer", "through": ["grant as viewer"]} in answer["holders"]


def test_administrator_asks_about_a_machine_that_is_gone(client_of: ClientOf, admin: User, machine: Machine) -> None:
    then = timezone.now().isoformat()
    machine.delete()
    client = client_of(admin)
    answer = client.get("/api/v1/audit/access", {"machine": "machine", "at": then}).json()
    assert [(one["user"], one["right"]) for one in answer["holders"]] == [
        ("admin", "admin"),
        ("owner", "owner"),
        ("viewer", "viewer"),
    ]
    page = client.get("/audit/access/", {"machine": "machine", "at": then}).content.decode()
    assert 'data-holder="owner"' in page
    assert client.get("/audit/access/", {"machine": "never", "at": then}).status_code == 400
    assert client.get("/audit/access/").status_code == 200


# Django admin


@pytest.mark.parametrize("model", ["entry", "batch", "checkpoint"])
def test_trail_is_read_only_in_the_admin(client_of: ClientOf, admin: User, happenings: None, model: str) -> None:
    sealing.seal_all()
    client = client_of(admin)
    assert client.get(f"/admin/audit/{model}/").status_code == 200
    assert client.get(f"/admin/audit/{model}/add/").status_code == 403
    if model != "checkpoint":
        pk = Entry.objects.first().pk if model == "entry" else 1
        assert client.get(f"/admin/audit/{model}/{pk}/change/").status_code == 200
        assert client.post(f"/admin/audit/{model}/{pk}/change/", {}).status_code == 403
        assert client.post(f"/admin/audit/{model}/{pk}/delete/", {"post": "yes"}).status_code == 403
