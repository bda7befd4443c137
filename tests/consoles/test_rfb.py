"""The filter over what a client says, for every order of messages and every way a stream may be split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consoles.proxy.modes import Mode
from consoles.proxy.rfb import MAX_ENCODINGS, MAX_TEXT, ClientStream, RfbError
from tests.consoles import rfb_bytes as rfb

numbers = st.integers(0, 0xFFFF)
harmless = st.one_of(
    st.builds(rfb.pixel_format),
    st.builds(rfb.encodings, st.lists(st.integers(-(2**31), 2**31 - 1).filter(lambda n: n != -316), max_size=40)),
    st.builds(rfb.update_request, numbers, numbers, st.integers(0, 1)),
    st.builds(rfb.continuous_updates, st.booleans()),
    st.builds(rfb.fence, st.binary(max_size=64)),
)
touching = st.one_of(
    st.builds(rfb.key, st.integers(0, 2**32 - 1), st.booleans()),
    st.builds(rfb.pointer, numbers, numbers, st.integers(0, 255)),
    st.builds(rfb.cut_text, st.binary(max_size=300)),
    st.builds(rfb.extended_cut_text, st.binary(min_size=4, max_size=300)),
    st.builds(rfb.xvp, st.integers(2, 4)),
    st.builds(rfb.desktop_size, st.integers(0, 4)),
    st.builds(rfb.qemu_key, st.integers(0, 2**32 - 1), st.booleans()),
    st.builds(rfb.qemu_audio, st.integers(0, 2)),
)
greetings = st.sampled_from(
    [
        b"RFB 003.008\n\x01",
        b"RFB 003.007\n\x01",
        b"RFB 003.008\n\x02" + bytes(range(16)),
    ],
)
messages = st.lists(st.one_of(harmless.map(lambda m: (m, True)), touching.map(lambda m: (m, False))), max_size=30)


def split(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut data at these places (taken modulo its length)."""
    cuts = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(cuts)]


def fed(stream: ClientStream, data: bytes, places: Sequence[int] = ()) -> bytes:
    return b"".join(stream.feed(piece) for piece in split(data, places))


@given(greetings, st.integers(0, 255), messages, st.lists(st.integers(0, 100_000), max_size=60))
def test_view_mode_passes_exactly_what_cannot_touch_the_machine(greeting, shared, said, places):
    sent = greeting + bytes([shared]) + b"".join(message for message, _ in said)
    passed = greeting + b"\x01" + b"".join(message for message, is_harmless in said if is_harmless)

    assert fed(ClientStream(Mode.VIEW), sent, places) == passed


@given(greetings, st.integers(0, 255), messages, st.lists(st.integers(0, 100_000), max_size=60))
def test_control_mode_passes_everything_but_the_wish_to_be_alone(greeting, shared, said, places):
    body = b"".join(message for message, _ in said)

    passed = fed(ClientStream(Mode.CONTROL), greeting + bytes([shared]) + body, places)

    assert passed == greeting + b"\x01" + body


@given(greetings, messages, messages, messages, st.lists(st.integers(0, 100_000), max_size=60))
def test_mode_changes_at_a_message_boundary_wherever_the_stream_is(greeting, first, second, third, places):
    stream = ClientStream(Mode.CONTROL)
    one, two, three = (b"".join(message for message, _ in said) for said in (first, second, third))
    passed = fed(stream, greeting + b"\x00" + one, places)
    stream.change_mode(Mode.VIEW)
    passed += fed(stream, two, places)
    stream.change_mode(Mode.CONTROL)
    passed += fed(stream, three, places)

    harmless_two = b"".join(message for message, is_harmless in second if is_harmless)
    assert passed == greeting + b"\x01" + one + harmless_two + three


@given(touching.filter(lambda message: message[0] != 6), st.integers(1, 10_000), messages)
def test_what_was_half_said_when_control_was_taken_back_is_dropped_whole(message, cut, said):
    stream = ClientStream(Mode.CONTROL)
    stream.feed(rfb.HELLO + rfb.SHARED)
    cut = min(cut, len(message) - 1)
    passed = stream.feed(message[:cut]) + stream.change_mode(Mode.VIEW)

    passed += stream.feed(message[cut:] + b"".join(message for message, _ in said))

    assert passed == b"".join(message for message, is_harmless in said if is_harmless)


@given(st.binary(min_size=2, max_size=300), st.integers(1, 299), messages)
def test_nothing_of_a_long_text_passes_after_control_was_taken_back(text, cut, said):
    stream = ClientStream(Mode.CONTROL)
    stream.feed(rfb.HELLO + rfb.SHARED)
    message, cut = rfb.cut_text(text), 8 + min(cut, len(text) - 1)
    begun = stream.feed(message[:cut])
    filled = stream.change_mode(Mode.VIEW)

    rest = stream.feed(message[cut:] + b"".join(message for message, _ in said))

    assert begun == message[:cut]
    assert filled == b" " * (len(message) - cut), "the machine still finds where the next message begins"
    assert rest == b"".join(message for message, is_harmless in said if is_harmless)


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=40), st.booleans())
def test_keys_that_were_held_when_control_was_taken_back_are_let_go(strokes, extended):
    build = rfb.qemu_key if extended else rfb.key
    stream = ClientStream(Mode.CONTROL)
    stream.feed(rfb.HELLO + rfb.SHARED + b"".join(rfb.key_of(build, key, down) for key, down in strokes))
    held = [key for key, down in dict(strokes).items() if down]

    let_go = stream.change_mode(Mode.VIEW)

    assert sorted(split(let_go, range(0, len(let_go), len(build(0))))) == sorted(
        rfb.key_of(build, key, False) for key in held
    ) or (not held and not let_go)
    stream.change_mode(Mode.CONTROL)
    assert stream.change_mode(Mode.VIEW) == b""


