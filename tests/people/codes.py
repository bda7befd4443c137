"""The codes of an authenticator app, reckoned as RFC 6238 says and not by the portal."""

from __future__ import annotations

import base64
import hmac
import struct
import time


def code_of(secret: str, later: int = 0) -> str:
    """The six digits that an app shows so many steps of 30 s from now."""
    counter = int(time.time()) // 30 + later
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", counter), "sha1")
    [number] = struct.unpack(">I", digest[digest[-1] & 15 :][:4])
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"
