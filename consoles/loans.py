"""Control that was lent to a page which has gone: kept for a moment, since a page that is loaded again comes back.

The lender has control meanwhile. A loan is kept in Redis for the login that had it, one at each machine and protocol,
and is worth nothing any more once somebody has decided something else about who types there.
"""

from __future__ import annotations

import logging
from uuid import UUID

from redis import RedisError

from consoles.models import ConsoleSession
from consoles.proxy.endings import Ending
from machines.redis_client import redis_client
from people.logins import login_digest

logger = logging.getLogger(__name__)

KEPT_SECONDS = 15
BROKEN = frozenset(
    {Ending.STOPPING, Ending.LOST, Ending.SILENT, Ending.FAILED, Ending.UNCHECKED, Ending.LAPSED, Ending.DISPLAY_CLOSED}
)
"""Endings that nobody wanted."""
KEPT_AFTER = BROKEN | {Ending.LEFT}
"""Endings after which the page may come back: also one that is loaded again is left."""


def keep(session: ConsoleSession) -> None:
    """Keep the loan of a session that ends now. Never raises: without Redis the loan ends with its session."""
    if not session.granted_by_id:
        return
    kept = f"{login_digest(session.login)} {session.granted_by_id}"
    try:
        redis_client().set(_key(session.machine_id, session.protocol), kept, ex=KEPT_SECONDS)
    except RedisError as error:
        logger.warning("a loan of control is not kept: %s", error)


def take_up(session: ConsoleSession) -> int | None:
    """Return who lent control to the login of a new session a moment ago, None if nobody did. It is kept no longer.

    Raises:
        RedisError: Redis does not answer, so this session can have no tickets either.
    """
    key = _key(session.machine_id, session.protocol)
    login, _, lender = str(redis_client().get(key) or "").partition(" ")
    if login != login_digest(session.login):
        return None
    redis_client().delete(key)
    return int(lender)


def forget(machine: UUID, protocol: str) -> None:
    """Forget the loan that is kept here: somebody decided who types. Never raises; it ends by itself soon."""
    try:
        redis_client().delete(_key(machine, protocol))
    except RedisError as error:
        logger.warning("a loan of control is kept for %d s more: %s", KEPT_SECONDS, error)


def _key(machine: UUID, protocol: str) -> str:
    return f"console:loan:{machine}:{protocol}"