@pytest.mark.parametrize("buttons", [0, 1, 0x84])
def test_mouse_buttons_that_were_held_when_control_was_taken_back_are_let_go(buttons):
    stream = ClientStream(Mode.CONTROL)
    stream.feed(rfb.HELLO + rfb.SHARED + rfb.pointer(7, 8, buttons))

    assert stream.change_mode(Mode.VIEW) == (rfb.pointer(7, 8, 0) if buttons else b"")


def test_too_many_keys_held_at_once_end_the_session():
    stream = ClientStream(Mode.CONTROL)
    stream.feed(rfb.HELLO + rfb.SHARED + b"".join(map(rfb.key, range(256))))
    with pytest.raises(RfbError):
        stream.feed(rfb.key(256))


@given(st.sampled_from(list(Mode)), messages)
def test_keys_pointer_and_text_are_what_a_person_does_passed_on_or_not(mode, said):
    stream = ClientStream(mode)
    fed(stream, rfb.HELLO + rfb.SHARED + b"".join(message for message, _ in said))

    assert stream.acts == sum(message[0] in {4, 5, 6, 250} or message[:2] == b"\xff\x00" for message, _ in said)


@given(messages, st.integers(0, 255).filter(lambda n: n not in {0, 2, 3, 4, 5, 6, 150, 248, 250, 251, 255}))
def test_unknown_message_ends_the_session_in_every_mode(said, number):
    for mode in Mode:
        stream = ClientStream(mode)
        stream.feed(rfb.HELLO + rfb.SHARED + b"".join(message for message, _ in said))
        with pytest.raises(RfbError):
            stream.feed(bytes([number]))


@given(st.binary(min_size=12, max_size=40).filter(lambda data: data[:12] not in (b"RFB 003.007\n", b"RFB 003.008\n")))
def test_something_else_than_rfb_ends_the_session(data):
    with pytest.raises(RfbError):
        ClientStream(Mode.CONTROL).feed(data)


@pytest.mark.parametrize("version", [b"RFB 003.003\n", b"RFB 003.889\n", b"RFB 004.000\n"])
def test_versions_with_another_handshake_are_refused(version):
    with pytest.raises(RfbError):
        ClientStream(Mode.VIEW).feed(version)


@pytest.mark.parametrize("security", [0, 5, 16, 18, 19, 20, 30, 255])
def test_security_types_whose_bytes_are_not_understood_are_refused(security):
    with pytest.raises(RfbError):
        ClientStream(Mode.VIEW).feed(b"RFB 003.008\n" + bytes([security]))


@pytest.mark.parametrize(
    "message",
    [
        rfb.cut_text()[:4] + (MAX_TEXT + 1).to_bytes(4, "big"),
        rfb.cut_text()[:4] + (-MAX_TEXT - 1).to_bytes(4, "big", signed=True),
        rfb.cut_text()[:4] + (-(2**31)).to_bytes(4, "big", signed=True),
        rfb.encodings()[:2] + (MAX_ENCODINGS + 1).to_bytes(2, "big"),
        b"\xff\x02\x00\x00",
        b"\xff\x01\x00\x03",
    ],
    ids=["text too long", "extended text too long", "smallest number", "many encodings", "QEMU 2", "audio 3"],
)
def test_absurd_messages_end_the_session(message):
    stream = ClientStream(Mode.VIEW)
    stream.feed(rfb.HELLO + rfb.SHARED)
    with pytest.raises(RfbError):
        stream.feed(message)


def test_large_messages_are_dropped_without_being_held():
    stream = ClientStream(Mode.VIEW)
    stream.feed(rfb.HELLO + rfb.SHARED)
    text = rfb.cut_text(b"x" * MAX_TEXT)

    for start in range(0, len(text), 1000):
        assert stream.feed(text[start : start + 1000]) == b""
        assert len(stream._held) <= 12

    assert stream.feed(rfb.update_request()) == rfb.update_request()


@given(st.integers(0, 2**10), st.integers(0, 2**15 - 1))
def test_more_mouse_buttons_are_seven_bytes_once_the_client_announced_them(x, buttons):
    said = rfb.encodings([0, rfb.EXTENDED_MOUSE_BUTTONS]) + rfb.extended_pointer(x, x, buttons) + rfb.key(1)

    assert fed(ClientStream(Mode.CONTROL), rfb.HELLO + rfb.SHARED + said, range(40)).endswith(said)
    assert fed(ClientStream(Mode.VIEW), rfb.HELLO + rfb.SHARED + said).endswith(said[: -7 - 8])


def test_an_eighth_button_is_six_bytes_when_no_more_were_announced():
    said = rfb.pointer(1, 1, 0x80) + rfb.key(1)

    assert ClientStream(Mode.CONTROL).feed(rfb.HELLO + rfb.SHARED + said).endswith(said)


def test_taking_control_away_is_refused_when_the_boundaries_may_have_been_read_differently():
    stream = ClientStream(Mode.CONTROL)
    stream.feed(rfb.HELLO + rfb.SHARED + rfb.encodings([rfb.EXTENDED_MOUSE_BUTTONS]) + rfb.extended_pointer())

    with pytest.raises(RfbError):
        stream.change_mode(Mode.VIEW)
