"""The list of machines as text: names or UUIDs to copy, and files to download."""

from __future__ import annotations

import csv
import io
import uuid
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import AsyncClient
from lxml.html import HtmlElement

from hypervisor.states import State
from lifecycle.names import COLUMNS, Field, csv_lines, text_lines
from machines.downloads import BOM, ROWS
from machines.listing import Filters
from machines.models import Host, Machine
from people.models import ApiToken
from tests.cast import ClientOf, MakeMachine
from tests.lifecycle.pages import one, page, text

PAGE = "/machines/names/"
API = "/api/v1/machines/names"


@pytest.fixture
def three(make_machine: MakeMachine, owner: User) -> list[Machine]:
    """Three of owner, in the order of their names, and one of nobody."""
    make_machine("nobodys")
    return [
        make_machine("alpha", owner=owner, state=State.SHUTOFF),
        make_machine("beta", owner=owner, title="Build, and test"),
        make_machine("gamma", owner=owner),
    ]


def shown(tree: HtmlElement) -> list[str]:
    return one(tree, "pre#names").text_content().splitlines()


def fetched(person: User, url: str, *, script: bool = False) -> tuple[Any, str]:
    """Fetch a file as daphne serves it; return the answer and what it holds."""
    client = AsyncClient()

    async def fetch() -> tuple[Any, str]:
        answer = await client.get(url, headers=headers)
        parts = [part async for part in answer] if answer.streaming else [answer.content]
        return answer, b"".join(parts).decode()

    headers = {"Authorization": f"Bearer {ApiToken.make(person.pk, 'test')[1]}"} if script else {}
    if not script:
        client.force_login(person)
    return async_to_sync(fetch)()


def table(content: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content)))


# The page


def test_the_page_shows_names_uuids_or_both(client_of: ClientOf, owner: User, three: list[Machine]) -> None:
    client = client_of(owner)
    assert shown(page(client, PAGE)) == ["alpha", "beta", "gamma"]
    assert shown(page(client, f"{PAGE}?field=uuid")) == [str(machine.pk) for machine in three]
    assert shown(page(client, f"{PAGE}?field=both")) == [f"{machine.pk}\t{machine.name}" for machine in three]


def test_the_list_leads_there_with_its_filters_and_back(client_of: ClientOf, owner: User, three: list[Machine]) -> None:
    client = client_of(owner)
    link = one(page(client, "/?state=running&sort=-name&limit=1"), ".pager-names").get("href")
    tree = page(client, link)
    assert shown(tree) == ["gamma", "beta"]
    assert text(one(tree, "h1")) == "2 machines"
    assert text(one(tree, ".chip")) == "running"
    assert shown(page(client, f"{PAGE}{one(tree, '.chip').get('href')}")) == ["gamma", "beta", "alpha"]
    back = one(tree, ".crumbs a").get("href")
    assert "state=running" in back and "sort=-name" in back
    fields = {field.get("name"): field.get("value") for field in tree.cssselect("form[method=get] input")}
    assert fields == {"state": "running", "sort": "-name"}


def test_the_text_can_be_copied_and_is_only_read(client_of: ClientOf, owner: User, three: list[Machine]) -> None:
    tree = page(client_of(owner), PAGE)
    assert one(tree, "[data-copy='#names']").get("hidden") is not None  # a script shows it
    assert one(tree, "pre#names").get("tabindex") == "0"
    assert [link.get("href") for link in tree.cssselect("a[download]")] == ["?download=text", "?download=csv"]


def test_a_name_is_text_and_never_markup(client_of: ClientOf, owner: User, make_machine: MakeMachine) -> None:
    make_machine("<script>alert(1)</script>", owner=owner)
    tree = page(client_of(owner), PAGE)
    assert shown(tree) == ["<script>alert(1)</script>"]
    assert not tree.cssselect("pre script")


def test_strangers_find_nothing_and_nobody_logs_in_first(
    client: Any, client_of: ClientOf, stranger: User, three: list[Machine]
) -> None:
    assert "No machine matches" in text(one(page(client_of(stranger), PAGE), ".empty"))
    assert fetched(stranger, f"{PAGE}?download=text")[1] == ""
    assert len(table(fetched(stranger, f"{API}?format=csv", script=True)[1])) == 0
    assert client.get(PAGE).status_code == 302
    assert client.get(API).status_code == 401
    assert client_of(stranger).post(PAGE).status_code == 405


@pytest.mark.parametrize("query", ["field=colour", "state=runing", "download=pdf"])
def test_what_the_page_does_not_know_is_said(client_of: ClientOf, owner: User, query: str) -> None:
    assert "may be" in text(one(page(client_of(owner), f"{PAGE}?{query}", 400), ".empty"))


