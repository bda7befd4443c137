"""The stream of pictures: a console session without a proxy, which the portal itself opens, serves and ends.

Its page asks for each picture, and that is its sign of life: when it stops asking, the auditor ends the session.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from consoles import admission, leases, picture_answers, presence, sessions, thumbnails, tickets
from consoles.models import END_REASONS, Client, ConsoleSession, Mode, Protocol
from consoles.picture_sizes import Size
from consoles.proxy import redis_names
from consoles.proxy.endings import GOODBYES, Ending
from machines.access import Person
from machines.models import Machine
from machines.redis_client import redis_client
from machines.refusals import refuse_in_maintenance
from machines.refused import Refused
from people.logins import login_of

SILENCE_SECONDS = 15
"""How long a page may not ask before its session counts as left."""
REPORTED_EVERY = 256 * 2**10
"""Bytes between two notes for the audit of how much was sent."""


def begin(machine: Machine, *, by: Person, login: str, address: str | None) -> tickets.Tickets:
    """Open a session; there is nothing to redeem: `url` is asked for pictures as it is.

    The caller has checked that this person may look at the machine.

    Raises:
        Refused: there is nothing to look at now, or too many consoles are open.
        RedisError: it cannot be kept now.
    """
    refuse_in_maintenance(by)
    tickets.check_display(machine, Protocol.PICTURES)
    session = ConsoleSession(
        machine=machine,
        user_id=by.pk,
        protocol=Protocol.PICTURES,
        client=Client.SCRIPT if login.startswith("token:") else Client.PAGE,
        mode=Mode.VIEW,
        wanted_mode=Mode.VIEW,
        login=login,
        address=address,
        opened_at=timezone.now(),
    )
    leases.vouch_for(session.pk)
    _beat(session)
    admission.admit(session)
    presence.tell([machine.pk])
    return {
        "url": f"{settings.PORTAL_URL}{reverse('api:picture_stream', args=[session.pk])}",
        "tickets": [],
        "channels": {},
        "expires_at": timezone.now() + timedelta(seconds=SILENCE_SECONDS),
        "session": session.pk,
        "protocol": session.protocol,
        "mode": session.mode,
        "recorded": False,
    }


def look(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Answer the last picture to the session's own login, 304 when it has it, 204 when there is none yet.

    Raises:
        Http404, PermissionDenied: it is not theirs.
        Refused: it has ended (410); `code` says whether to come back, as the proxy's close codes do.
    """
    session = _own_or_404(request, session_id)
    if ending := _ending_of(session):
        raise Refused(
            "console_ended", str(END_REASONS[ending]), status=410, details={"reason": ending, "code": _code(ending)}
        )
    _beat(session)
    answer = picture_answers.current(session.machine, Size.STREAM, request.headers)
    _count(session, len(answer.content))
    return answer


def leave(request: HttpRequest, session_id: UUID) -> None:
    """End a session because its page was left; one that has ended is fine.

    Raises:
        Http404, PermissionDenied: it is not theirs.
    """
    session = _own_or_404(request, session_id)
    if not session.ended_at:
        sessions.end([session.pk], Ending.LEFT)


def _own_or_404(request: HttpRequest, session_id: UUID) -> ConsoleSession:
    session = sessions.own_session_or_404(request.user, session_id)
    lives_here = session.login == login_of(request) or session.ended_at
    if session.protocol != Protocol.PICTURES or not lives_here:
        raise Http404(_("There is no such console session."))
    return session


def _ending_of(session: ConsoleSession) -> Ending | None:
    """Return why a session is over, None when it goes on; end it when it is to end now."""
    if session.ended_at:
        return Ending(session.end_reason)
    due = sessions.due_to_end([session]).get(session.pk)
    if not due and not thumbnails.has_screen(session.machine):
        due = Ending.DISPLAY_CLOSED
    if not due and _is_too_long(session):
        due = Ending.LIMIT
    if due:
        sessions.end([session.pk], due)
    return due


def _is_too_long(session: ConsoleSession) -> bool:
    opened = session.opened_at or session.asked_at
    return bool(settings.CONSOLE_LIMIT) and timezone.now() - opened > timedelta(seconds=settings.CONSOLE_LIMIT)


def _beat(session: ConsoleSession) -> None:
    redis_client().set(redis_names.pulse_key(str(session.pk)), "1", ex=SILENCE_SECONDS)


def _count(session: ConsoleSession, sent: int) -> None:
    """Keep count of what is sent, and report it as a proxy does, now and then."""
    if not sent:
        return
    key = f"picture:sent:{session.pk}"
    total = int(redis_client().incrby(key, sent))
    redis_client().expire(key, redis_names.LEASE_SECONDS)
    if total == sent or total // REPORTED_EVERY > (total - sent) // REPORTED_EVERY:
        _report(session, total)


def _report(session: ConsoleSession, total: int) -> None:
    report: dict[Any, Any] = {"session": str(session.pk), "event": "bytes", "at": time.time(), "to_client": total}
    report |= {"from_client": 0, "reason": ""}
    redis_client().xadd(redis_names.EVENTS_STREAM, report, maxlen=redis_names.EVENTS_KEPT, approximate=True)


def _code(ending: Ending) -> int:
    """Return the code with which a proxy would have closed; the auditor's own endings mean "come back"."""
    return GOODBYES[ending].code if ending in GOODBYES else GOODBYES[Ending.LAPSED].code
