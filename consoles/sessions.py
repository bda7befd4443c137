"""Open console sessions: which of them may go on, and how they are ended."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _
from redis import RedisError

from consoles import control, presence, trail
from consoles.models import ConsoleSession, Mode, Protocol
from consoles.proxy import redis_names
from consoles.proxy.endings import Ending
from machines.access import Person, Right, right_over, rights_of_holders
from machines.redis_client import redis_client
from people.logins import alive_among

logger = logging.getLogger(__name__)


def not_ended() -> QuerySet[ConsoleSession]:
    """Return the sessions that are open or may still be opened."""
    return ConsoleSession.objects.filter(ended_at=None)


def own_session_or_404(person: Person, session: UUID) -> ConsoleSession:
    """Fetch a person's own session, ended or not.

    Raises:
        Http404: there is no such session, or this person may not know of its machine.
        PermissionDenied: it is somebody else's.
    """
    found = ConsoleSession.objects.select_related("machine").filter(pk=session).first()
    if found is None or not right_over(person, found.machine):
        raise Http404(_("There is no such console session."))
    if found.user_id != person.pk:
        raise PermissionDenied(_("This console session is somebody else's."))
    return found


@dataclass(slots=True)
class Verdict:
    """What becomes of sessions: which have to end, and why; which may only look from now on."""

    due: dict[UUID, Ending] = field(default_factory=dict)
    lowered: list[ConsoleSession] = field(default_factory=list)

    def carry_out(self) -> None:
        """Make it so."""
        end_each(self.due)
        control.lower(self.lowered)


def verdict_on(sessions: Collection[ConsoleSession]) -> Verdict:
    """Look at users, logins, rights and loans. A constant number of queries for all sessions."""
    verdict = Verdict()
    if not sessions:
        return verdict
    users = {session.user_id for session in sessions if session.user_id}
    active = set(User.objects.filter(pk__in=users, is_active=True).values_list("pk", flat=True))
    alive = alive_among({(session.login, session.user_id) for session in sessions if session.user_id in active})
    rights = rights_of_holders({(user, session.machine_id) for session in sessions for user in _answering(session)})
    for session in sessions:
        own, lent = (rights.get((user or 0, session.machine_id), Right.NONE) for user in _both(session))
        if session.user_id not in active:
            verdict.due[session.pk] = Ending.USER_DISABLED
        elif (session.login, session.user_id) not in alive:
            verdict.due[session.pk] = Ending.LOGIN_ENDED
        elif own < Right.VIEW:
            verdict.due[session.pk] = Ending.REVOKED
        elif max(own, lent) < Mode(session.mode).right:
            _take_control(session, verdict)
    return verdict


def due_to_end(sessions: Collection[ConsoleSession]) -> dict[UUID, Ending]:
    """Return which of these sessions are no longer allowed, and why."""
    return verdict_on(sessions).due


def end(sessions: Collection[UUID], ending: Ending) -> None:
    """End these sessions once the present transaction is committed. Never raises: leases end what Redis missed."""
    if sessions:
        transaction.on_commit(partial(_end, list(sessions), ending))


def end_each(due: Mapping[UUID, Ending]) -> None:
    """End each of these sessions for its own reason."""
    for ending in set(due.values()):
        end([session for session in due if due[session] is ending], ending)


def close(sessions: QuerySet[ConsoleSession], ending: Ending, at: datetime | None = None) -> set[UUID]:
    """Write that these sessions are over, and see to who types then; return the machines at which somebody left."""
    ended = at or timezone.now()
    people = sessions.select_related("user", "machine").defer("machine__definition_xml")
    with transaction.atomic():
        held = people.filter(ended_at=None).select_for_update(of=("self",), no_key=True)
        leaving = list(held.order_by("pk"))  # held, so that of two that close the same one is told of it
        sessions.order_by().update(ended_at=ended, end_reason=ending, login="", asking_since=None)
        trail.closed(leaving, ended, ending)
    for session in leaving:
        control.left(session, ending)
    return {session.machine_id for session in leaving if session.opened_at}


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
    without_proxy = Q(opened_at=None) | Q(protocol=Protocol.PICTURES)
    presence.tell(close(not_ended().filter(without_proxy, pk__in=sessions), ending))


def _take_control(session: ConsoleSession, verdict: Verdict) -> None:
    """Let a session whose user may still look do that, where its protocol lets an open one change."""
    if session.opened_at and session.protocol in control.SHARED:
        verdict.lowered.append(session)
    else:
        verdict.due[session.pk] = Ending.REVOKED


def _both(session: ConsoleSession) -> tuple[int | None, int | None]:
    """Return its user and who lends control to it."""
    return session.user_id, session.granted_by_id


def _answering(session: ConsoleSession) -> list[int]:
    return [user for user in _both(session) if user]
