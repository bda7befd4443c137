"""Open console sessions: which of them may go on, and how they are ended."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from functools import partial
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from redis import RedisError

from consoles.models import ConsoleSession, Mode
from consoles.proxy import redis_names
from consoles.proxy.endings import Ending
from machines.access import rights_of_holders
from machines.redis_client import redis_client
from people.logins import alive_among

logger = logging.getLogger(__name__)


def not_ended() -> QuerySet[ConsoleSession]:
    """Return the sessions that are open or may still be opened."""
    return ConsoleSession.objects.filter(ended_at=None)


def due_to_end(sessions: Collection[ConsoleSession]) -> dict[UUID, Ending]:
    """Return which of these sessions are no longer allowed, and why. A constant number of queries for all."""
    if not sessions:
        return {}
    users = {session.user_id for session in sessions if session.user_id}
    active = set(User.objects.filter(pk__in=users, is_active=True).values_list("pk", flat=True))
    alive = alive_among({(session.login, session.user_id) for session in sessions if session.user_id in active})
    rights = rights_of_holders({(session.user_id, session.machine_id) for session in sessions if session.user_id})
    due: dict[UUID, Ending] = {}
    for session in sessions:
        if session.user_id not in active:
            due[session.pk] = Ending.USER_DISABLED
        elif (session.login, session.user_id) not in alive:
            due[session.pk] = Ending.LOGIN_ENDED
        elif rights.get((session.user_id, session.machine_id), 0) < Mode(session.mode).right:
            due[session.pk] = Ending.REVOKED
    return due


def end(sessions: Collection[UUID], ending: Ending) -> None:
    """End these sessions once the present transaction is committed. Never raises: leases end what Redis missed."""
    if sessions:
        transaction.on_commit(partial(_end, list(sessions), ending))


def end_each(due: Mapping[UUID, Ending]) -> None:
    """End each of these sessions for its own reason."""
    for ending in set(due.values()):
        end([session for session in due if due[session] is ending], ending)


def _end(sessions: list[UUID], ending: Ending) -> None:
    """Take the leases away and tell the proxies; the rows of open sessions follow when their proxy reports."""
    try:
        with redis_client().pipeline() as pipe:
            for session in sessions:
                pipe.delete(redis_names.lease_key(str(session)))
                pipe.publish(redis_names.END_CHANNEL, json.dumps({"session": str(session), "reason": ending}))
            pipe.execute()
    except RedisError as error:
        logger.warning("consoles are ended later, when their leases are looked at: %s", error)
    never_opened = not_ended().filter(pk__in=sessions, opened_at=None)
    never_opened.update(ended_at=timezone.now(), end_reason=ending, login="")
