"""Everything that may become of an assist: the one writer of its state, by compare-and-swap."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from assist import signals, snapshots
from assist.models import OPEN, Assist, AssistEvent, EventKind, Kind, State
from assist.parties import MOVES, check, helps, moved_on
from assist.payload import assist_message
from machines import push, visits
from machines.access import Right, right_over
from machines.models import GrantRole, Machine
from machines.refused import Refused

LONGEST_NOTE = 2000
"""Characters of a note or reason."""
SHORTEST_REASON = 10
"""Characters of a reason for breaking the glass."""
ASKED_AT_MOST, ASKED_WITHIN = 5, timedelta(minutes=10)


def ask(machine: Machine, by: User, note: str, *, picture: bool = True) -> Assist:
    """Ask the helpdesk for help with a machine, which the caller has seen this person may operate.

    Args:
        machine: with its host and owner.
        by: who asks.
        note: what is wrong, in their words.
        picture: whether a picture of the screen may go with it, where the machine's policy allows one.

    Raises:
        Refused: help is switched off, goes on already, or was asked for too often.
    """
    _check_policy()
    _check_patience(by)
    wanted = picture and snapshots.may_be_pictured(machine)
    image = snapshots.picture_of(machine) if wanted else None
    return _begin(
        Assist(
            machine=machine,
            user=by,
            kind=Kind.ASKED,
            state=State.WAITING,
            note=_text(note),
            picture=image,
            has_picture=image is not None,
            picture_wanted=wanted and image is None,
        ),
        by,
        EventKind.ASKED,
    )


def offer(machine: Machine, by: User, note: str) -> Assist:
    """Offer help to a machine's owner.

    Raises:
        PermissionDenied: it is for the helpdesk.
        Refused: help is switched off or goes on already, or there is nobody to offer it to.
    """
    _check_helper(by)
    _check_policy()
    if machine.owner is None or machine.owner == by:
        raise Refused("nobody_to_help", _("There is nobody else who owns this machine."))
    made = Assist(
        machine=machine,
        user=machine.owner,
        helper=by,
        kind=Kind.OFFERED,
        state=State.TAKEN,
        note=_text(note),
        taken_at=timezone.now(),
    )
    return _begin(made, by, EventKind.OFFERED)


def break_glass(machine: Machine, by: User, reason: str, *, control: bool = False) -> Assist:
    """Look at a machine without consent: its owner sees it, is told by mail, and it is kept.

    Args:
        machine: with its host and owner.
        by: the helper.
        reason: in words.
        control: whether to operate the machine too, not only to look.

    Raises:
        PermissionDenied: it is for the helpdesk.
        Refused: help is switched off, the reason says too little, or this helper may look already.
    """
    _check_helper(by)
    _check_policy()
    if len(reason := _text(reason)) < SHORTEST_REASON:
        sentence = _("Write why, in at least %(count)d characters.") % {"count": SHORTEST_REASON}
        raise Refused("reason_needed", sentence, status=400)
    if right_over(by, machine) >= (Right.OPERATE if control else Right.VIEW):
        raise Refused("may_already", _("You may do that already, without breaking anything."))
    with transaction.atomic():
        made = Assist(
            machine=machine,
            user=machine.owner,
            helper=by,
            kind=Kind.BREAK_GLASS,
            state=State.ACTIVE,
            note=reason,
            control=control,
            mail_due=True,
            taken_at=timezone.now(),
            **_opening(machine, by, GrantRole.OPERATOR if control else GrantRole.VIEWER),
        )
        return _begin(made, by, EventKind.BROKE_GLASS)


def take(assist: Assist, by: User) -> None:
    """Take a request that waits.

    Raises:
        PermissionDenied, Refused: see `check`; the refusal says who was faster.
    """
    _check_policy()
    check(MOVES["take"], by, assist)
    _move(assist, by, EventKind.TAKEN, State.TAKEN, {"state": State.WAITING}, helper=by, taken_at=timezone.now())


def release(assist: Assist, by: User) -> None:
    """Give a request back to the queue.

    Raises:
        PermissionDenied, Refused: see `check`.
    """
    check(MOVES["release"], by, assist)
    held = {"state": State.TAKEN, "helper": by}
    _move(assist, by, EventKind.RELEASED, State.WAITING, held, helper=None, taken_at=None)


def accept(assist: Assist, by: User) -> None:
    """Consent: the helper may look at the screen, of this machine, until the assist ends.

    Raises:
        PermissionDenied, Refused: see `check`.
    """
    _check_policy()
    check(MOVES["accept"], by, assist)
    _activate(assist, by, EventKind.ACCEPTED)


def join(assist: Assist, by: User) -> None:
    """Go to the screen as its helper; where the policy is only to notify, this is what lets them see it.

    Raises:
        PermissionDenied, Refused: see `check`; `no_consent`: the user has not consented yet.
    """
    _check_policy()
    check(MOVES["join"], by, assist)
    if assist.state == State.TAKEN:
        _activate(assist, by, EventKind.JOINED)


def decline(assist: Assist, by: User) -> None:
    """Say no to who wants to help.

    Raises:
        PermissionDenied, Refused: see `check`.
    """
    check(MOVES["decline"], by, assist)
    _move(assist, by, EventKind.DECLINED, State.DECLINED, {"state": State.TAKEN}, finished_at=timezone.now())


def withdraw(assist: Assist, by: User) -> None:
    """Take a request or an offer back before it led to anything.

    Raises:
        PermissionDenied, Refused: see `check`.
    """
    check(MOVES["withdraw"], by, assist)
    before = {"state__in": (State.WAITING, State.TAKEN)}
    _move(assist, by, EventKind.WITHDRAWN, State.WITHDRAWN, before, finished_at=timezone.now())


def end(assist: Assist, by: User) -> None:
    """End help that goes on; the helper's consoles close at once.

    Raises:
        PermissionDenied, Refused: see `check`.
    """
    check(MOVES["end"], by, assist)
    _move(assist, by, EventKind.ENDED, State.ENDED, {"state": State.ACTIVE}, finished_at=timezone.now())


def close(assist: Assist, why: EventKind) -> bool:
    """Let the portal itself end an assist, in whatever open state it is; return whether it did."""
    state = State.ENDED if assist.state == State.ACTIVE else State.EXPIRED
    try:
        _move(assist, None, why, state, {"state": assist.state}, finished_at=timezone.now())
    except Refused:
        return False
    return True


MOVE: dict[str, Callable[[Assist, User], None]] = {
    "take": take,
    "release": release,
    "accept": accept,
    "decline": decline,
    "withdraw": withdraw,
    "join": join,
    "end": end,
}


def _begin(assist: Assist, by: User, kind: EventKind) -> Assist:
    assist.facts = snapshots.facts_of(assist.machine)
    assist.until = assist.until or timezone.now() + timedelta(seconds=settings.ASSIST_WAIT_LIMIT)
    try:
        with transaction.atomic():
            assist.save(force_insert=True)
            _note(assist, by, kind)
    except IntegrityError:
        raise _goes_on(assist) from None
    return assist


def _activate(assist: Assist, by: User, kind: EventKind) -> None:
    if assist.helper is None:
        raise moved_on(assist)
    with transaction.atomic():
        opening = _opening(assist.machine, assist.helper, GrantRole.VIEWER)
        _move(assist, by, kind, State.ACTIVE, {"state": State.TAKEN, "helper": assist.helper_id}, **opening)


def _opening(machine: Machine, helper: User, role: GrantRole) -> dict[str, Any]:
    """Begin the helper's visit; return what its assist keeps of that."""
    now = timezone.now()
    until = now + timedelta(seconds=settings.ASSIST_LIMIT)
    return {"visit": visits.begin(machine, helper, role, until=until), "active_at": now, "until": until}


