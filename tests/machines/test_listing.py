"""The list of machines: what is in it, in which order, and that its pages never lose or repeat a row."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypervisor.states import State
from machines import listing
from machines.listing import SORTS, Filters
from machines.models import Grant, GrantRole, Host, Machine
from machines.refused import Refused
from tests.cast import MakeMachine

Names = Callable[..., list[str]]

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def names(admin: User) -> Names:
    """A function that gives the names on the page of a query string, to the administrator or to someone else."""

    def names(query: str = "", person: User | None = None) -> list[str]:
        found = listing.page(person or admin, Filters.parse(QueryDict(query)))
        return [machine.name for machine in found.items]

    return names


@pytest.fixture
def fleet(make_machine: MakeMachine, owner: User, viewer: User) -> list[Machine]:
    """Machines with ties and nulls in every column that a list may be sorted by."""
    other = Host.objects.create(name="host-2", uri="test:///second", reachable=True)
    first = Host.objects.get(name="host-1")
    owners, hosts, states = [owner, None, viewer], [first, other], [State.RUNNING, State.SHUTOFF, State.SAVED]
    return [
        make_machine(
            f"m{number % 5}",
            owner=owners[number % 3],
            host=hosts[number % 2],
            state=states[number % 3],
            state_since=NOON + timedelta(minutes=number % 4),
            memory_bytes=(number % 3) * 2**30,
        )
        for number in range(23)
    ]


def walk(person: User, query: str, *, back: bool = False) -> list[list[Machine]]:
    """Read all pages of a query, from the first to the last, or from the last back to the first."""
    pages, cursor = [], ""
    while True:
        found = listing.page(person, Filters.parse(QueryDict(f"{query}&cursor={cursor}")))
        pages.append(list(found.items))
        if not (cursor := found.next_cursor or ""):
            break
    if not back:
        return pages
    pages = [list(found.items)]
    while found.previous_cursor:
        found = listing.page(person, Filters.parse(QueryDict(f"{query}&cursor={found.previous_cursor}")))
        pages.append(list(found.items))
    return pages[::-1]


def test_people_see_what_they_own_and_what_is_shared_with_them(
    names: Names, machine: Machine, make_machine: MakeMachine, owner: User, viewer: User, stranger: User
) -> None:
    make_machine("theirs", owner=stranger)
    group = Group.objects.create(name="lab")
    owner.groups.add(group)
    Grant.objects.create(machine=make_machine("shared"), group=group, role=GrantRole.OPERATOR)
    assert names("", owner) == ["machine", "shared"]
    assert names("", viewer) == ["machine"]
    assert names("", stranger) == ["theirs"]


def test_a_machine_shared_twice_is_listed_once(machine: Machine, viewer: User, names: Names) -> None:
    group = Group.objects.create(name="lab")
    viewer.groups.add(group)
    Grant.objects.create(machine=machine, group=group, role=GrantRole.OWNER)
    assert names("", viewer) == ["machine"]


def test_helpdesk_and_administrators_see_every_machine(
    names: Names, machine: Machine, make_machine: MakeMachine, helpdesk: User, admin: User
) -> None:
    make_machine("nobodys")
    assert names("", helpdesk) == names("", admin) == ["machine", "nobodys"]


def test_nobody_in_particular_sees_nothing(machine: Machine) -> None:
    assert listing.page(AnonymousUser(), Filters()).total == 0


def test_disabled_people_see_nothing(machine: Machine, owner: User, names: Names) -> None:
    owner.is_active = False
    assert names("", owner) == []


def test_running_includes_idle_but_idle_does_not_include_running(names: Names, make_machine: MakeMachine) -> None:
    make_machine("busy", state=State.RUNNING)
    make_machine("quiet", state=State.IDLE)
    make_machine("off", state=State.SHUTOFF)
    assert names("state=running") == ["busy", "quiet"]
    assert names("state=idle") == ["quiet"]
    assert names("state=idle&state=shutoff") == ["off", "quiet"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=web", ["web-1"]),
        ("q=WEB", ["web-1"]),
        ("q=bench", ["db-1"]),
        ("q=owner", ["web-1"]),
        ("q=10.0.0.7", ["web-1"]),
        ("q=2001:db8", ["db-1"]),
        ("q=192.168", []),
        ("q=mac", []),
        ("q=interface", []),
        ("q=web+10.0.0.7", ["web-1"]),
        ("q=web+bench", []),
        ("q=8f1c2c1e-6a0e", ["db-1"]),
        ("q=8F1C2C1E6A0E", ["db-1"]),
        ("q=8f1c2c1e-6a0e-4b3c-9c61-0c7e5c5c9f10", ["db-1"]),
        ("q=%25", []),
        ("q=_eb", []),
        ("q=%00web", ["web-1"]),
    ],
)
def test_search_looks_where_people_would(
    names: Names, make_machine: MakeMachine, owner: User, query: str, expected: list[str]
) -> None:
    entry = {"interface": "eth0", "mac": "52:54:00:00:00:01", "prefix": 24}
    make_machine("web-1", owner=owner, addresses=[entry | {"address": "10.0.0.7"}])
    make_machine(
        "db-1",
        title="Test bench",
        uuid="8f1c2c1e-6a0e-4b3c-9c61-0c7e5c5c9f10",
        addresses=[entry | {"address": "2001:db8::7"}],
    )
    assert names(query) == expected


def test_owner_host_and_facts_narrow_the_list(names: Names, fleet: list[Machine], make_machine: MakeMachine) -> None:
    make_machine("special", autostart=True, persistent=False, has_saved_image=True, snapshot_count=2)
    assert names("has_snapshot=1") == names("has_saved_image=true") == ["special"]
    assert names("autostart=yes") == names("persistent=0") == ["special"]
    assert "special" not in names("has_snapshot=0") + names("autostart=no") + names("persistent=1")
    assert set(names("host=host-2")) == {machine.name for machine in fleet if machine.host.name == "host-2"}
    assert len(names("owner=viewer")) == 7
    assert len(names("owner=-")) == 9
    assert names("owner=no-such-person") == names("host=no-such-host") == []


@pytest.mark.parametrize(
    "query",
    [
        "state=runing",
        "sort=colour",
        "sort=--name",
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=all",
        "limit=%D9%A1",
        "autostart=perhaps",
        f"q={'x' * 201}",
        "cursor=nonsense",
        "cursor=e30",
        "cursor=%FF",
        f"cursor={base64.urlsafe_b64encode(json.dumps(['name', 1, 'a', '0' * 32, 0]).encode()).decode()}",
        f"cursor={base64.urlsafe_b64encode(json.dumps(['since', 'x', 'a', '0' * 32, 0]).encode()).decode()}&sort=since",
        f"cursor={base64.urlsafe_b64encode(b'[' * 5000).decode()}",
    ],
)
def test_bad_filters_are_refused_by_name(query: str) -> None:
    with pytest.raises(Refused) as refused:
        Filters.parse(QueryDict(query))
    assert (refused.value.code, refused.value.status) == ("bad_filter", 400)
    assert refused.value.details["parameter"] == query.split("=")[0]


def test_empty_filters_are_none() -> None:
    query = "&".join(f"{name}=" for name in ("state", "q", "owner", "host", "sort", "limit", "cursor", *listing.FLAGS))
    assert Filters.parse(QueryDict(query)) == Filters()
    assert not Filters.parse(QueryDict(query)).narrowed


def test_a_cursor_of_another_order_is_refused(fleet: list[Machine], admin: User) -> None:
    cursor = listing.page(admin, Filters.parse(QueryDict("limit=2"))).next_cursor
    with pytest.raises(Refused):
        Filters.parse(QueryDict(f"sort=since&cursor={cursor}"))


@pytest.mark.parametrize("sort", [*SORTS, *(f"-{name}" for name in SORTS)])
@pytest.mark.parametrize("limit", [1, 4, 23, 50])
def test_pages_hold_every_row_once_in_every_order(fleet: list[Machine], admin: User, sort: str, limit: int) -> None:
    forwards = walk(admin, f"sort={sort}&limit={limit}")
    backwards = walk(admin, f"sort={sort}&limit={limit}", back=True)
    rows = [machine for page in forwards for machine in page]
    assert len(rows) == len({machine.uuid for machine in rows}) == len(fleet)
    assert [machine.uuid for page in backwards for machine in page][-len(rows) :] == [machine.uuid for machine in rows]
    keys = [_key(machine, sort) for machine in rows]
    assert keys == sorted(keys, reverse=sort.startswith("-"))


def _key(machine: Machine, sort: str) -> object:
    return {
        "name": machine.name,
        "state": machine.state,
        "since": machine.state_since,
        "owner": machine.owner.username if machine.owner else "",
        "host": machine.host.name,
        "memory": machine.memory_bytes,
    }[sort.removeprefix("-")]


def test_ties_go_by_name_then_uuid_whichever_way_the_order_runs(fleet: list[Machine], admin: User) -> None:
    found = listing.page(admin, Filters.parse(QueryDict("sort=-memory"))).items
    assert list(found) == sorted(found, key=lambda machine: (-machine.memory_bytes, machine.name, machine.uuid.hex))


def test_the_first_page_has_nothing_before_it_and_the_last_nothing_after(fleet: list[Machine], admin: User) -> None:
    first = listing.page(admin, Filters.parse(QueryDict("limit=20")))
    last = listing.page(admin, Filters.parse(QueryDict(f"limit=20&cursor={first.next_cursor}")))
    assert (first.previous_cursor, last.next_cursor) == (None, None)
    assert (len(first.items), len(last.items), first.total, last.total) == (20, 3, 23, 23)
    again = listing.page(admin, Filters.parse(QueryDict(f"limit=20&cursor={last.previous_cursor}")))
    assert [machine.uuid for machine in again.items] == [machine.uuid for machine in first.items]


def test_a_page_whose_rows_are_gone_is_the_first_page(fleet: list[Machine], admin: User) -> None:
    cursor = listing.page(admin, Filters.parse(QueryDict("limit=22"))).next_cursor
    Machine.objects.filter(name__gte="m4").delete()
    page = listing.page(admin, Filters.parse(QueryDict(f"limit=22&cursor={cursor}")))
    assert len(page.items) == page.total == Machine.objects.count()
    assert page.previous_cursor is None


def test_a_row_that_moves_while_somebody_reads_does_not_hide_the_others(fleet: list[Machine], admin: User) -> None:
    first = listing.page(admin, Filters.parse(QueryDict("limit=10")))
    Machine.objects.filter(pk=first.items[0].pk).update(name="zzz")
    Machine.objects.filter(pk=first.items[1].pk).delete()
    second = listing.page(admin, Filters.parse(QueryDict(f"limit=10&cursor={first.next_cursor}")))
    third = listing.page(admin, Filters.parse(QueryDict(f"limit=10&cursor={second.next_cursor}")))
    seen = {machine.uuid for machine in (*first.items[2:], *second.items, *third.items)}
    assert seen == set(Machine.objects.values_list("uuid", flat=True))


@pytest.mark.parametrize("query", ["", "sort=owner", "sort=-since&state=running", "q=m1+10.0", "owner=owner&limit=3"])
def test_the_number_of_queries_does_not_grow_with_machines(
    fleet: list[Machine], admin: User, django_assert_num_queries: Callable[..., object], query: str
) -> None:
    with django_assert_num_queries(2):
        found = listing.page(admin, Filters.parse(QueryDict(query)))
        assert all(machine.host.name and (machine.owner is None or machine.owner.username) for machine in found.items)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=60), st.sampled_from(["name", "-since", "owner", "memory"]))
def test_no_cursor_breaks_the_list(admin: User, text: str, sort: str) -> None:
    query = QueryDict(mutable=True)
    query["cursor"], query["sort"] = text, sort
    try:
        listing.page(admin, Filters.parse(query))
    except Refused as refused:
        assert refused.code == "bad_filter"


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=40))
def test_no_search_breaks_the_list(admin: User, text: str) -> None:
    query = QueryDict(mutable=True)
    query["q"] = text
    assert listing.page(admin, Filters.parse(query)).total == 0


@pytest.mark.parametrize("state", State)
def test_each_state_finds_its_own_machines(names: Names, make_machine: MakeMachine, state: State) -> None:
    for other in State:
        make_machine(other.value, state=other)
    also = {State.IDLE.value} if state is State.RUNNING else set()
    assert set(names(f"state={state}")) == {state.value} | also


def test_filters_of_a_script_say_the_same_as_a_query(names: Names, make_machine: MakeMachine, admin: User) -> None:
    make_machine("one", state=State.SHUTOFF, autostart=True)
    make_machine("two", state=State.SHUTOFF)
    given = Filters.given({"state": ["shutoff", "crashed"], "autostart": True, "sort": "-name"})
    assert given == Filters.parse(QueryDict("state=shutoff&state=crashed&autostart=1&sort=-name"))
    assert [machine.name for machine in listing.in_order(admin, given)] == ["one"]


def test_all_pages_are_in_the_order_of_the_list(fleet: list[Machine], admin: User) -> None:
    filters = Filters.parse(QueryDict("sort=-memory&limit=2"))
    rows = [machine.uuid for page in walk(admin, "sort=-memory&limit=2") for machine in page]
    assert [machine.uuid for machine in listing.in_order(admin, filters)] == rows
