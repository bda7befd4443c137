"""Why a console session ends: the word for the audit, the WebSocket close code and sentence for its client."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """Why a session ended, as the audit row and `console:end` name it."""

    LEFT = "left"
    STOPPING = "stopping"
    BAD_FRAME = "bad_frame"
    NOT_BINARY = "not_binary"
    TOO_BIG = "too_big"
    BAD_RFB = "bad_rfb"
    BAD_SPICE = "bad_spice"
    LOGIN_ENDED = "login_ended"
    USER_DISABLED = "user_disabled"
    REVOKED = "revoked"
    NO_DISPLAY = "no_display"
    DISPLAY_CLOSED = "display_closed"
    SILENT = "silent"
    LAPSED = "lapsed"
    ENDED_BY_ADMIN = "ended_by_admin"
    IDLE = "idle"
    LIMIT = "limit"
    REPLACED = "replaced"
    HELD = "held"
    FULL = "full"
    UNRECORDED = "unrecorded"
    TAPE_FULL = "tape_full"
    UNREPLAYABLE = "unreplayable"
    HOST_UNREACHABLE = "host_unreachable"
    UNCHECKED = "unchecked"
    FAILED = "failed"
    UNUSED = "unused"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Goodbye:
    """What the client is told: a close code and at most 123 bytes of English for scripts and logs.

    Codes: 4401, 4403 and 4410 to 4419 mean "do not come back by yourself"; a page retries after all others.
    """

    code: int
    sentence: str


GOODBYES: dict[Ending, Goodbye] = {
    Ending.LEFT: Goodbye(1000, "Closed by its user."),
    Ending.STOPPING: Goodbye(1001, "The console proxy stops."),
    Ending.BAD_FRAME: Goodbye(1002, "Malformed WebSocket frame."),
    Ending.NOT_BINARY: Goodbye(1003, "Only binary messages are understood."),
    Ending.TOO_BIG: Goodbye(1009, "The WebSocket frame is too big."),
    Ending.FAILED: Goodbye(1011, "The console proxy failed."),
    Ending.BAD_RFB: Goodbye(4400, "That is not the RFB protocol."),
    Ending.BAD_SPICE: Goodbye(4400, "That is not the SPICE protocol, or not this ticket's channel."),
    Ending.LOGIN_ENDED: Goodbye(4401, "The login has ended."),
    Ending.USER_DISABLED: Goodbye(4401, "The user may no longer sign in."),
    Ending.REVOKED: Goodbye(4403, "The right to this console was taken away."),
    Ending.NO_DISPLAY: Goodbye(4404, "The machine is off or has no such display."),
    Ending.DISPLAY_CLOSED: Goodbye(4404, "The machine closed its display."),
    Ending.SILENT: Goodbye(4408, "Nothing was heard from the client for too long."),
    Ending.LAPSED: Goodbye(4409, "The portal no longer vouches for this console."),
    Ending.ENDED_BY_ADMIN: Goodbye(4410, "An administrator ended this console."),
    Ending.IDLE: Goodbye(4411, "Nothing was done at this console for too long."),
    Ending.LIMIT: Goodbye(4412, "This console was open for as long as one may be."),
    Ending.REPLACED: Goodbye(4413, "The screen was opened elsewhere, and only one can have it."),
    Ending.UNREPLAYABLE: Goodbye(
        4414, "This console is recorded, and its client asks for what a recording cannot show."
    ),
    Ending.HELD: Goodbye(4423, "Another program holds the machine's serial console."),
    Ending.UNRECORDED: Goodbye(4420, "This console has to be recorded, and that failed."),
    Ending.TAPE_FULL: Goodbye(4421, "The recording of this console is full; the next one begins."),
    Ending.FULL: Goodbye(4429, "The console proxy serves as many consoles as it may."),
    Ending.HOST_UNREACHABLE: Goodbye(4503, "The machine's host does not answer."),
    Ending.UNCHECKED: Goodbye(4504, "The portal could not be asked for too long."),
}
"""The endings that a proxy can tell its client. UNUSED and LOST are the auditor's: no client hears of them."""


def ending_of(word: str) -> Ending:
    """Return the ending that a message names; an unknown word still ends the session, as revoked."""
    try:
        return Ending(word)
    except ValueError:
        return Ending.REVOKED
