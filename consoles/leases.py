"""What proxies are told of sessions that go on: what they may do now, and that someone wants one kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.utils import timezone
from redis import RedisError

from consoles.models import Client, ConsoleSession
from consoles.proxy import redis_names, viewer_tickets
from machines.redis_client import redis_client

logger = logging.getLogger(__name__)


def open_within(client: str) -> int:
    """Return for how many seconds the tickets of such a client are good."""
    return viewer_tickets.TICKET_SECONDS if client == Client.VIEWER else redis_names.TICKET_SECONDS


def is_usable(session: ConsoleSession) -> bool:
    """Return whether a session that has not ended is open or may still be opened by its tickets."""
    if session.opened_at:
        return True
    return timezone.now() < session.asked_at + timedelta(seconds=open_within(session.client))


def is_there(session: ConsoleSession) -> bool:
    """Return whether a session keeps others from what only one person can have.

    A page opens its tickets at once; a viewer's file may lie about, so it counts only when it was opened.
    """
    return bool(session.opened_at) or (session.client != Client.VIEWER and is_usable(session))


def vouch_for(session: UUID, *, open_within: int = redis_names.TICKET_SECONDS) -> None:
    """Give a new session its lease, which lets it look only until `write_modes` knows better.

    Args:
        session: its id.
        open_within: how many seconds its tickets are good for. From then on the lease is renewed, or runs out.

    Raises:
        RedisError: it cannot be kept now.
    """
    seconds = redis_names.LEASE_SECONDS - redis_names.TICKET_SECONDS + open_within
    redis_client().set(redis_names.lease_key(str(session)), "view", ex=seconds)


def write_modes(sessions: Collection[UUID]) -> None:
    """Write into leases what these sessions may do, as their rows say now, and tell their proxies.

    Someone else may write at the same time: whoever writes looks again afterwards, so that the last word is the rows'.

    Raises:
        RedisError: it cannot be written now; the auditor does it later.
    """
    written: dict[UUID, str] = {}
    rows = ConsoleSession.objects.order_by().filter(pk__in=sessions, ended_at=None)
    while (modes := dict(rows.values_list("pk", "mode"))) != written:
        with redis_client().pipeline() as pipe:
            for session, mode in modes.items():  # only a lease that exists: one that was taken away stays away
                pipe.set(redis_names.lease_key(str(session)), mode, xx=True, keepttl=True)
                said = {"session": str(session), "tell": "mode", "mode": mode}
                pipe.publish(redis_names.TELL_CHANNEL, json.dumps(said))
            pipe.execute()
        written = modes


def tell_modes(sessions: Collection[UUID]) -> None:
    """Do what `write_modes` does. Never raises: the auditor writes what Redis missed."""
    try:
        write_modes(sessions)
    except RedisError as error:
        logger.warning("who may type is told later, when leases are looked at: %s", error)


def keep(session: UUID) -> None:
    """Tell a session's proxy that someone wants it kept.

    Raises:
        RedisError: it cannot be told now.
    """
    redis_client().publish(redis_names.TELL_CHANNEL, json.dumps({"session": str(session), "tell": "keep"}))
