"""Open consoles whose mode changes or whose time runs out: effective at once, reported, and healed when unheard."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis
from websockets.sync.client import ClientConnection

from consoles.proxy import limits, redis_names
from consoles.proxy.sessions import Registry
from consoles.proxy.visits import Desk
from tests.consoles import rfb_bytes as rfb
from tests.consoles.peers import (
    Issued,
    Proxy,
    TcpDisplay,
    closed_with,
    eventually,
    issue,
    open_console,
    receive_exactly,
    reports,
    served,
    tell,
)
from tests.consoles.test_ending import stays_open


@pytest.fixture
def heard(proxy: Proxy, redis: Redis) -> None:
    """The proxy listens to what it is told."""
    eventually(lambda: redis.pubsub_numsub(redis_names.TELL_CHANNEL)[0][1])


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(limits, "EVERY", 0.05)
    yield


def greeted(console: ClientConnection, machine) -> None:
    console.send(rfb.HELLO + rfb.EXCLUSIVE)
    receive_exactly(machine, len(rfb.HELLO) + 1)


@pytest.mark.usefixtures("heard")
def test_a_viewer_who_is_given_control_types_and_nothing_passes_once_it_is_taken_back(
    proxy: Proxy, redis: Redis, display: TcpDisplay
):
    issued = issue(redis, mode="view")
    with open_console(proxy.url, issued) as console:
        machine = display.peer()
        greeted(console, machine)
        console.send(rfb.key(0x61) + rfb.update_request())
        assert receive_exactly(machine, 10) == rfb.update_request()

        tell(redis, issued.session, mode="control")
        eventually(lambda: reports(redis, "mode"))
        console.send(rfb.key(0x62) + rfb.key(0x62, False) + rfb.key(0x63)[:5])
        assert receive_exactly(machine, 16) == rfb.key(0x62) + rfb.key(0x62, False)

        told = time.monotonic()
        tell(redis, issued.session, mode="view")
        eventually(lambda: len(reports(redis, "mode")) == 2, within=1)
        assert time.monotonic() - told < 1
        console.send(rfb.key(0x63)[5:] + rfb.key(0x64) + rfb.pointer(1, 1, 1) + rfb.update_request())
        assert receive_exactly(machine, 10) == rfb.update_request(), "what was half said is dropped too"
    assert [fields["mode"] for fields in reports(redis, "mode")] == ["control", "view"]


@pytest.mark.usefixtures("heard")
def test_keys_of_who_loses_control_are_let_go(proxy: Proxy, redis: Redis, display: TcpDisplay):
    issued = issue(redis)
    with open_console(proxy.url, issued) as console:
        machine = display.peer()
        greeted(console, machine)
        console.send(rfb.key(0xFFE1) + rfb.pointer(5, 6, 1))
        receive_exactly(machine, 14)
        tell(redis, issued.session, mode="view")
        assert receive_exactly(machine, 14) == rfb.key(0xFFE1, False) + rfb.pointer(5, 6, 0)


def test_a_mode_that_was_never_told_is_found_in_the_lease(redis: Redis, display: TcpDisplay, desk: Desk, monkeypatch):
    monkeypatch.setattr(redis_names, "RENEW_SECONDS", 0.2)
    with served(desk) as proxy:
        issued = issue(redis)
        with open_console(proxy.url, issued) as console:
            machine = display.peer()
            greeted(console, machine)
            redis.set(redis_names.lease_key(issued.session), "view", ex=60)
            eventually(lambda: reports(redis, "mode"))
            console.send(rfb.key(0x61) + rfb.update_request())
            assert receive_exactly(machine, 10) == rfb.update_request()


@pytest.mark.parametrize("lease", ["1", "", "root"])
def test_a_lease_that_names_no_mode_changes_none(redis: Redis, display: TcpDisplay, desk: Desk, monkeypatch, lease):
    monkeypatch.setattr(redis_names, "RENEW_SECONDS", 0.1)
    with served(desk) as proxy:
        issued = issue(redis, mode="view")
        redis.set(redis_names.lease_key(issued.session), lease or "x", ex=60)
        with open_console(proxy.url, issued) as console:
            greeted(console, machine := display.peer())
            assert stays_open(console, 0.4)
            console.send(rfb.key(0x61) + rfb.update_request())
            assert receive_exactly(machine, 10) == rfb.update_request()


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(
    "message",
    [{"tell": "mode", "mode": "root"}, {"tell": "mode"}, {"tell": "dance"}, {}, {"tell": "mode", "mode": None}],
)
def test_nonsense_told_changes_nothing(proxy: Proxy, redis: Redis, display: TcpDisplay, message):
    issued = issue(redis, mode="view")
    with open_console(proxy.url, issued) as console:
        greeted(console, machine := display.peer())
        redis.publish(redis_names.TELL_CHANNEL, json.dumps({"session": issued.session} | message))
        redis.publish(redis_names.TELL_CHANNEL, "nonsense")
        tell(redis, issued.session, "keep")
        console.send(rfb.key(0x61) + rfb.update_request())
        assert receive_exactly(machine, 10) == rfb.update_request()
        assert not reports(redis, "mode")


def test_an_idle_session_is_warned_and_ends(proxy: Proxy, redis: Redis, display: TcpDisplay):
    issued = issue(redis, idle_limit=1)
    begin = time.time()
    with open_console(proxy.url, issued) as console:
        display.peer()
        console.send(rfb.HELLO + rfb.SHARED)
        warned = eventually(lambda: reports(redis, "warned"))[0]
        assert (warned["session"], warned["reason"]) == (issued.session, "idle")
        assert begin + 0.9 < float(warned["ends_at"]) < begin + 1.6
        assert closed_with(console) == (4411, "Nothing was done at this console for too long.")
        assert float(warned["ends_at"]) - 0.1 < time.time() < float(warned["ends_at"]) + 1
    assert eventually(lambda: reports(redis, "closed"))[0]["reason"] == "idle"
    assert len(reports(redis, "warned")) == 1


@pytest.mark.parametrize("mode", ["control", "view"])
def test_who_acts_is_not_idle_and_who_is_only_shown_pictures_is(proxy: Proxy, redis: Redis, display: TcpDisplay, mode):
    acts, looks = issue(redis, idle_limit=1, mode=mode), issue(redis, idle_limit=1, mode=mode)
    with open_console(proxy.url, acts) as busy, open_console(proxy.url, looks) as idle:
        for console in (busy, idle):
            console.send(rfb.HELLO + rfb.SHARED)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            busy.send(rfb.key(0x61))
            if not reports(redis, "closed"):
                idle.send(rfb.update_request())
            time.sleep(0.1)
        assert [fields["session"] for fields in reports(redis, "closed")] == [looks.session]
        assert stays_open(busy, 0.1)


@pytest.mark.usefixtures("heard")
def test_keeping_it_open_puts_off_the_idle_end_only(proxy: Proxy, redis: Redis, display: TcpDisplay):
    idle, limited = issue(redis, idle_limit=1), issue(redis, limit=1)
    with open_console(proxy.url, idle) as stays, open_console(proxy.url, limited) as ends:
        for _ in range(3):
            eventually(lambda: reports(redis, "warned"))
            time.sleep(0.3)
            tell(redis, idle.session, "keep")
            tell(redis, limited.session, "keep")
        assert stays_open(stays, 0.2)
        assert closed_with(ends) == (4412, "This console was open for as long as one may be.")
    assert {fields["reason"] for fields in reports(redis, "warned")} == {"idle", "limit"}


def test_nothing_ends_without_limits(proxy: Proxy, redis: Redis, display: TcpDisplay):
    with open_console(proxy.url, issue(redis)) as console:
        assert stays_open(console, 0.5)
    assert not reports(redis, "warned")


def test_a_screen_that_was_opened_elsewhere_is_told(proxy: Proxy, redis: Redis, display: TcpDisplay, heard):
    issued = issue(redis)
    with open_console(proxy.url, issued) as console:
        display.peer()
        redis.publish(redis_names.END_CHANNEL, json.dumps({"session": issued.session, "reason": "replaced"}))
        assert closed_with(console) == (4413, "The screen was opened elsewhere, and only one can have it.")
    assert eventually(lambda: reports(redis, "closed"))[0]["reason"] == "replaced"


def test_one_session_too_many_is_told_to_come_back(redis: Redis, display: TcpDisplay, desk: Desk):
    def opened(url: str, issued: Issued) -> ClientConnection:
        console = open_console(url, issued)
        display.peer()
        return console

    with served(replace(desk, registry=Registry(2))) as proxy:
        first, second = (opened(proxy.url, issue(redis)) for _ in range(2))
        too_many = issue(redis)
        with open_console(proxy.url, too_many) as console:
            assert closed_with(console) == (4429, "The console proxy serves as many consoles as it may.")
        assert eventually(lambda: reports(redis, "closed"))[0]["reason"] == "full"
        assert stays_open(second, 0.1)
        first.close()
        eventually(lambda: len(reports(redis, "closed")) == 2)
        with opened(proxy.url, issue(redis)) as console:
            assert stays_open(console, 0.1)
        second.close()
