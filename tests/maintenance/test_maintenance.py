"""Maintenance: announced on every page, and nothing new begins while it says so, but for administrators."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from consoles.models import ConsoleSession
from lifecycle.models import Operation, Status
from machines.models import Machine
from maintenance.models import Level, Maintenance
from tests.cast import ClientOf, MakeMachine
from tests.consoles.test_tickets import ask as ask_tickets
from tests.lifecycle.pages import machine_url, messages, one, operation_url, page, text

ADD = "/admin/maintenance/maintenance/add/"
TEXT = "The storage is being moved."
Announce = Callable[..., Maintenance]


@pytest.fixture
def announce(db: None) -> Announce:
    """A function that lays down a maintenance, from `begins` to `ends` hours from now (None: open)."""

    def announce(
        level: Level = Level.CLOSED, *, begins: float = -1, ends: float | None = None, text: str = TEXT
    ) -> Maintenance:
        now = timezone.now()
        until = None if ends is None else now + timedelta(hours=ends)
        return Maintenance.objects.create(
            text=text, level=level, begins_at=now + timedelta(hours=begins), ends_at=until
        )

    return announce


def ask(client: Client, machine: Machine, operation: str = "suspend") -> Any:
    url = f"/api/v1/machines/{machine.uuid}/operations"
    return client.post(url, json.dumps({"operation": operation}), content_type="application/json")


def banner(client: Client, url: str = "/") -> str:
    """What the banner says; None-like empty text when it is hidden."""
    shown = one(page(client, url), "[data-maintenance]")
    assert ("hidden" in shown.attrib) == (not text(shown))
    return text(shown)


# What is refused


def test_page_api_and_bulk_refuse_an_operation_in_the_same_words(
    client_of: ClientOf, script_of: ClientOf, owner: User, machine: Machine, announce: Announce
) -> None:
    announce(ends=2)
    browser, script = client_of(owner), script_of(owner)
    answer = ask(script, machine)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (503, "maintenance")
    assert TEXT in error["message"]
    assert 7190 <= int(answer["Retry-After"]) <= 7200
    assert error["details"] == {"retry_after": int(answer["Retry-After"])}

    assert browser.post(operation_url(machine, "suspend")).status_code == 302
    assert error["message"] in messages(browser)
    asked = script.post(
        "/api/v1/bulk-operations",
        json.dumps({"operation": "suspend", "machines": [str(machine.uuid)]}),
        content_type="application/json",
    ).json()
    assert error["message"] in json.dumps(asked, ensure_ascii=False)
    button = one(page(browser, machine_url(machine)), 'main .operations > [data-operation="suspend"]')
    assert (button.get("aria-disabled"), button.get("title")) == ("true", error["message"])
    assert text(one(page(browser, machine_url(machine)), "[data-obstacle]")) == error["message"]
    assert script.get(f"/api/v1/machines/{machine.uuid}").json()["allowed_operations"] == []
    assert not Operation.objects.exists()


@pytest.mark.parametrize("protocol", ["vnc", "spice", "serial", "pictures"])
def test_no_console_is_opened(script_of: ClientOf, owner: User, machine: Machine, announce: Announce, protocol) -> None:
    Machine.objects.update(graphics=["vnc", "spice"], has_serial=True)
    announce()
    answer = ask_tickets(script_of(owner), machine, protocol=protocol, mode="view")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "maintenance")
    assert "Retry-After" not in answer.headers  # nobody knows when
    assert not ConsoleSession.objects.exists()


def test_no_file_for_virt_viewer_is_made(
    script_of: ClientOf, owner: User, machine: Machine, announce, settings
) -> None:
    settings.CONSOLE_VNC_PUBLIC = "portal.test:5999"
    announce()
    url = f"/api/v1/machines/{machine.uuid}/viewer-file"
    answer = script_of(owner).post(url, '{"protocol": "vnc"}', content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "maintenance")


def test_a_missing_right_is_still_told_first_and_a_stranger_learns_nothing(
    script_of: ClientOf, viewer: User, stranger: User, machine: Machine, announce: Announce
) -> None:
    announce()
    assert [ask(script_of(who), machine).status_code for who in (viewer, stranger)] == [403, 404]


def test_administrators_go_on_as_ever(script_of: ClientOf, admin: User, machine: Machine, announce: Announce) -> None:
    announce()
    script = script_of(admin)
    assert ask_tickets(script, machine).status_code == 201
    assert ask(script, machine).status_code == 202


def test_a_notice_stops_nobody(script_of: ClientOf, owner: User, machine: Machine, announce: Announce) -> None:
    announce(Level.NOTICE)
    script = script_of(owner)
    assert ask_tickets(script, machine).status_code == 201
    assert ask(script, machine).status_code == 202


def test_what_runs_goes_on_and_can_be_cancelled(
    script_of: ClientOf, owner: User, machine: Machine, announce: Announce
) -> None:
    open_one = Operation.objects.create(machine=machine, kind="save", requested_by=owner, status=Status.RUNNING)
    announce()
    script = script_of(owner)
    assert script.get(f"/api/v1/operations/{open_one.pk}").json()["status"] == "running"
    assert script.post(f"/api/v1/operations/{open_one.pk}/cancel").status_code == 202


def test_it_begins_and_ends_by_the_clock_alone(
    script_of: ClientOf, client_of: ClientOf, owner: User, machine: Machine, announce: Announce
) -> None:
    row = announce(begins=1, ends=2)
    now, script, browser = timezone.now(), script_of(owner), client_of(owner)

    def move(begins: int, ends: int) -> None:  # as time would; no signal, no task
        Maintenance.objects.filter(pk=row.pk).update(
            begins_at=now + timedelta(minutes=begins), ends_at=now + timedelta(minutes=ends)
        )

    seen = []
    for begins, ends in ((1, 2), (-1, 1), (-2, -1)):
        move(begins, ends)
        seen.append((ask(script, machine, "resume").json()["error"]["code"], banner(browser)))
    assert seen == [("state_conflict", ""), ("maintenance", TEXT), ("state_conflict", "")]


def test_of_several_the_one_that_lasts_longest_says_when(
    script_of: ClientOf, owner: User, machine: Machine, announce: Announce
) -> None:
    announce(ends=1, text="short")
    announce(ends=3, text="long")
    announce(Level.NOTICE, ends=9, text="only a notice")
    answer = ask(script_of(owner), machine)
    assert "long." in answer.json()["error"]["message"]
    assert int(answer["Retry-After"]) > 2 * 3600
    announce(text="open")
    assert "Retry-After" not in ask(script_of(owner), machine).headers


# What is shown


def test_every_page_shows_what_is_in_force_as_text(
    client_of: ClientOf, owner: User, admin: User, machine: Machine, announce: Announce
) -> None:
    announce(Level.NOTICE, text="Tonight <b>we</b> move.")
    announce(begins=1, text="Not yet.")
    announce(begins=-2, ends=-1, text="Over.")
    for url in ("/", machine_url(machine), machine_url(machine, "console/"), "/operations/", "/profile/"):
        assert banner(client_of(owner), url) == "Tonight <b>we</b> move."
    assert banner(client_of(admin), "/admin/") == "Tonight <b>we</b> move."
    told = json.loads(one(page(client_of(owner), "/"), "#maintenance").text)
    assert [notice["text"] for notice in told["notices"]] == ["Tonight <b>we</b> move.", "Not yet."]


def test_nothing_announced_is_no_banner(client_of: ClientOf, owner: User) -> None:
    assert banner(client_of(owner)) == ""


def test_who_is_not_signed_in_reads_nothing(client: Client, announce: Announce) -> None:
    announce()
    assert TEXT not in client.get("/login/").content.decode()


def test_it_costs_one_query_for_a_page_however_much_is_announced(
    client_of: ClientOf, owner: User, announce: Announce, django_assert_max_num_queries
) -> None:
    client = client_of(owner)
    client.get("/profile/")
    with CaptureQueriesContext(connection) as without:
        client.get("/profile/")
    for number in range(30):
        announce(text=f"notice {number}")
    with django_assert_max_num_queries(len(without)):
        client.get("/profile/")
    assert sum("maintenance" in query["sql"] for query in without.captured_queries) == 1


# In the admin


def form(**fields: str) -> dict[str, str]:
    return {"text": TEXT, "level": "closed", "begins_at_0": "2026-01-01", "begins_at_1": "10:00", **fields}


def test_an_administrator_announces_it_and_ends_it(
    client_of: ClientOf, owner: User, admin: User, make_machine: MakeMachine
) -> None:
    client, looking = client_of(admin), client_of(owner)
    assert client.post(ADD, form()).status_code == 302
    assert banner(looking) == TEXT
    row = Maintenance.objects.get()
    client.post("/admin/maintenance/maintenance/", {"action": "end_now", "_selected_action": [row.pk]})
    assert banner(looking) == ""
    assert "when=over" in client.get("/admin/maintenance/maintenance/").content.decode()


def test_an_end_before_the_beginning_is_refused(client_of: ClientOf, admin: User) -> None:
    answer = client_of(admin).post(ADD, form(ends_at_0="2026-01-01", ends_at_1="09:00"))
    assert "It ends before it begins." in answer.content.decode()
    assert not Maintenance.objects.exists()


@pytest.mark.parametrize(("when", "found"), [("now", "now"), ("later", "later"), ("over", "over")])
def test_the_list_is_filtered_by_when(
    client_of: ClientOf, admin: User, announce: Announce, when: str, found: str
) -> None:
    announce(text="it is now")
    announce(begins=1, text="it is later")
    announce(begins=-2, ends=-1, text="it is over")
    listed = page(client_of(admin), f"/admin/maintenance/maintenance/?when={when}").cssselect(
        "#result_list .field-text"
    )
    assert [text(cell) for cell in listed] == [f"it is {found}"]
