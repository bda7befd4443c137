"""What each state is called, what it means for a machine, and what can be done about it."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from hypervisor.states import State

Words = str | Promise

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

STATE_MEANINGS: dict[State, Words] = {
    State.UNDEFINED: gettext_lazy(
        "Its host does not know it any more; what it was is kept here, and it can be defined again."
    ),
    State.SHUTOFF: gettext_lazy("It is off and uses no memory or processor of its host; start it to use it."),
    State.RUNNING: gettext_lazy("It runs; open its console, save it, or shut it down."),
    State.IDLE: gettext_lazy("It runs, but has done next to nothing for a while; save it or shut it down to spare it."),
    State.SHUTDOWN: gettext_lazy("It was asked to shut down and its guest is on its way; wait, or force it off."),
    State.PAUSED: gettext_lazy("Its processors stand still and its memory is kept on the host; resume it to go on."),
    State.SAVED: gettext_lazy("It is off and its memory is kept in a file; restore it to go on where it was."),
    State.CRASHED: gettext_lazy(
        "It ended without shutting down; start it again with its disks as the crash left them."
    ),
    State.DYING: gettext_lazy("It should be off but has not ended; force it off, or let it keep running."),
    State.PMSUSPENDED: gettext_lazy("Its guest has put itself to sleep and keeps its memory; wake it up to go on."),
}
"""One sentence each: what it means, and what to do."""
