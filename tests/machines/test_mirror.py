"""The one writer of mirrored state: what is written, when it is a new version, who is told."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hypervisor.readings import Address, Capacity, HostFacts
from hypervisor.states import DomainState
from machines import leases, mirror, reread
from machines.leases import LeaseLost
from machines.models import Host, Machine
from machines.signals import machine_changed
from tests.machines.conftest import until
from tests.machines.readings import DEFINITION, reading

pytestmark = pytest.mark.django_db(transaction=True)

SHUTOFF = DomainState.SHUTOFF
PAUSED = DomainState.PAUSED


@pytest.fixture
def known(held) -> Machine:
    """A running machine as the watcher wrote it."""
    [machine] = mirror.apply(held, [reading(definition=DEFINITION)])
    return machine


@pytest.fixture
def news() -> Any:
    """What apps above are told: pairs of a machine's state and whether it rebooted."""
    heard: list[tuple[str, bool]] = []

    def hear(machine: Machine, rebooted: bool, **_: Any) -> None:
        heard.append((machine.state, rebooted))

    machine_changed.connect(hear)
    yield heard
    machine_changed.disconnect(hear)


def again(machine: Machine, *state: Any, **fields: Any) -> Any:
    return reading(*state, identity=machine.uuid, **fields)


def test_a_new_machine_has_no_owner_and_is_told_to_the_lists_of_those_who_see_everything(held, pushes):
    [machine] = mirror.apply(held, [reading(definition=DEFINITION)])
    row = Machine.objects.get(pk=machine.pk)
    assert (row.owner, row.version, row.state, row.definition_xml) == (None, 1, "running", "<domain/>")
    assert pushes.take() == [("everything", {"type": "listing", "changed": "machines"})]


def test_a_change_raises_the_version_and_is_pushed_with_the_whole_state(held, known, pushes):
    mirror.apply(held, [again(known, PAUSED, "user")])
    row = Machine.objects.get(pk=known.pk)
    assert (row.version, row.state) == (2, "paused")
    pushed = dict(pushes.take())
    told = pushed[f"machine.{known.uuid}"]["machine"]
    assert (told["version"], told["state"], told["state_reason"], told["host"]) == (2, "paused", "user", "host-1")
    assert pushed["everything"] == {"type": "listing", "changed": "state"}


def test_owners_and_holders_of_grants_are_told_of_their_lists(held, known, owner, viewer, stranger, pushes):
    Machine.objects.filter(pk=known.pk).update(owner=owner)
    known.grants.create(user=viewer)
    pushes.take(wait=1.2)  # longer than a list is left in peace
    mirror.apply(held, [again(known, PAUSED, "user")])
    listed = {group for group, message in pushes.take() if message["type"] == "listing"}
    assert listed == {f"user.{owner.pk}", f"user.{viewer.pk}", "everything"}


def test_a_reading_without_news_writes_and_says_nothing(held, known, pushes, news):
    assert mirror.apply(held, [again(known)]) == []
    assert Machine.objects.get(pk=known.pk).version == 1
    assert (pushes.take(), news) == ([], [])


def test_what_no_viewer_sees_is_written_without_a_new_version(held, known, pushes):
    mirror.apply(held, [again(known)], rebooted={known.uuid})
    row = Machine.objects.get(pk=known.pk)
    assert row.rebooted_at
    assert (row.version, pushes.take()) == (1, [])


def test_a_changed_definition_is_a_new_version_so_that_whoever_shows_it_reads_it_again(held, known, pushes):
    mirror.apply(held, [again(known, definition=replace(DEFINITION, xml="<domain><!-- --></domain>"))])
    row = Machine.objects.get(pk=known.pk)
    assert (row.version, row.definition_xml) == (2, "<domain><!-- --></domain>")
    assert f"machine.{known.uuid}" in dict(pushes.take())


def test_apps_above_are_told_of_changes_and_reboots(held, known, news):
    mirror.apply(held, [again(known, PAUSED, "user")])
    mirror.apply(held, [again(known, reason="unpaused")], rebooted={known.uuid})
    mirror.apply(held, [again(known, reason="unpaused")], rebooted={known.uuid})
    assert news == [("paused", False), ("running", True), ("running", True)]


def test_a_listener_that_fails_does_not_keep_state_from_being_written(held, known, news):
    def fail(**_: Any) -> None:
        raise RuntimeError("a broken listener")

    machine_changed.connect(fail)
    try:
        mirror.apply(held, [again(known, PAUSED, "user")])
    finally:
        machine_changed.disconnect(fail)
    assert Machine.objects.get(pk=known.pk).state == "paused"
    assert news == [("paused", False)]


