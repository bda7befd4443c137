"""What the pages of help draw."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from assist import chat, snapshots
from assist.models import OPEN, Assist
from assist.parties import Party, helps, moves_of, parties
from hypervisor.states import State as MachineState
from machines.access import Person, Right, is_visitor, right_over
from machines.models import Machine
from machines.state_words import STATE_WORDS


def assist_context(person: Person, assist: Assist) -> dict[str, Any]:
    """Return what the page of one assist shows this person."""
    readable = chat.may_read(person, assist)
    return {
        "assist": assist,
        "moves": moves_of(person, assist),
        "is_helper": Party.HELPER in parties(person, assist),
        "needs_consent": settings.ASSIST_POLICY == "consent",
        "state_then": _word(assist.facts.get("state", "")),
        "events": assist.events.select_related("by"),
        "chat_messages": chat.messages_of(assist, person) if readable else None,
        "may_write": chat.may_write(person, assist),
        "longest": chat.LONGEST,
    }


def form_context(person: Person, machine: Machine) -> dict[str, Any]:
    """Return what the page that asks, offers or breaks the glass shows this person."""
    off = settings.ASSIST_POLICY == "off"
    right = right_over(person, machine)
    present = Assist.objects.filter(machine=machine, state__in=OPEN).select_related("user", "helper")
    return {
        "machine": machine,
        "off": off,
        "present": present.defer("picture", "facts").first(),
        "may_ask": right >= Right.OPERATE and not is_visitor(person, machine),
        "may_help": helps(person),
        "may_break": helps(person) and right < Right.VIEW,
        "pictured": snapshots.may_be_pictured(machine),
        "right": right,
    }


def _word(state: str) -> str:
    return str(STATE_WORDS[MachineState(state)]) if state in set(MachineState) else state
