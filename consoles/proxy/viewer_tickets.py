"""Tickets of native viewers: who holds the secret of a .vv file may use it, once; no cookie and no Origin is asked.

So they are kept apart from the tickets of pages, which are worth nothing without their login's cookie: those cannot be
used at a viewer's door, and these cannot be used for a WebSocket.
"""

from __future__ import annotations

import logging
import re
from uuid import UUID

from redis import Redis

from consoles.proxy import redis_names
from consoles.proxy.tickets import Claim, Denied

logger = logging.getLogger(__name__)

TICKET_SECONDS = 60
"""How long a .vv file may be opened after it was made."""
USER = "ticket"
"""The user name that .vv files carry beside their secret: protocols ask for one, it proves nothing."""
VIEWER = "viewer"
SPICE_PORT = 5900
"""What .vv files name; nobody listens there."""
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits


def ticket_of(secret: str) -> str:
    """Return the ticket that a file's secret stands for; no page's ticket has a dot."""
    return f"{VIEWER}.{secret}"


def secret_of(ticket: str) -> str:
    """Return what a file holds of its ticket."""
    return ticket.removeprefix(f"{VIEWER}.")


def target_of(machine: UUID) -> str:
    """Return what a .vv file of SPICE names as host and port, and CONNECT has to repeat."""
    return f"{machine}:{SPICE_PORT}"


def claim_of(redis: Redis, secret: str, protocol: str) -> Claim:
    """Return what a secret stands for. It is not used up yet.

    Raises:
        Denied: nothing, at this door.
        RedisError: Redis did not answer.
    """
    kept = redis.get(redis_names.ticket_key(ticket_of(secret))) if _SECRET.fullmatch(secret) else None
    if not isinstance(kept, str):
        raise Denied
    try:
        claim = Claim.parse(kept)
    except (KeyError, TypeError, ValueError):
        logger.warning("what is kept for a viewer's ticket was not understood")
        raise Denied from None
    if claim.client != VIEWER or claim.protocol != protocol or claim.record:  # a tape is of what a page understands
        raise Denied
    return claim
