"""Quotas: what goes over is refused with the figures, before it is queued and again by the worker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from lxml import html

from hypervisor.states import State
from lifecycle import operations, quota_demands, running
from lifecycle.models import Operation, Status
from machines import quotas
from machines.models import Machine
from machines.quotas import Holder, Resource
from machines.refused import Refused
from people.models import Membership, Project, Quota, Role
from tests.cast import ClientOf, MakeMachine
from tests.lifecycle.conftest import fresh

pytestmark = pytest.mark.django_db

XML = "<domain type='test'><name>new</name><memory>1024</memory><os><type>hvm</type></os></domain>"


@pytest.fixture
def off(make_machine: MakeMachine, owner: User) -> list[Machine]:
    """Three machines of owner's that are off."""
    return [make_machine(f"off-{number}", owner=owner, state=State.SHUTOFF) for number in range(3)]


def start(machine: Machine, by: User, kind: str = "start") -> Operation:
    return operations.request(machine, kind, by=by, parameters={})


def test_a_start_too_many_is_refused_with_the_figures_and_nothing_is_queued(
    make_machine: MakeMachine, owner: User, off: list[Machine]
) -> None:
    make_machine("on", owner=owner)
    Quota.objects.create(user=owner, running=1)
    with pytest.raises(Refused) as refused:
        start(off[0], owner)
    assert (refused.value.code, refused.value.status) == ("quota_exceeded", 409)
    assert refused.value.details == {"resource": "running", "used": 1, "wanted": 2, "limit": 1, "whose": "owner"}
    assert refused.value.sentence == "The quota of owner does not allow it: Running at once would be 2 of 1."
    assert not Operation.objects.exists()


def test_an_accepted_start_counts_before_its_machine_runs(owner: User, off: list[Machine]) -> None:
    Quota.objects.create(user=owner, running=2)
    start(off[0], owner)
    start(off[1], owner)
    with pytest.raises(Refused, match="would be 3 of 2"):
        start(off[2], owner)
    Operation.objects.all().update(status=Status.FAILED)
    start(off[2], owner)


def test_what_does_not_start_anything_is_not_limited(make_machine: MakeMachine, owner: User) -> None:
    Quota.objects.create(user=owner, running=0)
    for state, kind in ((State.PAUSED, "resume"), (State.RUNNING, "suspend"), (State.PMSUSPENDED, "wakeup")):
        start(make_machine(kind, owner=owner, state=state), owner, kind)


def test_a_projects_quota_counts_its_machines_and_a_users_own_only_theirs(
    make_machine: MakeMachine, owner: User, off: list[Machine]
) -> None:
    project = Project.objects.create(name="bees")
    Membership.objects.create(project=project, user=owner, role=Role.OPERATOR)
    Quota.objects.create(project=project, running=1)
    Quota.objects.create(user=owner, running=1)
    start(make_machine("hive-1", project=project, state=State.SHUTOFF), owner)
    with pytest.raises(Refused, match="quota of bees"):
        start(make_machine("hive-2", project=project, state=State.SHUTOFF), owner)
    start(off[0], owner)


@pytest.mark.parametrize(
    ("limits", "resource", "figures"),
    [
        ({"machines": 1}, "machines", "Machines would be 2 of 1"),
        ({"vcpus": 2}, "vcpus", "vCPUs would be 3 of 2"),
        ({"memory_mib": 1024}, "memory", "Memory would be 1.5 GiB of 1 GiB"),
        ({"disk_gib": 1000}, "disk", "Disk would be 1.001 TiB of 1000 GiB"),
        ({"running": 1}, "running", "Running at once would be 2 of 1"),
    ],
)
def test_making_a_machine_counts_all_that_it_takes(
    make_machine: MakeMachine, owner: User, limits: dict[str, int], resource: str, figures: str
) -> None:
    make_machine("first", owner=owner, disk_bytes=25 * 2**30)
    size = {"vcpus": 2, "memory_bytes": 2**30, "disk_bytes": 1000 * 2**30}
    forgotten = make_machine("new", owner=owner, state=State.UNDEFINED, definition_xml=XML, **size)
    Quota.objects.create(user=owner, **limits)
    with pytest.raises(Refused, match=figures) as refused:
        start(forgotten, owner, "create")
    assert refused.value.details["resource"] == resource