def test_crashed_stays_crashed_after_libvirtd_forgot_why(held, known):
    mirror.apply(held, [again(known, SHUTOFF, "crashed")])
    since = Machine.objects.get(pk=known.pk).state_since
    mirror.apply(held, [again(known, SHUTOFF, "unknown")], complete=True)
    row = Machine.objects.get(pk=known.pk)
    assert (row.state, row.state_reason, row.state_since, row.version) == ("crashed", "crashed", since, 2)


def test_a_machine_that_a_complete_reading_lacks_is_undefined_and_keeps_its_definition(held, known, pushes):
    mirror.apply(held, [], complete=True)
    row = Machine.objects.get(pk=known.pk)
    assert (row.state, row.version, row.definition_xml) == ("undefined", 2, "<domain/>")
    assert pushes.machines()[known.uuid]["state"] == "undefined"


def test_a_partial_reading_makes_nothing_undefined(held, known):
    mirror.apply(held, [reading()])
    assert Machine.objects.get(pk=known.pk).state == "running"


def test_a_machine_that_is_gone_comes_back_when_it_is_defined_again(held, known):
    mirror.gone(held, [known.uuid, uuid.uuid4()])
    assert Machine.objects.get(pk=known.pk).state == "undefined"
    mirror.apply(held, [again(known, SHUTOFF, "unknown", definition=DEFINITION)])
    row = Machine.objects.get(pk=known.pk)
    assert (row.state, row.version) == ("shutoff", 3)


def test_a_machine_undefined_while_nobody_watched_may_have_run(held, known):
    mirror.gone(held, [known.uuid])
    for watched, more in ((timedelta(0), 0), (2 * mirror.AWAY_AFTER, 1)):
        before = Machine.objects.get(pk=known.pk)
        Host.objects.update(seen_at=timezone.now() - watched)
        mirror.apply(held, [], complete=True)
        after = Machine.objects.get(pk=known.pk)
        assert (after.runs - before.runs, after.version - before.version) == (more, 0)


class TestTwoHosts:
    """A UUID belongs to one host."""

    @pytest.fixture
    def other(self, db):
        return Host.objects.create(name="host-2", uri="test:///2", reachable=True)

    @pytest.fixture
    def other_held(self, other):
        return leases.take(other.pk, "test")

    def test_the_same_uuid_elsewhere_is_a_conflict_that_is_not_written(self, known, other_held, pushes):
        mirror.apply(other_held, [again(known, PAUSED, "user", definition=DEFINITION)], complete=True)
        row = Machine.objects.get(pk=known.pk)
        assert (row.host.name, row.state, row.version) == ("host-1", "running", 2)
        assert row.conflict_host.name == "host-2"
        assert "another host" in row.conflict and "host-2" not in row.conflict
        assert pushes.machines()[known.uuid]["conflict"] == row.conflict

    def test_a_conflict_that_stays_is_no_news(self, known, other_held):
        for _ in range(2):
            mirror.apply(other_held, [again(known)], complete=True)
        assert Machine.objects.get(pk=known.pk).version == 2

    def test_a_conflict_ends_when_the_other_host_no_longer_shows_the_machine(self, known, other_held):
        mirror.apply(other_held, [again(known)], complete=True)
        mirror.apply(other_held, [], complete=True)
        row = Machine.objects.get(pk=known.pk)
        assert (row.conflict_host, row.conflict, row.state) == (None, "", "running")

    def test_a_third_host_that_shows_it_too_is_noted_only_once_the_second_no_longer_does(self, known, other_held):
        third = leases.take(Host.objects.create(name="host-3", uri="test:///3").pk, "test")
        mirror.apply(other_held, [again(known)], complete=True)
        for _ in range(2):
            mirror.apply(third, [again(known)], complete=True)
        row = Machine.objects.get(pk=known.pk)
        assert (row.conflict_host.name, row.version) == ("host-2", 2)
        mirror.apply(other_held, [], complete=True)
        mirror.apply(third, [again(known)], complete=True)
        assert Machine.objects.get(pk=known.pk).conflict_host.name == "host-3"

    def test_an_undefined_machine_moves_to_the_host_that_shows_it(self, held, known, other_held, pushes):
        mirror.apply(other_held, [again(known)], complete=True)
        mirror.gone(held, [known.uuid])
        mirror.apply(other_held, [again(known)], complete=True)
        row = Machine.objects.get(pk=known.pk)
        assert (row.host.name, row.state, row.conflict) == ("host-2", "running", "")
        assert pushes.machines()[known.uuid]["host"] == "host-2"

    def test_a_machine_of_a_disabled_host_moves_to_the_host_that_shows_it(self, host, known, other_held):
        Host.objects.filter(pk=host.pk).update(enabled=False)
        mirror.apply(other_held, [again(known)])
        assert Machine.objects.get(pk=known.pk).host.name == "host-2"

    def test_a_machine_saved_to_a_file_of_one_host_is_not_saved_on_another(self, held, known, other_held):
        mirror.apply(held, [again(known, SHUTOFF, "saved")])
        mirror.note_saved_files(known.uuid, 1, Machine.objects.get(pk=known.pk).runs)
        mirror.apply(held, [again(known, SHUTOFF, "saved")])
        assert Machine.objects.get(pk=known.pk).state == "saved"
        mirror.gone(held, [known.uuid])
        mirror.apply(other_held, [again(known, SHUTOFF, "unknown", definition=DEFINITION)])
        row = Machine.objects.get(pk=known.pk)
        assert (row.host.name, row.state) == ("host-2", "shutoff")

    def test_another_hosts_machine_is_not_made_undefined(self, known, other_held):
        mirror.apply(other_held, [], complete=True)
        mirror.gone(other_held, [known.uuid])
        assert Machine.objects.get(pk=known.pk).state == "running"


