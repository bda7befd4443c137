"""Why an operation is not possible now: the table applied to one machine and one person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from hypervisor.states import State
from machines.access import Person, Right
from machines.models import Machine
from machines.operation_table import Fact, Kind, Variant
from machines.refused import Refused
from machines.state_words import STATE_WORDS
from maintenance import notices
from maintenance.notices import Closure
from people.roles import is_administrator


class RefusalCode(StrEnum):
    """Why an operation is not possible now (the API's error codes)."""

    STATE = "state_conflict"
    OPERATION = "operation_conflict"
    HOST = "host_unreachable"
    RIGHT = "forbidden"
    MAINTENANCE = "maintenance"
    QUOTA = "quota_exceeded"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an operation is not possible now, as a code for scripts and a sentence for people."""

    code: RefusalCode
    sentence: str


FORBIDDEN = gettext_noop("You need the right “%(right)s” on this machine.")
HOST_UNREACHABLE = gettext_noop("Its host does not answer. It is tried again all the time.")
IN_THE_WAY = gettext_noop("Another operation is in the way: %(operation)s.")
EITHER = gettext_noop("%(others)s or %(last)s")
WRONG_STATE = gettext_noop("The machine is %(state)s; “%(operation)s” is possible when it is %(allowed)s.")
MISSING = {
    Fact.PERSISTENT: gettext_noop("It is transient: its host keeps no definition of it."),
    Fact.SAVED_IMAGE: gettext_noop("It has no managed-save image."),
    Fact.SAVED_FILES: gettext_noop("It has no saved file."),
    Fact.AGENT: gettext_noop("Its guest agent is not connected."),
}


def facts_of(machine: Machine) -> frozenset[Fact]:
    """Return which facts are true of a machine."""
    return frozenset(fact for fact in Fact if getattr(machine, fact))


def refusal(
    kind: Kind,
    *,
    state: State,
    right: Right,
    host_reachable: bool,
    in_the_way: Kind | None = None,
    facts: Collection[Fact] = tuple(Fact),
    given: Mapping[str, object] | None = None,
    closure: Closure | None = None,
    full: str = "",
) -> Refusal | None:
    """Return why this operation is not possible now, or None when it is.

    Args:
        kind: the operation.
        state: the machine's present state.
        right: what the person who asks has over the machine.
        host_reachable: whether the machine's host answers.
        in_the_way: the kind of the open operation, when there is one. Force off goes ahead of any but another.
        facts: what else is true of the machine (`facts_of`).
        given: the parameters, where they are known.
        closure: the maintenance that lets nothing new begin, if one does. Administrators it does not stop.
        full: why its owner may run no more machines than run now; empty where they may.
    """
    variant = kind.variant(given)
    if right < variant.right:
        return Refusal(RefusalCode.RIGHT, _(FORBIDDEN) % {"right": variant.right.word})
    if closure and right < Right.ADMIN:
        return Refusal(RefusalCode.MAINTENANCE, closure.sentence)
    if not host_reachable:
        return Refusal(RefusalCode.HOST, _(HOST_UNREACHABLE))
    if in_the_way and (in_the_way.preempts or not kind.preempts):
        sentence = _(IN_THE_WAY) % {"operation": in_the_way.doing}
        return Refusal(RefusalCode.OPERATION, sentence)
    if state not in variant.states:
        return Refusal(RefusalCode.STATE, state_sentence(kind, state, variant))
    for fact in variant.requires:
        if fact not in facts:
            return Refusal(RefusalCode.STATE, _(MISSING[fact]))
    return Refusal(RefusalCode.QUOTA, full) if full and kind.runs else None


def refuse_in_maintenance(person: Person) -> None:
    """Let nothing new begin while a maintenance says so, but what administrators begin. One query for others.

    Raises:
        Refused: `maintenance` (503); it says when to come back, if that is known.
    """
    if not is_administrator(person) and (closure := notices.closure()):
        raise in_maintenance(closure)


def in_maintenance(closure: Closure) -> Refused:
    """Return the refusal of what a maintenance stops."""
    details = {"retry_after": closure.seconds} if closure.seconds else {}
    return Refused(RefusalCode.MAINTENANCE, closure.sentence, status=503, details=details, retry_after=closure.seconds)


def state_sentence(kind: Kind, state: State, variant: Variant | None = None) -> str:
    """Say that this state does not allow the operation, and which states do."""
    states = (variant or kind.variant()).states
    allowed = either([str(STATE_WORDS[other]) for other in State if other in states])
    return _(WRONG_STATE) % {
        "state": STATE_WORDS[state],
        "operation": kind.label,
        "allowed": allowed,
    }


def either(words: Sequence[str]) -> str:
    """Join words as people do: “running, idle or paused”."""
    if len(words) < 2:
        return "".join(words)
    return _(EITHER) % {"others": ", ".join(words[:-1]), "last": words[-1]}
