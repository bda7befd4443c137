"""A SPICE session's connections through the proxy: one ticket for each channel, one session for all of them."""

from __future__ import annotations

import pytest
from redis import Redis
from websockets.exceptions import InvalidStatus

from consoles.proxy import redis_names
from consoles.proxy.visits import Desk
from tests.consoles import spice_bytes as spice
from tests.consoles.peers import (
    Proxy,
    TcpDisplay,
    closed_with,
    eventually,
    issue,
    issue_channels,
    open_console,
    receive_exactly,
    reports,
    tell,
)

BAD_SPICE = (4400, "That is not the SPICE protocol, or not this ticket's channel.")


def test_channels_are_one_session_that_opens_and_closes_once(
    proxy: Proxy, redis: Redis, display: TcpDisplay, desk: Desk
):
    tickets = issue_channels(redis, "main", "display", "inputs")
    hello = {"main": spice.hello(1), "display": spice.hello(2), "inputs": spice.hello(3)}
    consoles = {name: open_console(proxy.url, issued) for name, issued in tickets.items()}
    for name, console in consoles.items():
        console.send(hello[name])
    assert sorted(receive_exactly(display.peer(), len(hello["main"])) for _ in consoles) == sorted(hello.values())
    (session,) = desk.registry.all()
    assert session.channels == {(1, 0), (2, 0), (3, 0)}

    consoles["display"].close()
    eventually(lambda: len(session._lines) == 2)
    assert not reports(redis, "closed"), "a channel may go before the others"
    consoles["main"].close()

    assert closed_with(consoles["inputs"])[0] == 1000
    eventually(lambda: not desk.registry.all())
    eventually(lambda: reports(redis, "closed"))
    assert [fields["session"] for fields in reports(redis, "opened")] == [session.id]
    (closed,) = reports(redis, "closed")
    assert (closed["session"], closed["reason"]) == (session.id, "left")
    assert int(closed["from_client"]) == sum(map(len, hello.values()))


@pytest.mark.parametrize("opened", [1, 2, 3, 4, 5, 6, 8, 9, 10, 11])
def test_a_ticket_opens_its_own_channel_only(proxy: Proxy, redis: Redis, display: TcpDisplay, opened):
    ticket = issue_channels(redis, "display" if opened != 2 else "cursor")
    with open_console(proxy.url, *ticket.values()) as console:
        console.send(spice.hello(opened))
        assert closed_with(console) == BAD_SPICE
        assert display.peer().recv(1) == b"", "the machine heard nothing"


@pytest.mark.parametrize("channel", ["inputs", "record", "usbredir", "smartcard", "port", "webdav"])
def test_who_may_only_look_opens_no_channel_that_touches_the_machine_whatever_the_ticket_says(
    proxy: Proxy, redis: Redis, display: TcpDisplay, channel
):
    number = {"inputs": 3, "record": 6, "smartcard": 8, "usbredir": 9, "port": 10, "webdav": 11}[channel]
    with open_console(proxy.url, *issue_channels(redis, channel, mode="view").values()) as console:
        console.send(spice.hello(number))
        assert closed_with(console) == BAD_SPICE
        assert display.peer().recv(1) == b""


def test_a_channel_opened_twice_ends_the_session(proxy: Proxy, redis: Redis, display: TcpDisplay):
    first = issue_channels(redis, "display")["display"]
    second = issue(redis, protocol="spice", session=first.session, channel="display")
    with open_console(proxy.url, first) as console, open_console(proxy.url, second) as again:
        console.send(spice.hello(2))
        receive_exactly(display.peer(), len(spice.hello(2)))
        again.send(spice.hello(2))
        assert closed_with(again) == BAD_SPICE
        assert closed_with(console) == BAD_SPICE
    assert eventually(lambda: reports(redis, "closed"))[0]["reason"] == "bad_spice"


def test_a_ticket_without_a_channel_opens_none(proxy: Proxy, redis: Redis, display: TcpDisplay):
    with open_console(proxy.url, issue(redis, protocol="spice")) as console:
        console.send(spice.hello(1))
        assert closed_with(console) == BAD_SPICE


def test_another_machines_spice_goes_on_when_one_client_talks_nonsense(proxy: Proxy, redis: Redis, display: TcpDisplay):
    good, bad = (open_console(proxy.url, issue_channels(redis, "main")["main"]) for _ in range(2))
    with good, bad:
        good.send(spice.hello(1))
        bad.send(b"\xff" * 70_000)
        assert closed_with(bad) == BAD_SPICE
        good.send(spice.message(3))
        peers = [display.peer(), display.peer()]
        heard = max(peer.recv(1000) for peer in peers)
        assert heard.startswith(spice.link(1))


def test_control_is_taken_back_on_all_channels_at_once(proxy: Proxy, redis: Redis, display: TcpDisplay):
    tickets = issue_channels(redis, "main", "inputs", "usbredir", client="viewer")
    main = open_console(proxy.url, tickets["main"])
    main_peer = display.peer()
    inputs = open_console(proxy.url, tickets["inputs"])
    inputs_peer = display.peer()
    devices = open_console(proxy.url, tickets["usbredir"])
    with main, inputs, devices:
        for console, number, peer in ((main, 1, main_peer), (inputs, 3, inputs_peer), (devices, 9, display.peer())):
            console.send(spice.hello(number))
            receive_exactly(peer, len(spice.hello(number)))
        inputs.send(spice.message(101, spice.key_down(0x1E)))
        receive_exactly(inputs_peer, 10)
        eventually(lambda: redis.pubsub_numsub(redis_names.TELL_CHANNEL)[0][1])

        tell(redis, tickets["main"].session, mode="view")

        assert spice.read(receive_exactly(inputs_peer, 10)) == [(102, spice.key_down(0x9E))], "the key is let go"
        assert closed_with(devices)[0] == 4403, "nothing is to be seen on it"
        inputs.send(spice.message(101, spice.key_down(0x1F)) + spice.message(2))
        main.send(spice.message(107, spice.agent(4, b"text")) + spice.message(105, bytes(2)) + spice.message(2))
        assert receive_exactly(inputs_peer, 6) == spice.message(2)
        assert receive_exactly(main_peer, 6) == spice.message(2)


def test_a_channel_opened_after_control_was_taken_back_is_a_viewers(proxy: Proxy, redis: Redis, display: TcpDisplay):
    tickets = issue_channels(redis, "main", "inputs")
    with open_console(proxy.url, tickets["main"]) as main:
        main.send(spice.hello(1))
        redis.set(redis_names.lease_key(tickets["main"].session), "view", ex=60)  # and the message was lost
        with open_console(proxy.url, tickets["inputs"]) as inputs:
            inputs.send(spice.hello(3))
            assert closed_with(inputs) == BAD_SPICE


def test_a_ticket_of_a_session_that_is_over_is_worth_nothing(proxy: Proxy, redis: Redis, display: TcpDisplay):
    tickets = issue_channels(redis, "main", "inputs")
    with open_console(proxy.url, tickets["main"]):
        pass
    eventually(lambda: reports(redis, "closed"))
    with pytest.raises(InvalidStatus):
        open_console(proxy.url, tickets["inputs"])
