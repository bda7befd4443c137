"""Who types at a machine: one person at a time for each protocol. The only writer of what a session may do.

Whoever changes it holds the machine's row first, so that of two people who take control at once one comes second and
sees what the first one did. (SQLite: its transactions begin by taking the write lock.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from functools import cached_property, partial
from itertools import groupby
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from consoles import leases, loans, presence, trail
from consoles.models import ConsoleEvent, ConsoleSession, EventKind, Mode, Protocol
from machines import push
from machines.access import Right, rights_of_holders
from machines.models import Machine
from machines.refused import Refused

SHARED = frozenset({Protocol.VNC, Protocol.SERIAL})
"""What several people may look at together. SPICE knows one client only."""
ASK_AGAIN_SECONDS = 15
"""How long after asking for control one may ask again."""
_WRITTEN = ("mode", "wanted_mode", "granted_by_id", "asking_since")


class Action(StrEnum):
    """What someone at a console may do about who types."""

    ASK = "ask"
    WITHDRAW = "withdraw"
    GRANT = "grant"
    REFUSE = "refuse"
    TAKE = "take"
    GIVE_BACK = "give_back"


class Seats:
    """Everyone at one machine by one protocol, while nobody else may change who types. See `seats_at`."""

    def __init__(self, machine: UUID, protocol: str) -> None:
        self.machine, self.protocol = machine, protocol
        rows = ConsoleSession.objects.filter(machine=machine, protocol=protocol, ended_at=None, user__isnull=False)
        self.sessions = list(rows.select_related("user").order_by("asked_at"))
        self._before = {session.pk: _state(session) for session in self.sessions}
        self._events: list[ConsoleEvent] = []

    @cached_property
    def _rights(self) -> dict[tuple[int, UUID], Right]:
        return rights_of_holders({(session.user_id or 0, self.machine) for session in self.sessions})

    def right(self, session: ConsoleSession) -> Right:
        """Return the right of a session's user over the machine."""
        return self._rights.get((session.user_id or 0, self.machine), Right.NONE)

    def find(self, session: UUID | None) -> ConsoleSession:
        """Return the session of this id.

        Raises:
            Refused: it is not here, or not any more.
        """
        found = next((each for each in self.sessions if each.pk == session), None)
        if found is None:
            raise Refused("session_ended", _("This console is not open any more."))
        return found

    def holders_beside(self, user_id: int | None) -> list[ConsoleSession]:
        """Return the sessions in which somebody else types, or could any moment: their page has its tickets."""
        typing = [one for one in self.sessions if one.mode == Mode.CONTROL and one.user_id != user_id]
        return [session for session in typing if leases.is_there(session)]

    def may_take(self, mine: ConsoleSession) -> bool:
        """Return whether this session's user may type without asking anyone, and so hand control to others, too.

        That needs the right, and that nobody else types but by a loan, with a lower right or from this user's hand.
        """
        right = self.right(mine)
        holders = self.holders_beside(mine.user_id)
        handed = any(holder.granted_by_id == mine.user_id for holder in holders)
        lower = all(self.right(holder) < right for holder in holders)
        return right >= Right.OPERATE and (handed or lower)

    def give(self, session: ConsoleSession, *, by: int | None = None) -> None:
        """Let this session type, and nobody else any more; `by` is who handed it over."""
        for other in self.sessions:
            if other.user_id != session.user_id:
                self.lower(other)
        session.mode = session.wanted_mode = Mode.CONTROL
        session.asking_since, session.granted_by_id = None, by

    def lower(self, session: ConsoleSession) -> None:
        """Let this session look only."""
        session.mode, session.granted_by_id = Mode.VIEW, None

    def renew(self, session: ConsoleSession, lender: int) -> None:
        """Lend control again to a session whose page was loaded anew, if the lender still may and nobody else types."""
        others = {holder.user_id for holder in self.holders_beside(session.user_id)}
        right = rights_of_holders({(lender, self.machine)}).get((lender, self.machine), Right.NONE)
        if others <= {lender} and right >= Right.OPERATE:
            self.give(session, by=lender)
            self.note(EventKind.GRANTED, session, renewed=True)

    def decided(self) -> None:
        """Let no loan of before come back: somebody says who types."""
        loans.forget(self.machine, self.protocol)

    def settle(self, lender: int | None) -> None:
        """When nobody types any more, let who lent control have it back, or who asked first of those with the right."""
        if self.holders_beside(None):
            return
        lenders = [one for one in self.sessions if one.user_id == lender and one.wanted_mode == Mode.CONTROL]
        asking = sorted((one for one in self.sessions if one.asking_since), key=_asked)
        for session in (*reversed(lenders), *asking):
            if session.opened_at and self.right(session) >= Right.OPERATE:
                self.give(session)
                self.note(EventKind.GRANTED, session, returned=session in lenders)
                return

    def note(self, kind: EventKind, session: ConsoleSession, by: ConsoleSession | None = None, **detail: Any) -> None:
        """Write into the audit what happened to a session, by whom."""
        user = by.user_id if by else None
        self._events.append(ConsoleEvent(session=session, kind=kind, by_id=user, detail=detail))

    def write(self) -> None:
        """Write what changed; proxies and pages are told after the commit."""
        changed = [session for session in self.sessions if _state(session) != self._before.get(session.pk)]
        for session in changed:
            row = ConsoleSession.objects.filter(pk=session.pk, ended_at=None)
            row.update(**dict(zip(_WRITTEN, _state(session), strict=True)))
        ConsoleEvent.objects.bulk_create(self._events)
        trail.happened(self._events)
        if changed:
            presence.tell([self.machine])
        if moved := [session.pk for session in changed if session.mode != self._before[session.pk][0]]:
            transaction.on_commit(partial(leases.tell_modes, moved))