class TestStaleWatcher:
    """A watcher whose lease another one took writes nothing."""

    @pytest.fixture
    def stale(self, host, held, known):
        leases.give_back([held])
        assert leases.take(host.pk, "another")
        return held

    @pytest.mark.parametrize(
        "write",
        [
            lambda held, known: mirror.apply(held, [again(known, PAUSED, "user")]),
            lambda held, known: mirror.apply(held, [], complete=True),
            lambda held, known: mirror.gone(held, [known.uuid]),
            lambda held, known: mirror.set_addresses(held, known.uuid, [Address("eth0", "", "10.0.0.2", 24)]),
            lambda held, known: mirror.set_disk_bytes(held, {known.uuid: Capacity(1, complete=True)}),
            lambda held, known: mirror.host_lost(held, "gone"),
            lambda held, known: mirror.host_seen(held),
        ],
    )
    def test_it_is_refused(self, stale, known, write, pushes):
        before = list(Machine.objects.values()), list(Host.objects.values())
        pushes.take()
        with pytest.raises(LeaseLost):
            write(stale, known)
        assert (list(Machine.objects.values()), list(Host.objects.values())) == before
        assert pushes.take() == []


def test_addresses_are_written_once_and_only_for_machines_that_run(held, known, pushes):
    addresses = [Address("eth0", "52:54:00:00:00:01", "10.0.0.2", 24)]
    for _ in range(2):
        mirror.set_addresses(held, known.uuid, addresses)
    assert Machine.objects.get(pk=known.pk).version == 2
    assert pushes.machines()[known.uuid]["addresses"][0]["address"] == "10.0.0.2"
    mirror.apply(held, [again(known, SHUTOFF, "shutdown")])
    mirror.set_addresses(held, known.uuid, addresses)
    assert Machine.objects.get(pk=known.pk).addresses == []


class TestDisks:
    """What machines' disks can hold."""

    def test_it_is_written_once_and_pushed(self, held, known, pushes, django_assert_num_queries):
        mirror.set_disk_bytes(held, {known.uuid: Capacity(2**40, complete=True)})
        row = Machine.objects.get(pk=known.pk)
        assert (row.version, row.disk_bytes) == (2, 2**40)
        assert pushes.machines()[known.uuid]["disk_bytes"] == 2**40
        with django_assert_num_queries(1):
            assert mirror.set_disk_bytes(held, {known.uuid: Capacity(2**40, complete=True)}) == []

    def test_what_is_not_completely_known_lowers_nothing(self, held, known):
        found = []
        for capacity in ((5, True), (3, False), (7, False), (2**70, False), (3, True)):
            mirror.set_disk_bytes(held, {known.uuid: Capacity(*capacity)})
            found.append(Machine.objects.get(pk=known.pk).disk_bytes)
        assert found == [5, 5, 7, 2**63 - 1, 3]

    def test_a_reading_and_being_forgotten_leave_it(self, held, known):
        mirror.set_disk_bytes(held, {known.uuid: Capacity(5, complete=True)})
        mirror.apply(held, [again(known, PAUSED, "user", definition=DEFINITION)])
        mirror.gone(held, [known.uuid])
        assert Machine.objects.get(pk=known.pk).disk_bytes == 5

    def test_a_machine_of_another_host_is_left_alone(self, known):
        other = Host.objects.create(name="host-2", uri="test:///other")
        mirror.set_disk_bytes(leases.take(other.pk, "test"), {known.uuid: Capacity(5, complete=True)})
        assert Machine.objects.get(pk=known.pk).disk_bytes == 0

    def test_it_is_expected_only_of_a_machine_that_is_not_defined(self, held, known):
        mirror.expect_disks(known.uuid, 5)
        assert Machine.objects.get(pk=known.pk).disk_bytes == 0
        mirror.gone(held, [known.uuid])
        mirror.expect_disks(known.uuid, 5)
        row = Machine.objects.get(pk=known.pk)
        assert (row.disk_bytes, row.version) == (5, 3)
        mirror.expect_disks(uuid.uuid4(), 5)


