"""A recorded client has to be drawn by the player: one that agrees on something else with the display is ended."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from consoles.proxy import recorder
from consoles.proxy.journal import Journal
from consoles.proxy.modes import Mode
from consoles.proxy.redis_client import redis_of
from consoles.proxy.replayable import ENCODINGS, PIXEL_FORMAT, ReplayableStream, Unreplayable
from consoles.proxy.sessions import Registry
from consoles.proxy.visits import Desk
from demo.servers import RedisServer
from kvmportal.environment import ROOT
from tests.consoles import rfb_bytes as rfb
from tests.consoles.peers import ORIGIN, Proxy, TcpDisplay, closed_with, issue, open_console, receive_exactly, served

PLAYERS_FORMAT = b"\0\0\0\0" + PIXEL_FORMAT + b"\0\0\0"
ASKS = {"update": rfb.update_request(), "continuous": rfb.continuous_updates()}
WORDS = "This console is recorded, and its client asks for what a recording cannot show."


def format_with(**changed: int) -> bytes:
    """A SetPixelFormat like the player's but for this."""
    names = ("bits", "depth", "big", "true", "red", "green", "blue", "red_at", "green_at", "blue_at")
    values = dict(zip(names, struct.unpack(">BBBBHHHBBB", PIXEL_FORMAT), strict=True)) | changed
    return struct.pack(">B3xBBBBHHHBBB3x", 0, *values.values())


OTHERS = {
    "16 bits": format_with(bits=16, depth=16, red=31, green=63, blue=31),
    "blue first": format_with(red_at=16, blue_at=0),
    "big endian": format_with(big=1),
    "a palette": format_with(true=0),
    "few colours": format_with(red=1),
    "audio": rfb.encodings([0, -259]),
    "a private encoding": rfb.encodings([0, 0x1234]),
    "pointer changes": rfb.encodings([-257]),
}


@pytest.fixture
def recording_proxy(redis_server: RedisServer, display: TcpDisplay, tmp_path: Path) -> Iterator[Proxy]:
    client = redis_of(redis_server.url)
    desk = Desk(
        redis=client,
        origins=frozenset({ORIGIN}),
        registry=Registry(),
        journal=Journal(client),
        open_display=display.open,
        make_tee=recorder.recorder(tmp_path / "tapes"),
    )
    with served(desk) as proxy:
        yield proxy


@pytest.mark.parametrize("mode", ["control", "view"])
@pytest.mark.parametrize("said", OTHERS.values(), ids=OTHERS)
def test_a_hostile_client_that_asks_for_what_is_not_drawn_is_ended_and_none_of_it_reaches_the_machine(
    recording_proxy: Proxy, redis: Redis, display: TcpDisplay, said: bytes, mode: str
) -> None:
    fine = rfb.HELLO + rfb.SHARED + PLAYERS_FORMAT + rfb.update_request()
    with open_console(recording_proxy.url, issue(redis, record=True, mode=mode)) as console:
        for start in range(0, len(fine), 7):
            console.send(fine[start : start + 7])
        peer = display.peer()
        assert receive_exactly(peer, len(fine)) == fine
        console.send(said + rfb.update_request())
        assert closed_with(console) == (4414, WORDS)
        assert peer.recv(100) == b""


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_pictures_in_the_displays_own_format_are_not_to_be_had(
    recording_proxy: Proxy, redis: Redis, ask: bytes
) -> None:
    with open_console(recording_proxy.url, issue(redis, record=True)) as console:
        console.send(rfb.HELLO + rfb.SHARED + rfb.encodings([0]) + ask)
        assert closed_with(console) == (4414, WORDS)


@pytest.mark.parametrize("hello", [b"RFB 003.007\n\x01", b"RFB 003.008\n\x02"], ids=["3.7", "by password"])
def test_a_handshake_that_the_player_does_not_follow_is_ended(
    recording_proxy: Proxy, redis: Redis, hello: bytes
) -> None:
    with open_console(recording_proxy.url, issue(redis, record=True)) as console:
        console.send(hello)
        assert closed_with(console)[0] == 4414


@pytest.mark.parametrize("said", OTHERS.values(), ids=OTHERS)
def test_who_is_not_recorded_may_ask_for_anything(
    recording_proxy: Proxy, redis: Redis, display: TcpDisplay, said: bytes
) -> None:
    whole = rfb.HELLO + rfb.SHARED + said
    with open_console(recording_proxy.url, issue(redis)) as console:
        console.send(whole)
        assert receive_exactly(display.peer(), len(whole)) == whole


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=8), st.integers(1, 9))
def test_encodings_pass_exactly_when_the_player_knows_all_of_them(numbers: list[int], step: int) -> None:
    stream = ReplayableStream(Mode.CONTROL)
    whole = rfb.HELLO + rfb.SHARED + rfb.encodings(numbers)
    try:
        passed = b"".join(stream.feed(whole[at : at + step]) for at in range(0, len(whole), step))
    except Unreplayable:
        assert not ENCODINGS.issuperset(numbers)
    else:
        assert passed == whole
        assert ENCODINGS.issuperset(numbers)


def test_the_players_encodings_are_those_of_our_novnc() -> None:
    source = (ROOT / "node_modules/@novnc/novnc/core/encodings.js").read_text()
    named = {name: int(number, 0) for name, number in re.findall(r"(\w+ncoding\w+): (-?(?:0x[0-9a-f]+|\d+))", source)}
    ranges = {f"pseudoEncoding{kind}Level{end}" for kind in ("Quality", "Compress") for end in (0, 9)}
    plain = {
        number - (1 << 32) if number >= 1 << 31 else number for name, number in named.items() if name not in ranges
    }
    levels = {
        number
        for kind in ("Quality", "Compress")
        for number in range(named[f"pseudoEncoding{kind}Level0"], named[f"pseudoEncoding{kind}Level9"] + 1)
    }
    assert plain | levels == ENCODINGS