@contextmanager
def seats_at(machine: UUID, protocol: str) -> Iterator[Seats]:
    """Hold a machine's row while something about who types there is decided, then write it."""
    with transaction.atomic():
        row = Machine.objects.order_by().select_for_update(no_key=True).filter(pk=machine)
        row.values_list("pk").first()
        seats = Seats(machine, protocol)
        yield seats
        seats.write()


def act(session: ConsoleSession, action: Action, to: UUID | None = None) -> None:
    """Do something about who types, from a person's own session.

    Args:
        session: theirs.
        action: what to do.
        to: the session that control is granted or refused to.

    Raises:
        PermissionDenied: it needs the right to operate the machine.
        Refused: somebody else types, it was asked too often, or there is nobody there.
    """
    if session.protocol not in SHARED:
        raise Refused("not_shared", _("Control of this console cannot be handed over."))
    with seats_at(session.machine_id, session.protocol) as seats:
        _ACTIONS[action](seats, seats.find(session.pk), to)


def lower(sessions: Collection[ConsoleSession]) -> None:
    """Let these sessions look only: their users may not type any more."""
    for (machine, protocol), group in groupby(sorted(sessions, key=_place), key=_place):
        gone = {session.pk for session in group}
        with seats_at(machine, protocol) as seats:
            lowered = [session for session in seats.sessions if session.pk in gone and session.mode == Mode.CONTROL]
            lenders = [session.granted_by_id for session in lowered if session.granted_by_id]
            for session in lowered:
                seats.lower(session)
                session.wanted_mode = Mode.VIEW
            seats.settle(next(iter(lenders), None))


def left(session: ConsoleSession, ending: str) -> None:
    """See to who types after this session, which has ended.

    Args:
        session: as it was before.
        ending: why it ended. A loan is kept for its login where nobody decided that it should end.
    """
    if session.mode == Mode.CONTROL and session.protocol in SHARED:
        with seats_at(session.machine_id, session.protocol) as seats:
            came = _came_again(seats, session) if ending in loans.KEPT_AFTER else None
            if came and session.granted_by_id:
                seats.renew(came, session.granted_by_id)
            elif ending in loans.KEPT_AFTER:
                loans.keep(session)
            seats.settle(session.granted_by_id)


def _ask(seats: Seats, mine: ConsoleSession, _to: UUID | None) -> None:
    if mine.mode == Mode.CONTROL or mine.asking_since:
        return
    if seats.may_take(mine):
        _take(seats, mine, None)
        return
    _check_patience(mine)
    mine.asking_since = timezone.now()
    seats.note(EventKind.ASKED, mine, mine)


