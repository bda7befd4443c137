"""The filter over what a SPICE client says on each channel, for every order of messages and every split."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consoles.proxy.endings import Ending
from consoles.proxy.modes import Mode
from consoles.proxy.spice import (
    AGENT_HEADER,
    MAX_MESSAGE,
    NUMBERS,
    SHOWING,
    STREAMS,
    Channel,
    ChannelClosed,
    SpiceError,
    SpiceStream,
    channels_of,
)
from tests.consoles import spice_bytes as spice
from tests.consoles.test_rfb import split

AGENT_DATA = 107
places = st.lists(st.integers(0, 100_000), max_size=60)
kinds = st.one_of(st.sampled_from([1, 2, 3, 4, 5, 6, *range(101, 115)]), st.integers(0, 0xFFFF))
bodies = st.binary(max_size=200)
said_there = st.lists(st.tuples(kinds, bodies), max_size=20)
modes = st.sampled_from(list(Mode))

PASSED = {
    spice.MAIN: {1, 2, 3, 6, 101, 104, 106, 108},
    spice.DISPLAY: {1, 2, 3, 6, 101, 102, 103, 104, 105},
    spice.CURSOR: {1, 2, 3, 6},
    spice.PLAYBACK: {1, 2, 3, 6},
}
"""What a viewer may say: written down here again, so that the filter's own list is not its own witness."""


def stream_of(mode: Mode, *channels: int, taken: set[tuple[int, int]] | None = None) -> SpiceStream:
    opened = set() if taken is None else taken

    def claim(kind: int, number: int) -> bool:
        free = (kind, number) not in opened
        opened.add((kind, number))
        return free

    return SpiceStream(mode, {NUMBERS[channel] for channel in channels}, claim)


def fed(stream: SpiceStream, data: bytes, cuts: Sequence[int] = ()) -> bytes:
    return b"".join(stream.feed(piece) for piece in split(data, cuts))


