"""RFB client messages in bytes, as a browser or an attacker would send them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

HELLO = b"RFB 003.008\n" + b"\x01"
EXCLUSIVE, SHARED = b"\x00", b"\x01"
DESKTOP_SIZE, EXTENDED_MOUSE_BUTTONS = -223, -316


def pixel_format() -> bytes:
    return struct.pack(">B3xBBBBHHHBBB3x", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)


def encodings(numbers: Sequence[int] = (0,)) -> bytes:
    return struct.pack(f">BxH{len(numbers)}i", 2, len(numbers), *numbers)


def update_request(width: int = 1, height: int = 1, incremental: int = 0) -> bytes:
    return struct.pack(">BBHHHH", 3, incremental, 0, 0, width, height)


def key(keysym: int, down: bool = True) -> bytes:
    return struct.pack(">BB2xI", 4, down, keysym)


def pointer(x: int = 0, y: int = 0, buttons: int = 0) -> bytes:
    return struct.pack(">BBHH", 5, buttons, x, y)


def extended_pointer(x: int = 0, y: int = 0, buttons: int = 0x180) -> bytes:
    return struct.pack(">BBHHB", 5, (buttons & 0x7F) | 0x80, x, y, buttons >> 7)


def cut_text(text: bytes = b"") -> bytes:
    return struct.pack(">B3xi", 6, len(text)) + text


def extended_cut_text(payload: bytes) -> bytes:
    return struct.pack(">B3xi", 6, -len(payload)) + payload


def continuous_updates(on: bool = True) -> bytes:
    return struct.pack(">BBHHHH", 150, on, 0, 0, 1, 1)


def fence(payload: bytes = b"") -> bytes:
    return struct.pack(">B3xIB", 248, 1 << 31, len(payload)) + payload


def xvp(code: int = 2) -> bytes:
    return struct.pack(">BxBB", 250, 1, code)


def desktop_size(screens: int = 1) -> bytes:
    return struct.pack(">BxHHBx", 251, 640, 480, screens) + b"\x00" * 16 * screens


def qemu_key(keysym: int, down: bool = True, code: int = 0x1E) -> bytes:
    return struct.pack(">BBHII", 255, 0, down, keysym, code)


def key_of(build: Callable[..., bytes], number: int, down: bool) -> bytes:
    """One key of a keyboard, with a keysym and a code of its own."""
    return build(number, down, number) if build is qemu_key else build(number, down)


def qemu_audio(operation: int) -> bytes:
    return struct.pack(">BBH", 255, 1, operation) + (b"\x00" * 6 if operation == 2 else b"")
