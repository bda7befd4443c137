"""The watcher's small parts: its inbox, the measure of quiet, the wait between attempts."""

from __future__ import annotations

import threading
import time
import uuid

from hypothesis import given
from hypothesis import strategies as st

from hypervisor.events import Event, EventKind
from hypervisor.states import DomainState
from machines.backoff import Backoff
from machines.inbox import Inbox
from machines.quietness import QUIET_BELOW, Quietness
from tests.machines.readings import reading

ONE, OTHER = uuid.uuid4(), uuid.uuid4()


def test_many_events_of_one_machine_are_one_reason_to_read_it():
    inbox = Inbox()
    for kind in EventKind:
        inbox.put(Event(ONE, kind))
    inbox.ask(OTHER)
    batch = inbox.take(0)
    assert (batch.machines, batch.rebooted, batch.everything) == ({ONE, OTHER}, {ONE}, False)
    assert not inbox.take(0)


def test_what_could_not_be_dealt_with_is_kept_with_its_reboots():
    inbox = Inbox()
    inbox.put(Event(ONE, EventKind.REBOOTED))
    batch = inbox.take(0)
    inbox.put(Event(OTHER, EventKind.CHANGED))
    inbox.put_back(batch)
    again = inbox.take(0)
    assert (again.machines, again.rebooted) == ({ONE, OTHER}, {ONE})


def test_an_event_wakes_the_reader_at_once():
    inbox = Inbox()
    threading.Timer(0.05, inbox.put, [Event(ONE, EventKind.CHANGED)]).start()
    began = time.monotonic()
    assert inbox.take(5).machines == {ONE}
    assert time.monotonic() - began < 1


def test_a_reader_that_is_to_stop_waits_for_nothing():
    inbox = Inbox()
    threading.Timer(0.05, inbox.stop).start()
    began = time.monotonic()
    inbox.pause(5)
    inbox.take(5)
    assert inbox.stopped
    assert time.monotonic() - began < 1


def test_the_first_look_at_a_machine_says_nothing_about_it():
    assert Quietness().observe([reading(identity=ONE, cpu_time_ns=5)], 100.0) == {}


def test_little_cpu_time_is_quiet_and_more_is_not():
    quietness = Quietness()
    quietness.observe([reading(identity=ONE, cpu_time_ns=0), reading(identity=OTHER, cpu_time_ns=0)], 100.0)
    little, much = int(QUIET_BELOW * 4e9), int(QUIET_BELOW * 6e9)
    after = [reading(identity=ONE, cpu_time_ns=little), reading(identity=OTHER, cpu_time_ns=much)]
    assert quietness.observe(after, 105.0) == {ONE: True, OTHER: False}


def test_looks_that_follow_at_once_measure_nothing_and_disturb_nothing():
    quietness = Quietness()
    quietness.observe([reading(identity=ONE, cpu_time_ns=0)], 100.0)
    assert quietness.observe([reading(identity=ONE, cpu_time_ns=10**9)], 100.5) == {}
    assert quietness.observe([reading(identity=ONE, cpu_time_ns=10**9)], 105.0) == {ONE: False}


def test_a_machine_that_was_started_again_meanwhile_is_not_called_quiet():
    quietness = Quietness()
    quietness.observe([reading(identity=ONE, cpu_time_ns=10**12)], 100.0)
    assert quietness.observe([reading(identity=ONE, cpu_time_ns=5)], 105.0) == {ONE: False}


def test_a_machine_that_is_off_is_not_measured():
    quietness = Quietness()
    for at in (100.0, 105.0):
        assert quietness.observe([reading(DomainState.SHUTOFF, "shutdown", identity=ONE)], at) == {}


@given(st.integers(1, 40))
def test_waits_grow_to_half_a_minute_and_never_vanish(failures):
    backoff = Backoff()
    waits = [backoff.wait() for _ in range(failures)]
    steps = [min(0.5 * 2**count, 30) for count in range(failures)]
    assert all(step / 2 <= wait <= step for wait, step in zip(waits, steps, strict=True))


def test_after_a_success_the_first_wait_is_short_again():
    backoff = Backoff()
    for _ in range(9):
        backoff.wait()
    backoff.reset()
    assert backoff.wait() <= 0.5
