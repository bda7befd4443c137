"""Asking the watcher to read a machine again: what whoever has acted on it does instead of writing its state."""

from __future__ import annotations

import json
import logging

from redis import RedisError

from machines.models import Machine
from machines.redis_client import redis_client

CHANNEL = "kvmportal:reread"
"""Redis channel; messages are {"host": id of the host, "machine": uuid}."""

log = logging.getLogger(__name__)


def ask(machine: Machine) -> None:
    """Ask the watcher of the machine's host to read it again now.

    Never raises: without Redis the watcher's next pass, seconds later, finds what changed.
    """
    try:
        redis_client().publish(CHANNEL, json.dumps({"host": machine.host_id, "machine": str(machine.uuid)}))
    except RedisError as error:
        log.warning("could not ask for a re-read of %s: %s", machine.uuid, error)
