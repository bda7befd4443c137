"""What a browser or script may say on the socket of live updates."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

SIZE_LIMIT = 64 * 1024
"""Characters of one message."""
MACHINES_LIMIT = 500
OPERATIONS_LIMIT = 500


class BadMessage(ValueError):
    """A message that cannot be understood, with the code and sentence of the answer."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Watch:
    """From now on, send these machines and no others."""

    machines: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Versions:
    """What I have; send what differs."""

    machines: dict[UUID, int] = field(default_factory=dict)
    operations: dict[int, int] = field(default_factory=dict)
    consoles: dict[UUID, str] = field(default_factory=dict)
    """Of the machines at whose consoles somebody is, as far as the sender knows."""
    notices: str | None = None
    """Of what is announced; None from who does not care."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer at once, with the same number: how long that takes is a measure of the way between."""

    number: int


Message = Watch | Versions | Ping


def parse(text: str | None) -> Message:
    """Read one message; None stands for a binary frame.

    Raises:
        BadMessage: it is not one of ours.
    """
    if text is None:
        raise BadMessage("malformed", "Send text, not bytes.")
    if len(text) > SIZE_LIMIT:
        raise BadMessage("too_large", f"A message may have {SIZE_LIMIT} characters.")
    try:
        return _read(json.loads(text))
    except BadMessage:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise BadMessage("malformed", 'Send {"type": "watch", "machines": [uuid, ...]} or "versions".') from error


def _read(message: dict[str, Any]) -> Message:
    match message["type"]:
        case "ping":
            return Ping(int(message["number"]))
        case "watch":
            return Watch(frozenset(UUID(uuid) for uuid in _limited(list(message["machines"]), MACHINES_LIMIT)))
        case "versions":
            machines = _limited(message.get("machines", {}), MACHINES_LIMIT)
            operations = _limited(message.get("operations", {}), OPERATIONS_LIMIT)
            consoles = _limited(message.get("consoles", {}), MACHINES_LIMIT)
            return Versions(
                {UUID(uuid): int(version) for uuid, version in machines.items()},
                {int(pk): int(version) for pk, version in operations.items()},
                {UUID(uuid): str(version) for uuid, version in consoles.items()},
                None if (notices := message.get("notices")) is None else str(notices),
            )
        case _:
            raise BadMessage("malformed", "The message types are watch, versions and ping.")


def _limited(things: Any, limit: int) -> Any:
    if len(things) > limit:
        raise BadMessage("too_many", f"A message may name {limit} at most.")
    return things