FACTS = HostFacts("kvm1.example", "9.0.0", "7.2.0", 8, "Skylake", 2**34, "<capabilities/>")


def test_a_host_that_is_lost_is_pushed_and_its_machines_keep_their_state(host, held, known, pushes):
    mirror.host_lost(held, "Connection refused")
    row = Host.objects.get(pk=host.pk)
    assert (row.reachable, row.last_error) == (False, "Connection refused")
    assert Machine.objects.get(pk=known.pk).state == "running"
    told = pushes.take()
    assert {group for group, _ in told} == {f"host.{host.pk}", "hosts"}
    assert [message["host"]["reachable"] for _, message in told] == [False, False]
    mirror.host_lost(held, "Connection refused")
    assert pushes.take() == []
    mirror.host_lost(held, "No route to host")
    assert len(pushes.take()) == 2


def test_a_host_that_comes_back_is_pushed_once_with_its_facts_written(host, held, pushes):
    mirror.host_lost(held, "Connection refused")
    mirror.host_seen(held)
    mirror.host_seen(held, FACTS)
    row = Host.objects.get(pk=host.pk)
    assert (row.reachable, row.last_error, row.hostname, row.memory_bytes) == (True, "", "kvm1.example", 2**34)
    assert row.facts_at == row.seen_at
    assert [message["host"]["reachable"] for group, message in pushes.take() if group == "hosts"] == [False, True]


class TestNotes:
    """Portal facts: written by any process, made into a state by the watcher."""

    @pytest.fixture
    def asked(self, redis_server):
        """Return how many requests to read again were published."""
        from redis import Redis

        with Redis.from_url(redis_server.url) as redis, redis.pubsub(ignore_subscribe_messages=True) as line:
            line.subscribe(reread.CHANNEL)
            line.get_message(timeout=5)
            yield lambda: line.get_message(timeout=5)

    def test_each_asks_the_watcher_to_read_again(self, known, asked):
        for note in (mirror.note_shutdown_asked, mirror.note_overdue, mirror.clear_notes):
            note(known.uuid)
            assert str(known.uuid) in asked()["data"].decode()

    def test_they_make_shutdown_and_dying_and_running_again(self, held, known):
        states = []
        for note in (mirror.note_shutdown_asked, mirror.note_overdue, mirror.clear_notes):
            note(known.uuid)
            mirror.apply(held, [again(known)])
            states.append(Machine.objects.get(pk=known.pk).state)
        assert states == ["shutdown", "dying", "running"]

    def test_a_note_about_an_unknown_machine_is_nothing(self, host):
        mirror.note_overdue(uuid.uuid4())

    def test_a_note_written_while_the_watcher_reads_is_kept(self, held, known):
        """The watcher writes only what it found changed, so a note that came in between is not overwritten."""
        Machine.objects.filter(pk=known.pk).update(shutdown_asked_at=timezone.now())
        mirror.apply(held, [again(known, autostart=True)], complete=True)
        assert Machine.objects.get(pk=known.pk).shutdown_asked_at


def test_one_machine_costs_three_queries_and_one_more_to_tell_its_lists(held, known):
    with CaptureQueriesContext(connection) as queries:
        mirror.apply(held, [again(known, PAUSED, "user")])
    statements = [query["sql"] for query in queries if "SELECT" in query["sql"] or "UPDATE" in query["sql"]]
    assert len(statements) == 4, statements


def test_a_complete_reading_of_many_machines_costs_as_few_queries_as_one_of_few(held):
    costs = []
    for size in (2, 200):
        readings = [reading(name=f"machine {number}") for number in range(size)]
        mirror.apply(held, readings, complete=True)
        with CaptureQueriesContext(connection) as queries:
            mirror.apply(held, readings, complete=True)
        costs.append(len(queries))
    assert costs[0] == costs[1] <= 8


def test_a_broken_redis_does_not_keep_state_from_being_written(held, known, redis_server):
    redis_server.end()
    try:
        mirror.note_shutdown_asked(known.uuid)
        mirror.apply(held, [again(known)])
        assert Machine.objects.get(pk=known.pk).state == "shutdown"
    finally:
        redis_server.start()


def test_pushes_go_on_when_redis_comes_back(held, known, redis_server):
    from tests.machines.conftest import Pushes

    redis_server.end()
    mirror.apply(held, [again(known, PAUSED, "user")])
    redis_server.start()
    pushes = Pushes(redis_server.url)
    try:

        def pushed() -> bool:
            mirror.apply(held, [again(known, autostart=not Machine.objects.get(pk=known.pk).autostart)])
            return known.uuid in pushes.machines()

        until(pushed, 15)
    finally:
        pushes.close()