def _move(assist: Assist, by: User | None, kind: EventKind, to: State, before: dict[str, Any], **changes: Any) -> None:
    """Move an assist that is as `before` says, end the visit when it is over, and tell everybody.

    Raises:
        Refused: it was moved by somebody else meanwhile.
    """
    if to == State.WAITING:
        changes["until"] = timezone.now() + timedelta(seconds=settings.ASSIST_WAIT_LIMIT)
    with transaction.atomic():
        row = Assist.objects.filter(pk=assist.pk, **before)
        moved = row.update(state=to, version=F("version") + 1, **changes)
        assist.refresh_from_db(fields=["state", "version", "helper", "visit", "until", "active_at", *changes])
        if not moved:
            raise moved_on(assist)
        if to not in OPEN:
            visits.end(assist.visit)
        _note(assist, by, kind)


def _note(assist: Assist, by: User | None, kind: EventKind) -> None:
    """Keep what happened, and tell sockets and listeners after the commit."""
    detail = {"reason": assist.note} if kind == EventKind.BROKE_GLASS else {}
    AssistEvent.objects.create(assist=assist, kind=kind, by=by, detail=detail)
    told = {"event": kind.value, "by": by.get_username() if by else None}
    push.assist(assist.machine_id, _concerned(assist), assist_message(assist) | told)
    transaction.on_commit(partial(_signal, assist, by, kind))