def test_the_disks_of_a_machine_in_the_making_count_as_soon_as_they_are_known(
    make_machine: MakeMachine, owner: User, admin: User
) -> None:
    Quota.objects.create(user=owner, disk_gib=10)
    made = [
        start(make_machine(f"new-{number}", owner=owner, state=State.UNDEFINED, definition_xml=XML), owner, "define")
        for number in range(3)
    ]
    assert quota_demands.over_with_disks(made[1], 6 * 2**30) == ""
    sentence = "The quota of owner does not allow it: Disk would be 12 GiB of 10 GiB."
    assert quota_demands.over_with_disks(made[0], 6 * 2**30) == sentence
    assert quota_demands.over_with_disks(made[2], 0) == ""
    assert Machine.objects.get(name="new-0").disk_bytes == 6 * 2**30
    nobodys = start(make_machine("nobodys", state=State.UNDEFINED, definition_xml=XML), admin, "define")
    assert quota_demands.over_with_disks(nobodys, 2**60) == ""


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "0 GiB"), (2**29, "0.5 GiB"), (1025 * 2**20, "1.001 GiB"), (1001 * 2**30, "1001 GiB"), (2**44, "16 TiB")],
)
def test_sizes_are_written_so_that_what_is_over_differs_from_the_limit(amount: int, words: str) -> None:
    for resource in (Resource.MEMORY, Resource.DISK):
        assert quotas.amount_words(resource, amount) == words


def test_a_limit_that_is_not_set_limits_nothing(owner: User, off: list[Machine]) -> None:
    Quota.objects.create(user=owner, machines=0)
    start(off[0], owner)


def test_the_worker_looks_again(make_machine: MakeMachine, owner: User, off: list[Machine]) -> None:
    quota = Quota.objects.create(user=owner, running=2)
    first, second = start(off[0], owner), start(off[1], owner)
    quota.running = 1
    quota.save()
    running.run(second.pk)
    failed = fresh(second)
    assert (failed.status, failed.error_code) == (Status.FAILED, "quota_exceeded")
    assert "would be 2 of 1" in failed.message
    assert running._no_longer_allowed(first) is None  # what was asked first has its place


@pytest.mark.django_db(transaction=True)
def test_of_starts_asked_at_the_same_moment_only_as_many_as_fit_are_accepted(
    owner: User, make_machine: MakeMachine
) -> None:
    machines = [make_machine(f"off-{number}", owner=owner, state=State.SHUTOFF) for number in range(6)]
    Quota.objects.create(user=owner, running=2)

    def ask(machine: Machine) -> str:
        try:
            start(machine, owner)
        except Refused as refused:
            return refused.code
        finally:
            connection.close()
        return "accepted"

    with ThreadPoolExecutor(6) as threads:
        answers = sorted(threads.map(ask, machines))
    assert answers == ["accepted"] * 2 + ["quota_exceeded"] * 4


def test_a_button_says_that_the_quota_is_in_the_way(
    client_of: ClientOf, make_machine: MakeMachine, owner: User, off: list[Machine]
) -> None:
    make_machine("on", owner=owner)
    Quota.objects.create(user=owner, running=1)
    for path in ("/", f"/machines/{off[0].pk}/"):
        tree = html.fromstring(client_of(owner).get(path).content.decode())
        [place] = tree.cssselect(f'[data-machine="{off[0].pk}"]')
        button = place.cssselect('[data-operation="start"]')[0]
        assert button.get("aria-disabled") == "true"
        assert "Running at once would be 2 of 1" in button.get("title")
        assert place.get("data-full") == button.get("title")
    assert tree.cssselect("[data-quota] [data-use=running] progress")[0].get("value") == "1"


def test_the_list_costs_no_query_more_where_nobody_has_a_quota(
    make_machine: MakeMachine, owner: User, off: list[Machine], django_assert_num_queries: Any
) -> None:
    rows = list(Machine.objects.select_related("owner__quota", "project__quota"))
    with django_assert_num_queries(0):
        assert quotas.full_of_running(rows) == {}
    Quota.objects.create(user=owner, running=0)
    rows = list(Machine.objects.select_related("owner__quota", "project__quota"))
    with django_assert_num_queries(1):
        assert list(quotas.full_of_running(rows)) == [Holder(user=owner.pk)]


def test_a_new_machine_over_the_quota_is_refused_and_leaves_no_row(
    script_of: ClientOf, admin: User, owner: User, host: Any
) -> None:
    Quota.objects.create(user=owner, machines=0)
    answer = script_of(admin).post("/api/v1/machines", {"xml": XML, "owner": "owner"}, content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "quota_exceeded")
    assert not Machine.objects.exists()
    Project.objects.create(name="bees")
    answer = script_of(admin).post("/api/v1/machines", {"xml": XML, "project": "bees"}, content_type="application/json")
    assert answer.status_code == 202
    assert Machine.objects.get().project.name == "bees"
