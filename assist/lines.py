"""The lines about help on a machine's page and at its console: who helps, who asks for consent, what may be done."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from assist import chat
from assist.models import OPEN, Assist, Kind, State
from assist.parties import Party, helps, moves_of, parties
from machines.access import Person, Right
from machines.models import Machine


def lines_at(person: Person, machine: Machine, right: Right, place: str) -> dict[str, Any]:
    """Return what is drawn of help at a machine (one query where there is none).

    Args:
        person: who reads it.
        machine: which, with its owner.
        right: theirs over it.
        place: "page" or "console", where lines lie over the screen.
    """
    rows = Assist.objects.filter(machine=machine, state__in=OPEN).select_related("user", "helper", "machine__owner")
    found = list(rows.defer("picture", "facts", "machine__definition_xml"))
    off = settings.ASSIST_POLICY == "off"
    asked = any(assist.kind != Kind.BREAK_GLASS for assist in found)
    talks = [assist.pk for assist in found if chat.may_write(person, assist)]
    return {
        "machine": machine,
        "lines": [_line(person, assist, right, place) for assist in found],
        "place": place,
        "chat": talks[0] if talks else 0,
        "may_ask": right >= Right.OPERATE and not (off or asked),
        "may_help": helps(person) and not (off or asked),
    }


def _line(person: Person, assist: Assist, right: Right, place: str) -> dict[str, Any]:
    mine = parties(person, assist, right)
    names = {name: getattr(assist, name) or _("nobody") for name in ("user", "helper", "machine")}
    told = assist.kind == Kind.BREAK_GLASS and right >= Right.OPERATE
    return {
        "assist": assist,
        "sentence": _sentence(assist, mine) % names,
        "reason": assist.note if told or Party.HELPER in mine else "",
        "moves": [move for move in moves_of(person, assist, right) if not (place == "console" and move.name == "join")],
        "knows": bool(mine),
        "asks": Party.USER in mine and assist.state == State.TAKEN,
    }


def _sentence(assist: Assist, mine: set[Party]) -> str:
    """Say how far it is, to who reads it."""
    if assist.kind == Kind.BREAK_GLASS:
        if assist.control:
            return _("%(helper)s of the helpdesk has opened this machine without asking, and may operate it.")
        return _("%(helper)s of the helpdesk looks at this screen without having asked.")
    if assist.state == State.ACTIVE:
        return _("%(helper)s helps %(user)s with %(machine)s and may see its screen.")
    if assist.state == State.WAITING:
        return _("You asked for help. The helpdesk knows.") if Party.USER in mine else _("%(user)s asks for help.")
    if settings.ASSIST_POLICY == "consent":
        if Party.USER in mine:
            return _("%(helper)s wants to help you and asks to see this screen: only to look, until you give control.")
        return _("%(helper)s wants to help; %(user)s has not consented yet.")
    return _("%(helper)s is about to help %(user)s with %(machine)s.")