def no_agent(said: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    return [(kind, body) for kind, body in said if kind != AGENT_DATA]


@given(st.sampled_from(sorted(PASSED)), st.booleans(), st.booleans(), said_there, places)
def test_view_mode_passes_exactly_what_cannot_touch_the_machine(channel, mini, selects, said, cuts):
    said = no_agent(said) if channel == spice.MAIN else said
    hello = spice.hello(channel, mini=mini, selects=selects)
    sent = hello + b"".join(spice.message(kind, body, mini=mini) for kind, body in said)

    passed = fed(stream_of(Mode.VIEW, channel), sent, cuts)

    wanted = [spice.message(kind, body, mini=mini) for kind, body in said if kind in PASSED[channel]]
    assert passed == hello + b"".join(wanted)


@given(st.sampled_from(sorted(NUMBERS)), st.booleans(), st.booleans(), said_there, places)
def test_control_mode_passes_everything(channel, mini, selects, said, cuts):
    said = [(kind, body) for kind, body in no_agent(said) if kind != 104 or channel != spice.INPUTS]
    sent = spice.hello(channel, mini=mini, selects=selects)
    sent += b"".join(spice.message(kind, body, mini=mini) for kind, body in said)

    assert fed(stream_of(Mode.CONTROL, channel), sent, cuts) == sent


@given(st.lists(st.tuples(st.integers(0, 20), st.binary(max_size=500)), max_size=8), st.integers(20, 200), places)
def test_nothing_to_the_guests_agent_passes_in_view_mode(said, longest, cuts):
    messages = [spice.agent(kind, body) for kind, body in said]
    data = [spice.message(AGENT_DATA, piece) for whole in messages for piece in spice.pieces(whole, longest)]
    hello, pong = spice.hello(spice.MAIN), spice.message(3, b"pong")

    assert fed(stream_of(Mode.VIEW, spice.MAIN), hello + b"".join(data) + pong, cuts) == hello + pong
    assert fed(stream_of(Mode.CONTROL, spice.MAIN), hello + b"".join(data), cuts) == hello + b"".join(data)


@given(st.sampled_from(sorted(NUMBERS)), st.sampled_from(sorted(NUMBERS)), modes, places)
def test_a_channel_that_is_not_the_tickets_is_refused_and_nothing_of_it_passes(ticket, opened, mode, cuts):
    stream = stream_of(mode, ticket)
    passed = b""
    allowed = ticket == opened and (mode is Mode.CONTROL or NUMBERS[opened] in SHOWING)
    try:
        for piece in split(spice.hello(opened), cuts):
            passed += stream.feed(piece)
    except SpiceError as error:
        assert not allowed
        assert error.ending is Ending.BAD_SPICE
        assert passed == b""
    else:
        assert allowed


@pytest.mark.parametrize("channel", [0, 7, 12, 255])
def test_unknown_channels_are_refused(channel):
    with pytest.raises(SpiceError):
        stream_of(Mode.CONTROL, *NUMBERS).feed(spice.hello(channel))


def test_a_channel_is_opened_once_in_a_session():
    taken: set[tuple[int, int]] = set()
    stream_of(Mode.CONTROL, spice.USBREDIR, taken=taken).feed(spice.hello(spice.USBREDIR))
    stream_of(Mode.CONTROL, spice.USBREDIR, taken=taken).feed(spice.hello(spice.USBREDIR, number=1))
    with pytest.raises(SpiceError):
        stream_of(Mode.CONTROL, spice.USBREDIR, taken=taken).feed(spice.hello(spice.USBREDIR))


@pytest.mark.parametrize(
    "link",
    [
        spice.link(spice.MAIN, magic=b"REDX"),
        spice.link(spice.MAIN, major=1),
        spice.link(spice.MAIN, size=17),
        spice.link(spice.MAIN, size=4097),
        spice.link(spice.MAIN, size=2**32 - 1),
        spice.link(spice.MAIN, offset=17),
        spice.link(spice.MAIN, offset=19),
        spice.link(spice.MAIN, offset=2**32 - 1),
        spice.link(spice.MAIN)[:22] + b"\xff\xff\xff\xff" + spice.link(spice.MAIN)[26:],
        b"GET / HTTP/1.1\r\n",
        b"RFB 003.008\n\x01\x01\x00\x00",
    ],
    ids=["magic", "version", "short", "long", "absurd", "early", "late", "far", "many", "HTTP", "RFB"],
)
def test_what_is_no_link_message_ends_the_session_and_nothing_passes(link):
    stream = stream_of(Mode.CONTROL, spice.MAIN)
    with pytest.raises(SpiceError):
        stream.feed(link + bytes(5000))


@given(st.binary(max_size=400), modes, places)
def test_no_bytes_confuse_the_filter_nor_make_it_hold_much(data, mode, cuts):
    stream = stream_of(mode, *PASSED)
    try:
        fed(stream, spice.link(spice.DISPLAY)[: len(data) % 40] + data, cuts)
    except SpiceError:
        return
    assert len(stream._held) <= 16 + 4096


def test_other_authentication_is_refused():
    with pytest.raises(SpiceError):
        stream_of(Mode.CONTROL, spice.MAIN).feed(spice.link(spice.MAIN) + b"\x02\x00\x00\x00")


@pytest.mark.parametrize("mini", [True, False])
def test_a_message_that_no_server_would_take_ends_the_session(mini):
    stream = stream_of(Mode.CONTROL, spice.MAIN)
    stream.feed(spice.hello(spice.MAIN, mini=mini))
    with pytest.raises(SpiceError):
        stream.feed(spice.message(101, size=MAX_MESSAGE + 1, mini=mini))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    "piece",
    [
        spice.agent(4)[: AGENT_HEADER - 1],
        spice.agent(4, b"text") + spice.agent(4),
        b"",
    ],
    ids=["half a header", "two messages", "nothing"],
)
def test_messages_to_the_agent_that_no_server_would_take_end_the_session(mode, piece):
    stream = stream_of(mode, spice.MAIN)
    stream.feed(spice.hello(spice.MAIN))
    with pytest.raises(SpiceError):
        stream.feed(spice.message(AGENT_DATA, piece))


@given(st.booleans(), said_there, said_there, said_there, places)
def test_mode_changes_at_once_wherever_the_stream_is(mini, first, second, third, cuts):
    stream = stream_of(Mode.CONTROL, spice.DISPLAY)
    one, two, three = (
        b"".join(spice.message(kind, body, mini=mini) for kind, body in said) for said in (first, second, third)
    )
    passed = fed(stream, spice.hello(spice.DISPLAY, mini=mini) + one, cuts)
    passed += stream.change_mode(Mode.VIEW)
    passed += fed(stream, two, cuts)
    passed += stream.change_mode(Mode.CONTROL)
    passed += fed(stream, three, cuts)

    harmless = [spice.message(kind, body, mini=mini) for kind, body in second if kind in PASSED[spice.DISPLAY]]
    assert passed == spice.hello(spice.DISPLAY, mini=mini) + one + b"".join(harmless) + three


