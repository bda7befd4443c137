"""What is kept of a serial console."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consoles.proxy.scrollback import Scrollback


@given(st.lists(st.binary(max_size=40)))
def test_the_last_bytes_are_kept_at_their_places(pieces: list[bytes]) -> None:
    kept = Scrollback(64)
    for piece in pieces:
        kept.append(piece)
    whole = b"".join(pieces)
    assert kept.end == len(whole)
    assert kept.begin == max(0, len(whole) - 64)
    assert kept.read(kept.begin, 1000) == whole[-64:]
    assert kept.read(kept.end, 10) == b""
    assert kept.begin <= kept.first_line() <= kept.end
    assert kept.end - 256 <= kept.last_whole() <= kept.end


def test_whoever_comes_late_begins_with_a_whole_line() -> None:
    kept = Scrollback(20)
    kept.append(b"first line\r\nsecond\r\nthird")
    assert kept.read(kept.first_line(), 100) == b"second\r\nthird"
    whole = Scrollback(100)
    whole.append(b"first line\r\nsecond")
    assert whole.first_line() == 0
    one_line = Scrollback(10)
    one_line.append(b"x" * 50)
    assert one_line.first_line() == 40


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        (b"text", b"text"),
        (b"text\x1b", b"text"),
        (b"text\x1b[", b"text"),
        (b"text\x1b[31;1", b"text"),
        (b"text\x1b[31m", b"text\x1b[31m"),
        (b"text\x1b[6n", b"text\x1b[6n"),
        (b"text\x1b]0;titl", b"text"),
        (b"text\x1b]0;title\x1b", b"text"),
        (b"text\x1b]0;title\x07", b"text\x1b]0;title\x07"),
        (b"text\x1b]0;title\x1b\\", b"text\x1b]0;title\x1b\\"),
        (b"text\x1b(", b"text"),
        ("ä".encode()[:1], b""),
        ("€".encode()[:2], b""),
    ],
)
def test_nothing_is_cut_in_the_middle_of_a_sequence_or_character(said: bytes, whole: bytes) -> None:
    kept = Scrollback()
    kept.append(said)
    assert kept.read(0, kept.last_whole()) == whole
