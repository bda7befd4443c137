"""What goes with a request for help by itself: state, last operations, what the guest's agent says, the screen."""

from __future__ import annotations

import logging
from typing import Any

from redis import RedisError

from consoles import picture_shelf, thumbnails
from consoles.picture_sizes import Size
from lifecycle.models import Operation
from lifecycle.payload import operation_payload
from machines.models import Machine
from machines.payload import machine_payload

OPERATIONS = 5
_STATE = (
    "host",
    "host_reachable",
    "state",
    "state_reason",
    "state_since",
    "has_saved_image",
    "snapshot_count",
    "vcpus",
    "memory_bytes",
    "graphics",
    "agent_connected",
    "addresses",
)
_OPERATION = ("id", "label", "status", "message", "requested_by", "created_at", "finished_at")

logger = logging.getLogger(__name__)


def facts_of(machine: Machine) -> dict[str, Any]:
    """Return what the portal knows of a machine now, and its last operations, newest first (one query)."""
    state: Any = machine_payload(machine)
    rows = Operation.objects.with_machine().filter(machine=machine)[:OPERATIONS]
    operations: list[Any] = [operation_payload(row) for row in rows]
    return {
        **{name: state[name] for name in _STATE},
        "operations": [{name: told[name] for name in _OPERATION} for told in operations],
    }


def may_be_pictured(machine: Machine) -> bool:
    """Return whether there is a screen now, and no policy forbids pictures of it."""
    return thumbnails.has_screen(machine) and not thumbnails.switched_off([machine.pk])


def picture_of(machine: Machine) -> bytes | None:
    """Return the last picture of a machine's screen; where there is none (yet), have one taken and return None."""
    try:
        found = picture_shelf.picture(machine.pk, Size.LARGE) or picture_shelf.picture(machine.pk, Size.SMALL)
        if found is None:
            picture_shelf.want({machine.pk: machine.host_id}, Size.LARGE)
    except RedisError as error:
        logger.warning("a request for help goes without a picture: %s", error)
        return None
    return found.image if found else None
