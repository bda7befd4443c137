"""A tone from a guest without sound drivers: a Yamaha OPL2 (QEMU's `adlib`), set by a program of a few instructions.

The small guest's kernel has no /dev/port, so the program asks for the ports itself (iopl) and writes to them.
"""

from __future__ import annotations

import base64
import struct

from tests.guest import Guest

DEVICE = "adlib,audiodev=audio1"
HERTZ = 310
"""Of the tone: 408 * 49,716 / 2**16."""
_REGISTER, _VALUE = 0x388, 0x389
_SOUND = (0x20, 0x21, 0x40, 0x10, 0x60, 0xF0, 0x80, 0x77, 0xA0, 0x98, 0x23, 0x21, 0x43, 0x00, 0x63, 0xF0, 0x83, 0x77)
"""Registers and values: two operators that last as long as the key is down, and the lower part of the pitch."""
_KEY, _DOWN, _UP = 0xB0, 0x31, 0x00
_IOPL, _EXIT = 172, 60
_BASE = 0x400000


def play(guest: Guest) -> None:
    """Strike the key."""
    _run(guest, (*_SOUND, _KEY, _DOWN))


def hush(guest: Guest) -> None:
    """Let it go."""
    _run(guest, (_KEY, _UP))


def _run(guest: Guest, writes: tuple[int, ...]) -> None:
    encoded = base64.b64encode(_program(writes)).decode()
    guest.run(f"echo {encoded} | base64 -d >/tmp/opl2; chmod +x /tmp/opl2; /tmp/opl2")


def _program(writes: tuple[int, ...]) -> bytes:
    """Return an ELF file for x86-64 that makes these writes, register and value in turn, and exits."""
    code = _syscall(_IOPL, 3)
    for port, byte in zip((_REGISTER, _VALUE) * (len(writes) // 2), writes, strict=True):
        code += b"\x66\xba" + struct.pack("<H", port) + bytes((0xB0, byte, 0xEE))  # mov dx; mov al; out dx, al
    code += _syscall(_EXIT, 0)
    size = 64 + 56 + len(code)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head = identity + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _BASE + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000) + code


def _syscall(number: int, argument: int) -> bytes:
    """Return the instructions: mov eax, number; mov edi, argument; syscall."""
    return b"\xb8" + struct.pack("<I", number) + b"\xbf" + struct.pack("<I", argument) + b"\x0f\x05"
