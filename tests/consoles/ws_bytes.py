"""WebSocket frames in bytes, well-formed and not."""

from __future__ import annotations

import os
import struct


def frame(
    payload: bytes = b"",
    opcode: int = 2,
    *,
    fin: bool = True,
    masked: bool = True,
    reserved: int = 0,
    announced: int | None = None,
) -> bytes:
    """Build a client's frame; `announced` lies about its length."""
    length = len(payload) if announced is None else announced
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if length <= 125:
        head = struct.pack(">BB", first, mask_bit | length)
    elif length < 1 << 16:
        head = struct.pack(">BBH", first, mask_bit | 126, length)
    else:
        head = struct.pack(">BBQ", first, mask_bit | 127, length)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
