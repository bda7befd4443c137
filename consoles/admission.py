"""Who gets one more console, and whether to type or to look on: decided while the machine's seats are held."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from consoles import loans, sessions
from consoles.control import SHARED, Seats, seats_at
from consoles.leases import is_there, is_usable
from consoles.models import ConsoleSession, Mode, Protocol
from consoles.proxy.endings import Ending
from machines.refused import Refused

RETURN_SECONDS = 10
"""How long control waits for who lost it to a restart of proxy or machine, or to the network: their page comes back."""


def admit(session: ConsoleSession) -> None:
    """Make a session's row, in the mode that it may have now.

    Raises:
        Refused: its user has too many consoles, or somebody else is at a screen that is for one person.
    """
    with transaction.atomic():
        _check_count(session)
        with seats_at(session.machine_id, session.protocol) as seats:
            if session.protocol == Protocol.SPICE:
                _clear_screen(seats, session)
            elif session.protocol in SHARED:
                _seat(seats, session)
            session.save(force_insert=True)


def _is_reserved(session: ConsoleSession) -> bool:
    """Return whether somebody else lost control through no act of theirs and is likely on the way back to it."""
    gone = ConsoleSession.objects.filter(machine=session.machine_id, protocol=session.protocol, mode=Mode.CONTROL)
    lately = timezone.now() - timedelta(seconds=RETURN_SECONDS)
    broken = gone.filter(ended_at__gt=lately, end_reason__in=loans.BROKEN, granted_by=None)
    return broken.exclude(user=session.user_id).exists()


def _check_count(session: ConsoleSession) -> None:
    """Refuse one console too many of a person, whose row is held, so that several at once count each other."""
    User.objects.order_by().select_for_update(no_key=True).filter(pk=session.user_id or 0).values_list("pk").first()
    unended = sessions.not_ended().filter(user=session.user_id).select_related("machine")
    mine = [one for one in unended if is_usable(one)]
    if len(mine) < settings.CONSOLES_PER_USER:
        return
    names = sorted({one.machine.name for one in mine})
    sentence = _("You have %(count)d consoles open, and may have no more. Close one of these first: %(names)s.")
    raise Refused(
        "too_many_consoles",
        sentence % {"count": len(mine), "names": ", ".join(names)},
        details={"limit": settings.CONSOLES_PER_USER, "sessions": [str(one.pk) for one in mine], "machines": names},
    )


def _clear_screen(seats: Seats, session: ConsoleSession) -> None:
    """Let the person of a screen that is for one have it anew, and nobody else."""
    for other in filter(is_there, seats.sessions):
        if other.user and other.user_id != session.user_id:
            name = other.user.get_username()
            sentence = _("%(user)s is at this screen, which shows itself to one person at a time.") % {"user": name}
            raise Refused("screen_taken", sentence, details={"user": name, "since": other.asked_at.isoformat()})
    sessions.end([one.pk for one in seats.sessions], Ending.REPLACED)


def _seat(seats: Seats, session: ConsoleSession) -> None:
    """Let who comes type, unless somebody else does, or did until the connection broke a moment ago.

    Who was lent control and has loaded the page again goes on with it.
    """
    if lender := loans.take_up(session):
        seats.renew(session, lender)
    if session.granted_by_id or session.mode == Mode.VIEW:
        return
    if seats.holders_beside(session.user_id) or _is_reserved(session):
        session.mode = Mode.VIEW
    else:
        seats.give(session)
