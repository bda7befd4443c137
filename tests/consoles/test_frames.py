"""WebSocket frames as a stream: any split, any fragmentation, and everything that is not allowed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consoles.proxy.endings import GOODBYES, Ending
from consoles.proxy.frames import MAX_FRAME, FrameError, FrameReader, Opcode, Piece, close_payload, header
from tests.consoles.ws_bytes import frame

probe = st.tuples(st.just(Opcode.TEXT), st.from_regex(rb"\Aprobe [0-9]{1,10}\Z"))
control = st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125))
message = st.tuples(st.just(Opcode.BINARY), st.lists(st.binary(max_size=300), min_size=1, max_size=4))


def read(reader: FrameReader, data: bytes, cuts: list[int]) -> list[Piece]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [piece for start, end in pairwise(places) for piece in reader.feed(data[start:end])]


@given(st.lists(st.one_of(control, probe, message), max_size=12), st.lists(st.integers(0, 10_000), max_size=40))
def test_payload_comes_out_whatever_the_split_and_the_fragmentation(said, cuts):
    data, payload, controls = b"", b"", []
    for opcode, content in said:
        if opcode is Opcode.BINARY:
            for index, part in enumerate(content):
                data += frame(part, 2 if index == 0 else 0, fin=index == len(content) - 1)
                payload += part
        else:
            data += frame(content, opcode)
            controls.append(Piece(opcode, content))

    pieces = read(FrameReader(), data, cuts)

    assert b"".join(piece.payload for piece in pieces if piece.opcode is Opcode.BINARY) == payload
    assert [piece for piece in pieces if piece.opcode is not Opcode.BINARY] == controls


def test_a_ping_may_come_between_the_fragments_of_a_message():
    data = frame(b"ab", 2, fin=False) + frame(b"?", 9) + frame(b"cd", 0)

    pieces = list(FrameReader().feed(data))

    assert pieces == [Piece(Opcode.BINARY, b"ab"), Piece(Opcode.PING, b"?"), Piece(Opcode.BINARY, b"cd")]


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (frame(b"x", masked=False), Ending.BAD_FRAME),
        (frame(b"x", reserved=4), Ending.BAD_FRAME),
        (frame(b"x", 3), Ending.BAD_FRAME),
        (frame(b"x", 11), Ending.BAD_FRAME),
        (frame(b"x", 0), Ending.BAD_FRAME),
        (frame(b"x", 2, fin=False) + frame(b"y", 2), Ending.BAD_FRAME),
        (frame(b"x", 9, fin=False), Ending.BAD_FRAME),
        (frame(b"x" * 126, 9), Ending.BAD_FRAME),
        (frame(b"x", 1), Ending.NOT_BINARY),
        (frame(b"", 1), Ending.NOT_BINARY),
        (frame(b"probe ", 1), Ending.NOT_BINARY),
        (frame(b"probe 1\n", 1), Ending.NOT_BINARY),
        (frame(b"probe 1x", 1), Ending.NOT_BINARY),
        (frame(b"probe 12345678901", 1), Ending.NOT_BINARY),
        (frame(b"probe \xd9\xa1", 1), Ending.NOT_BINARY),
        (frame(b"probe 1", 1, fin=False) + frame(b"", 0), Ending.NOT_BINARY),
        (frame(b"ab", 2, fin=False) + frame(b"probe 1", 1), Ending.NOT_BINARY),
        (frame(b"probe 1", 1, masked=False), Ending.BAD_FRAME),
        (frame(b"probe 1", 1, reserved=4), Ending.BAD_FRAME),
        (frame(announced=MAX_FRAME + 1), Ending.TOO_BIG),
        (frame(announced=2**63), Ending.TOO_BIG),
    ],
    ids=[
        "unmasked",
        "reserved bit",
        "opcode 3",
        "opcode 11",
        "continuation of nothing",
        "message in a message",
        "fragmented ping",
        "long ping",
        "text",
        "empty text",
        "probe without a number",
        "probe of two lines",
        "probe and more",
        "long probe",
        "probe in other digits",
        "fragmented probe",
        "probe in a message",
        "unmasked probe",
        "probe with a reserved bit",
        "too big",
        "absurdly big",
    ],
)
def test_what_breaks_the_protocol_is_refused(data, ending):
    with pytest.raises(FrameError) as refused:
        list(FrameReader().feed(data))

    assert refused.value.ending is ending


def test_a_large_frame_streams_through_without_being_held():
    reader = FrameReader()
    data = frame(b"\x55" * MAX_FRAME)

    for start in range(0, len(data), 5000):
        assert sum(len(piece.payload) for piece in reader.feed(data[start : start + 5000])) <= 5000
        assert len(reader._rest) < 14


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
def test_headers_for_the_client_are_what_a_client_reads(length):
    from websockets.frames import Frame

    assert header(Opcode.BINARY, length) + b"x" * length == Frame(2, b"x" * length).serialize(mask=False)


def test_every_goodbye_fits_a_control_frame():
    assert all(len(close_payload(goodbye.code, goodbye.sentence)) <= 125 for goodbye in GOODBYES.values())
    assert set(Ending) - set(GOODBYES) == {Ending.UNUSED, Ending.LOST}