# The files


def test_the_files_hold_every_machine_that_matches(owner: User, three: list[Machine]) -> None:
    answer, content = fetched(owner, f"{PAGE}?download=text&field=both&state=running&limit=1")
    assert content.splitlines() == [f"{machine.pk}\t{machine.name}" for machine in three[1:]]
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="machines-')
    assert "no-store" in answer["Cache-Control"]
    answer, content = fetched(owner, f"{PAGE}?download=csv")
    assert content.startswith(BOM)  # for spreadsheets
    assert [row["name"] for row in table(content.removeprefix(BOM))] == ["alpha", "beta", "gamma"]
    assert answer["Content-Type"] == "text/csv; charset=utf-8"


def test_the_table_has_what_the_list_has(owner: User, make_machine: MakeMachine) -> None:
    addresses = [{"address": "10.0.0.7"}, {"address": "fe80::1"}]
    machine = make_machine(
        "web", owner=owner, title='Say "hi", all', addresses=addresses, autostart=True, snapshot_count=2
    )
    (row,) = table("".join(csv_lines(owner, Filters())))
    assert list(row) == list(COLUMNS)
    assert row == {
        "uuid": str(machine.pk),
        "name": "web",
        "title": 'Say "hi", all',
        "state": "running",
        "state_reason": "booted",
        "since": machine.state_since.isoformat(timespec="seconds"),
        "host": "host-1",
        "owner": "owner",
        "vcpus": "1",
        "memory_bytes": str(512 * 2**20),
        "disk_bytes": "0",
        "addresses": "10.0.0.7 fe80::1",
        "persistent": "1",
        "autostart": "1",
        "has_saved_image": "0",
        "snapshot_count": "2",
    }


@pytest.mark.parametrize("hostile", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x")'])
def test_no_cell_is_a_formula(owner: User, make_machine: MakeMachine, hostile: str) -> None:
    make_machine(hostile, owner=owner, title=hostile, addresses=[{"address": hostile}])
    (row,) = csv.DictReader(io.StringIO("".join(csv_lines(owner, Filters())), newline=""))
    assert row["name"] == row["title"] == row["addresses"] == f"'{hostile}"


def test_one_machine_is_one_line_whatever_its_name(owner: User, make_machine: MakeMachine) -> None:
    make_machine("two\nlines", owner=owner)
    assert list(text_lines(owner, Filters(), Field.NAME)) == ["two lines\n"]


def test_ten_thousand_machines_are_one_query(
    admin: User, host: Host, django_assert_num_queries: Any, owner: User
) -> None:
    Machine.objects.bulk_create(
        [Machine(uuid=uuid.uuid4(), name=f"m{number:05}", host=host, state="shutoff") for number in range(10_000)]
    )
    with django_assert_num_queries(1):
        lines = list(text_lines(admin, Filters(), Field.NAME))
    assert (len(lines), lines[0], lines[-1]) == (10_000, "m00000\n", "m09999\n")
    with django_assert_num_queries(1):
        assert len(list(csv_lines(admin, Filters.parse(QueryDict("sort=-name"))))) == 10_001
    answer, content = fetched(admin, f"{API}?format=text", script=True)
    assert (answer.streaming, len(content.splitlines())) == (True, 10_000)
    assert len(content.splitlines()) > ROWS


# The API


def test_a_script_gets_names_uuids_or_a_table(owner: User, three: list[Machine]) -> None:
    assert fetched(owner, f"{API}?format=text", script=True)[1] == "alpha\nbeta\ngamma\n"
    uuids = fetched(owner, f"{API}?format=text&field=uuid&state=shutoff", script=True)[1]
    assert uuids == f"{three[0].pk}\n"
    answer, content = fetched(owner, f"{API}?format=csv&sort=-name&q=a", script=True)
    assert [row["name"] for row in table(content)] == ["gamma", "beta", "alpha"]  # and no BOM before the first column
    assert "Content-Length" not in answer


@pytest.mark.parametrize("query", ["format=pdf", "field=colour", "state=runing", "autostart=perhaps"])
def test_what_a_script_asks_wrongly_is_named(owner: User, three: list[Machine], query: str) -> None:
    answer, content = fetched(owner, f"{API}?{query}", script=True)
    assert (answer.status_code, "bad_filter" in content) == (400, True)


def test_a_machine_is_still_found_by_its_uuid(client_of: ClientOf, owner: User, three: list[Machine]) -> None:
    assert client_of(owner).get(f"/api/v1/machines/{three[0].pk}").json()["name"] == "alpha"
    assert page(client_of(owner), three[0].get_absolute_url()) is not None