def _withdraw(_seats: Seats, mine: ConsoleSession, _to: UUID | None) -> None:
    mine.asking_since = None


def _grant(seats: Seats, mine: ConsoleSession, to: UUID | None) -> None:
    session = seats.find(to)
    _check_command(seats, mine)
    seats.decided()
    seats.give(session, by=mine.user_id if session.user_id != mine.user_id else None)
    seats.note(EventKind.GRANTED, session, mine)


def _refuse(seats: Seats, mine: ConsoleSession, to: UUID | None) -> None:
    session = seats.find(to)
    _check_command(seats, mine)
    if session.asking_since and session.user_id and mine.user:
        session.asking_since = None
        seats.note(EventKind.REFUSED, session, mine)
        push.console(session.user_id, {"session": str(session.pk), "event": "refused", "by": mine.user.get_username()})


def _take(seats: Seats, mine: ConsoleSession, _to: UUID | None) -> None:
    if mine.mode == Mode.CONTROL:
        return
    _check_command(seats, mine)
    holders = seats.holders_beside(mine.user_id)
    seats.decided()
    seats.give(mine)
    seats.note(EventKind.TAKEN, mine, mine, **{"from": sorted({_name(holder) for holder in holders})})


def _give_back(seats: Seats, mine: ConsoleSession, _to: UUID | None) -> None:
    if mine.mode != Mode.CONTROL:
        return
    lender = mine.granted_by_id
    seats.decided()
    for session in seats.sessions:
        if session.user_id == mine.user_id:
            seats.lower(session)
            session.wanted_mode = Mode.VIEW
    seats.note(EventKind.MODE, mine, mine, mode=Mode.VIEW, given_back=True)
    seats.settle(lender)


_ACTIONS: dict[Action, Callable[[Seats, ConsoleSession, UUID | None], None]] = {
    Action.ASK: _ask,
    Action.WITHDRAW: _withdraw,
    Action.GRANT: _grant,
    Action.REFUSE: _refuse,
    Action.TAKE: _take,
    Action.GIVE_BACK: _give_back,
}


def _check_command(seats: Seats, mine: ConsoleSession) -> None:
    """Refuse whom control is not to dispose of."""
    if seats.may_take(mine):
        return
    if seats.right(mine) < Right.OPERATE:
        needed = _("This needs the right “%(needed)s”; you may ask for control.")
        raise PermissionDenied(needed % {"needed": Right.OPERATE.word})
    name = _name(seats.holders_beside(mine.user_id)[0])
    sentence = _("%(user)s types now. Ask for control.") % {"user": name}
    raise Refused("control_held", sentence, details={"user": name})


def _check_patience(mine: ConsoleSession) -> None:
    """Refuse who asked a moment ago: each asking is shown to others."""
    since = timezone.now() - timedelta(seconds=ASK_AGAIN_SECONDS)
    asked = ConsoleEvent.objects.filter(kind=EventKind.ASKED, by=mine.user_id, at__gt=since)
    if asked.filter(session__machine=mine.machine_id, session__protocol=mine.protocol).exists():
        sentence = _("You asked a moment ago. Ask again in %(seconds)d s.") % {"seconds": ASK_AGAIN_SECONDS}
        raise Refused("asked_too_soon", sentence, status=429, details={"retry_after": ASK_AGAIN_SECONDS})


def _came_again(seats: Seats, gone: ConsoleSession) -> ConsoleSession | None:
    """Return the session of a page that was loaded again and was quicker than the news of its former one's end."""
    lately = timezone.now() - timedelta(seconds=loans.KEPT_SECONDS)
    same = (one for one in seats.sessions if one.login == gone.login and one.asked_at > max(lately, gone.asked_at))
    return max(same, key=lambda one: one.asked_at, default=None)


def _state(session: ConsoleSession) -> tuple[Any, ...]:
    return tuple(getattr(session, name) for name in _WRITTEN)


def _place(session: ConsoleSession) -> tuple[UUID, str]:
    return session.machine_id, session.protocol


def _asked(session: ConsoleSession) -> float:
    return session.asking_since.timestamp() if session.asking_since else 0


def _name(session: ConsoleSession) -> str:
    return session.user.get_username() if session.user else ""
