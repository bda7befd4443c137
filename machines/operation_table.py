"""The one table of operations: what each is called, when and by whom it may be asked, what it destroys, what ends it.

Python, templates, API and the browser (as JSON, see `as_json`) all read this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from hypervisor.states import ACTIVE_STATES, State
from machines.access import Right

Words = str | Promise


class Queue(StrEnum):
    """The two Celery queues: a long operation never delays a quick one."""

    QUICK = "quick"
    LONG = "long"


@dataclass(frozen=True, slots=True)
class Kind:
    """One operation that can be asked of a machine.

    - states: where it is allowed.
    - loses: what is destroyed, as a sentence with `%(name)s`; empty when nothing is, and then nobody is asked.
    - waits: the call only starts it; the watcher's news or a deadline finishes it.
    - preempts: it ends whatever other operation is in the way.
    - modes: the values of its parameter `mode`, the first being the default.
    """

    name: str
    label: Words
    doing: Words
    icon: str
    queue: Queue
    states: frozenset[State]
    right: Right = Right.OPERATE
    loses: Words = ""
    waits: bool = False
    preempts: bool = False
    cancellable: bool = False
    modes: tuple[str, ...] = ()

    @property
    def ways(self) -> dict[str, Words]:
        """The modes that people may choose beside the default, in words."""
        return {mode: MODE_WORDS[mode] for mode in self.modes[1:]}


class RefusalCode(StrEnum):
    """Why an operation is not possible now (the API's error codes)."""

    STATE = "state_conflict"
    OPERATION = "operation_conflict"
    HOST = "host_unreachable"
    RIGHT = "forbidden"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an operation is not possible now, as a code for scripts and a sentence for people."""

    code: RefusalCode
    sentence: str


MODE_WORDS: dict[str, Words] = {
    "acpi": gettext_lazy("by the power button"),
    "agent": gettext_lazy("by the guest agent"),
}

_AWAKE = frozenset({State.RUNNING, State.IDLE})
_ON = ACTIVE_STATES
_OFF = frozenset({State.SHUTOFF, State.CRASHED})

TABLE: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "start",
            gettext_lazy("Start"),
            gettext_lazy("Starting"),
            "player-play",
            Queue.QUICK,
            _OFF | {State.SAVED},
        ),
        Kind(
            "restore",
            gettext_lazy("Restore"),
            gettext_lazy("Restoring"),
            "restore",
            Queue.LONG,
            frozenset({State.SAVED}),
        ),
        Kind(
            "shutdown",
            gettext_lazy("Shut down"),
            gettext_lazy("Shutting down"),
            "power",
            Queue.QUICK,
            _AWAKE | {State.DYING},
            waits=True,
            cancellable=True,
            modes=("default", "acpi", "agent"),
        ),
        Kind(
            "reboot",
            gettext_lazy("Reboot"),
            gettext_lazy("Rebooting"),
            "refresh",
            Queue.QUICK,
            _AWAKE,
            waits=True,
            cancellable=True,
            modes=("default", "acpi", "agent"),
        ),
        Kind(
            "suspend",
            gettext_lazy("Pause"),
            gettext_lazy("Pausing"),
            "player-pause",
            Queue.QUICK,
            _AWAKE | {State.SHUTDOWN},
        ),
        Kind(
            "resume",
            gettext_lazy("Resume"),
            gettext_lazy("Resuming"),
            "player-play",
            Queue.QUICK,
            frozenset({State.PAUSED}),
        ),
        Kind(
            "save",
            gettext_lazy("Save"),
            gettext_lazy("Saving"),
            "device-floppy",
            Queue.LONG,
            _AWAKE | {State.PAUSED},
            cancellable=True,
        ),
        Kind(
            "reset",
            gettext_lazy("Reset"),
            gettext_lazy("Resetting"),
            "rotate-clockwise",
            Queue.QUICK,
            _ON,
            loses=gettext_lazy(
                "%(name)s restarts at once, as if its reset button was pressed. Unsaved work in it is lost."
            ),
        ),
        Kind(
            "keep-running",
            gettext_lazy("Keep running"),
            gettext_lazy("Keeping running"),
            "heart",
            Queue.QUICK,
            frozenset({State.DYING}),
        ),
        Kind(
            "destroy",
            gettext_lazy("Force off"),
            gettext_lazy("Forcing off"),
            "plug-connected-x",
            Queue.QUICK,
            _ON | {State.CRASHED},
            loses=gettext_lazy("%(name)s stops at once, as if its power was cut. Unsaved work in it is lost."),
            preempts=True,
        ),
    )
}
"""In the order of a machine's life, which is the order of the buttons."""


SUGGESTED: dict[State, tuple[str, ...]] = {
    State.UNDEFINED: (),
    State.SHUTOFF: ("start",),
    State.RUNNING: ("shutdown",),
    State.IDLE: ("shutdown",),
    State.SHUTDOWN: ("destroy",),
    State.PAUSED: ("resume",),
    State.SAVED: ("restore",),
    State.CRASHED: ("start",),
    State.DYING: ("keep-running", "destroy"),
    State.PMSUSPENDED: ("destroy",),
}
"""What most people want next: lists draw these as buttons and keep the rest in a menu."""

FORBIDDEN = gettext_noop("You need the right “%(right)s” on this machine.")
HOST_UNREACHABLE = gettext_noop("Its host does not answer. It is tried again all the time.")
IN_THE_WAY = gettext_noop("Another operation is in the way: %(operation)s.")
WRONG_STATE = gettext_noop("The machine is %(state)s; “%(operation)s” is possible when it is %(allowed)s.")


def refusal(
    kind: Kind,
    *,
    state: State,
    right: Right,
    host_reachable: bool,
    in_the_way: Kind | None = None,
) -> Refusal | None:
    """Return why this operation is not possible now, or None when it is.

    Args:
        kind: the operation.
        state: the machine's present state.
        right: what the person who asks has over the machine.
        host_reachable: whether the machine's host answers.
        in_the_way: the kind of the open operation, when there is one. Force off goes ahead of any but another.
    """
    if right < kind.right:
        sentence = _(FORBIDDEN) % {"right": kind.right.word}
        return Refusal(RefusalCode.RIGHT, sentence)
    if not host_reachable:
        return Refusal(RefusalCode.HOST, _(HOST_UNREACHABLE))
    if in_the_way and (in_the_way.preempts or not kind.preempts):
        sentence = _(IN_THE_WAY) % {"operation": in_the_way.doing}
        return Refusal(RefusalCode.OPERATION, sentence)
    if state not in kind.states:
        return Refusal(RefusalCode.STATE, state_sentence(kind, state))
    return None


def state_sentence(kind: Kind, state: State) -> str:
    """Say that this state does not allow the operation, and which states do."""
    allowed = ", ".join(str(STATE_WORDS[other]) for other in State if other in kind.states)
    return _(WRONG_STATE) % {
        "state": STATE_WORDS[state],
        "operation": kind.label,
        "allowed": allowed,
    }


def as_json() -> dict[str, Any]:
    """Return the table for the browser, in the reader's language; it says what `refusal` says (static/js/table.js)."""
    return {
        "states": {state.value: str(words) for state, words in STATE_WORDS.items()},
        "active": sorted(ACTIVE_STATES),
        "suggested": {state.value: SUGGESTED[state] for state in State},
        "rights": {right.word: int(right) for right in Right if right},
        "operations": {
            kind.name: {
                "label": str(kind.label),
                "doing": str(kind.doing),
                "icon": kind.icon,
                "states": [state.value for state in State if state in kind.states],
                "right": int(kind.right),
                "loses": str(kind.loses),
                "preempts": kind.preempts,
                "cancellable": kind.cancellable,
            }
            for kind in TABLE.values()
        },
        "sentences": {
            RefusalCode.RIGHT: _(FORBIDDEN),
            RefusalCode.HOST: _(HOST_UNREACHABLE),
            RefusalCode.OPERATION: _(IN_THE_WAY),
            RefusalCode.STATE: _(WRONG_STATE),
        },
    }


STATE_WORDS: dict[State, Words] = {
    State.UNDEFINED: gettext_lazy("undefined"),
    State.SHUTOFF: gettext_lazy("shut off"),
    State.RUNNING: gettext_lazy("running"),
    State.IDLE: gettext_lazy("idle"),
    State.SHUTDOWN: gettext_lazy("shutting down"),
    State.PAUSED: gettext_lazy("paused"),
    State.SAVED: gettext_lazy("saved"),
    State.CRASHED: gettext_lazy("crashed"),
    State.DYING: gettext_lazy("dying"),
    State.PMSUSPENDED: gettext_lazy("asleep"),
}
