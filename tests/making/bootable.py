"""A disk image that boots: its first sector writes a word on the first serial port, again and again."""

from __future__ import annotations

WORDS = b"this disk boots\r\n"
_CODE = bytes.fromhex(
    "31c0 8ed8"  # xor ax, ax; mov ds, ax
    "be157c"  # again: mov si, the words at 0x7c15
    "ac 84c0 74f8"  # next: lodsb; test al, al; jz again
    "baf803 ee ebf5"  # mov dx, 0x3f8; out dx, al; jmp next
)


def boot_sector() -> bytes:
    """Return 512 bytes that a PC's BIOS boots from."""
    code = _CODE.ljust(0x15, b"\x90") + WORDS + b"\0"
    return code.ljust(510, b"\0") + b"\x55\xaa"
