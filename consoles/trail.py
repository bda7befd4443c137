"""What the audit trail is told of consoles: sessions, and what happens in them. Never what was typed, only how much."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.utils.translation import gettext_lazy as _

from audit import trail
from audit.asking import Asker, asker
from audit.kinds import add_kinds
from audit.models import Entry, Via
from audit.watching import watch
from consoles.models import Client, ConsoleEvent, ConsolePolicy, ConsoleSession, EventKind
from machines.models import Machine

add_kinds({f"console.{kind.value}": kind.label for kind in EventKind})
add_kinds(
    {
        "policy.made": _("console policy made"),
        "policy.changed": _("console policy changed"),
        "policy.removed": _("console policy removed"),
    }
)
watch(ConsolePolicy, "policy", ("machine", "group", "record", "thumbnails"), machine=lambda policy: policy.machine)


@receiver(post_save, sender=ConsoleSession)
def wanted(instance: ConsoleSession, created: bool, **_kwargs: Any) -> None:
    """Write that somebody asked for a console. A stream of pictures is open with that."""
    if created:
        who = _person(instance, "user")
        trail.record("console.wanted", instance.machine, who=who, **_what(instance))
        if instance.opened_at:
            opened(instance, instance.opened_at)


def opened(session: ConsoleSession, at: datetime) -> None:
    """Write that a session is open: from then on somebody sees the screen."""
    trail.record("console.opened", session.machine, by=_whose(session), at=at, **_what(session))


def closed(sessions: Sequence[ConsoleSession], at: datetime, reason: str) -> None:
    """Write that sessions are over, and what they carried."""
    trail.record_all(
        trail.entry(
            "console.closed",
            session.machine,
            by=_whose(session),
            at=at,
            **_what(session),
            reason=reason,
            seconds=(at - session.opened_at).total_seconds() if session.opened_at else 0,
            to_client=session.bytes_to_client,
            from_client=session.bytes_from_client,
        )
        for session in sessions
    )


@receiver(post_save, sender=ConsoleEvent)
def on_event(instance: ConsoleEvent, created: bool, **_kwargs: Any) -> None:
    """Write what happened in a session."""
    if created:
        _entry(instance, instance.session.machine, _person(instance, "by")).save(force_insert=True)


def happened(events: Sequence[ConsoleEvent]) -> None:
    """Write what happened in sessions of one machine, whose events were written at once: that sends no signal."""
    if not events:
        return
    machine = Machine.objects.only("pk", "name").get(pk=events[0].session.machine_id)
    people = User.objects.in_bulk({event.by_id for event in events if event.by_id})
    trail.record_all(_entry(event, machine, people.get(event.by_id or 0)) for event in events)


def _entry(event: ConsoleEvent, machine: Machine, by: User | None) -> Entry:
    detail = {name: value for name, value in event.detail.items() if name not in {"session", "user"}}
    return trail.entry(f"console.{event.kind}", machine, who=by, at=event.at, **_of(event.session), said=detail)


def _whose(session: ConsoleSession) -> Asker:
    """Return whom a session is of, as who asks: what proxies report is no request of theirs."""
    via = Via.TOKEN if session.client == Client.SCRIPT else Via.PAGE
    return Asker(session.user, via, session.address)


def _what(session: ConsoleSession) -> dict[str, Any]:
    return {
        "session": session.pk,
        "protocol": session.protocol,
        "mode": session.mode,
        "client": session.client,
        "recorded": session.recorded,
    }


def _of(session: ConsoleSession) -> dict[str, Any]:
    user = _person(session, "user")
    return {"session": session.pk, "user": user.get_username() if user else ""}


def _person(row: ConsoleSession | ConsoleEvent, role: str) -> User | None:
    """Return the user of a row, without a query where that is who asks."""
    asking = asker().user
    user: User | None = asking if asking and asking.pk == getattr(row, f"{role}_id") else getattr(row, role)
    return user