def _signal(assist: Assist, by: User | None, kind: EventKind) -> None:
    facts: dict[str, Any] = {
        "event": kind.value,
        "by_id": by.pk if by else None,
        "by": by.get_username() if by else "",
        "assist_id": assist.pk,
        "kind": assist.kind,
        "state": assist.state,
        "machine": assist.machine_id,
        "machine_name": assist.machine.name,
        "user_id": assist.user_id,
        "user": assist.user.get_username() if assist.user else "",
        "helper_id": assist.helper_id,
        "helper": assist.helper.get_username() if assist.helper else "",
        "note": assist.note,
        "at": timezone.now(),
    }
    signals.moved.send_robust(sender=None, **facts)
    if kind == EventKind.BROKE_GLASS:
        owner = assist.machine.owner
        facts |= {"reason": assist.note, "control": assist.control, "until": assist.until}
        facts |= {"owner_id": owner.pk if owner else None, "owner": owner.get_username() if owner else ""}
        signals.broke_glass.send_robust(sender=None, **facts)


def _concerned(assist: Assist) -> set[int]:
    return {pk for pk in (assist.user_id, assist.helper_id) if pk}


def _check_policy() -> None:
    if settings.ASSIST_POLICY == "off":
        raise Refused("assist_off", _("This portal has no help desk: it is switched off by its settings."))


def _check_helper(by: User) -> None:
    if not helps(by):
        raise PermissionDenied(_("This is for the helpdesk."))


def _check_patience(by: User) -> None:
    """Refuse who asks again and again: each asking is shown to everybody who helps."""
    lately = Assist.objects.filter(user=by, kind=Kind.ASKED, created_at__gt=timezone.now() - ASKED_WITHIN)
    if lately.count() >= ASKED_AT_MOST:
        sentence = _("You asked for help several times in the last minutes. Wait a little.")
        raise Refused("asked_too_often", sentence, status=429)


def _goes_on(assist: Assist) -> Refused:
    """Say what goes on with a machine already."""
    rows = Assist.objects.filter(machine=assist.machine_id, state__in=OPEN).select_related("user", "helper")
    glass = assist.kind == Kind.BREAK_GLASS
    same = rows.filter(kind=Kind.BREAK_GLASS, helper=assist.helper) if glass else rows.exclude(kind=Kind.BREAK_GLASS)
    present = same.defer("picture").first()
    sentence = _("Help with %(machine)s was asked for already.") % {"machine": assist.machine}
    return Refused("assist_open", sentence, details={"assist": present.pk if present else None})


def _text(text: str) -> str:
    """Return plain text as it is kept.

    Raises:
        Refused: it is too long.
    """
    plain = "".join(letter for letter in text.replace("\r\n", "\n") if letter.isprintable() or letter in "\n\t").strip()
    if len(plain) > LONGEST_NOTE:
        sentence = _("Write at most %(count)d characters.") % {"count": LONGEST_NOTE}
        raise Refused("too_long", sentence, status=400, details={"limit": LONGEST_NOTE})
    return plain