@given(st.sampled_from([101, 102, 103, 104, 111, 112, 113, 114]), st.binary(max_size=8), st.integers(1, 20), places)
def test_keys_and_mouse_do_not_pass_once_control_was_taken_back_not_even_half_said(kind, body, cut, cuts):
    stream = stream_of(Mode.CONTROL, spice.INPUTS)
    fed(stream, spice.hello(spice.INPUTS))
    said = spice.message(kind, body)
    cut = min(cut, len(said) - 1)

    passed = stream.feed(said[:cut]) + stream.change_mode(Mode.VIEW)
    passed += fed(stream, said[cut:] + said + spice.message(2), cuts)

    assert passed == spice.message(2)
    assert stream.acts == 2


@pytest.mark.parametrize("mini", [True, False])
def test_keys_and_buttons_that_were_held_when_control_was_taken_back_are_let_go(mini):
    stream = stream_of(Mode.CONTROL, spice.INPUTS)
    stream.feed(spice.hello(spice.INPUTS, mini=mini))
    for code in (0x1E, 0x9E, 0x2A, 0x48E0):  # A pressed and let go; shift and arrow up stay
        stream.feed(spice.message(101 if code != 0x9E else 102, spice.key_down(code), mini=mini))
    stream.feed(spice.message(104, b"\x1d\x38\xb8", mini=mini))  # control stays, alt is let go again
    stream.feed(spice.message(113, spice.button(1, 1), mini=mini))

    let_go = spice.read(stream.change_mode(Mode.VIEW), mini=mini)

    up = [(102, spice.key_down(code)) for code in (0x9D, 0xAA, 0xC8E0)]
    assert sorted(let_go[:3]) == sorted(up)
    assert let_go[3:] == [(114, spice.button(1, 0))]
    assert stream.change_mode(Mode.VIEW) == b""


@given(st.binary(min_size=30, max_size=100), st.integers(20, 29))
def test_control_is_not_taken_back_in_the_middle_of_a_message_to_the_agent(body, first):
    stream = stream_of(Mode.CONTROL, spice.MAIN)
    stream.feed(spice.hello(spice.MAIN) + spice.message(AGENT_DATA, spice.agent(4, body)[:first]))
    with pytest.raises(SpiceError):
        stream.change_mode(Mode.VIEW)


def test_a_message_to_the_agent_that_began_in_view_mode_is_dropped_to_its_end():
    stream = stream_of(Mode.VIEW, spice.MAIN)
    stream.feed(spice.hello(spice.MAIN))
    first, rest = spice.pieces(spice.agent(4, b"x" * 20), 30)
    passed = stream.feed(spice.message(AGENT_DATA, first))
    passed += stream.change_mode(Mode.CONTROL)
    passed += stream.feed(spice.message(AGENT_DATA, rest) + spice.message(AGENT_DATA, spice.agent(9)))

    assert passed == spice.message(AGENT_DATA, spice.agent(9))


@given(st.sampled_from(sorted(n for n in NUMBERS if NUMBERS[n] in STREAMS)), st.binary(max_size=300), places)
def test_a_devices_channel_carries_anything_until_control_is_taken_back(channel, data, cuts):
    stream = stream_of(Mode.CONTROL, channel)
    hello = spice.hello(channel)

    assert fed(stream, hello + data, cuts) == hello + data
    with pytest.raises(ChannelClosed) as closed:
        stream.change_mode(Mode.VIEW)
    assert closed.value.ending is Ending.REVOKED


def test_who_may_only_look_gets_tickets_for_showing_only():
    for client in ("page", "viewer", "script"):
        assert set(channels_of(client, Mode.VIEW, microphone=True)) == {"main", "display", "cursor", "playback"}
    assert set(channels_of("page", Mode.CONTROL)) == {"main", "display", "cursor", "playback", "inputs"}
    assert {Channel.USBREDIR, Channel.WEBDAV} <= set(channels_of("viewer", Mode.CONTROL))
    assert Channel.RECORD not in channels_of("viewer", Mode.CONTROL)
    assert Channel.RECORD in channels_of("viewer", Mode.CONTROL, microphone=True)
