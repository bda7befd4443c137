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

REASON_SENTENCES: dict[State, dict[str, Words]] = {
    State.RUNNING: {
        "crashed": gettext_lazy("Its guest had crashed, and somebody let it go on."),
        "migration canceled": gettext_lazy("Its move to another host was called off."),
        "save canceled": gettext_lazy("It was being saved, and that was called off."),
        "post-copy": gettext_lazy("It is being moved between hosts and runs on both sides until that is done."),
        "post-copy failed": gettext_lazy("Its move between hosts broke off halfway."),
    },
    State.SHUTOFF: {
        "destroyed": gettext_lazy("It was forced off."),
        "failed": gettext_lazy("Its last start failed."),
        "daemon": gettext_lazy("It ended while libvirt was not looking."),
        "from snapshot": gettext_lazy("It was put back to a snapshot that was made while it was off."),
        "migrated": gettext_lazy("It was moved to another host."),
    },
    State.PAUSED: {
        "I/O error": gettext_lazy("A disk of it could not be written or read, perhaps because its host's is full."),
        "watchdog": gettext_lazy("Its watchdog found that its guest had stopped responding."),
        "migration": gettext_lazy("It is being moved to another host."),
        "save": gettext_lazy("Its memory is being saved."),
        "dump": gettext_lazy("Its memory is being written to a file for inspection."),
        "snapshot": gettext_lazy("A snapshot of it is being made."),
        "from snapshot": gettext_lazy("It was put back to a snapshot that was made while it was paused."),
        "starting up": gettext_lazy("It was being started and has not run yet."),
        "post-copy failed": gettext_lazy("Its move between hosts broke off halfway; resuming it may lose data."),
        "api error": gettext_lazy("An operation on it failed halfway and left it so."),
    },
    State.CRASHED: {
        "panicked": gettext_lazy("Its guest's kernel panicked."),
        "crashed": gettext_lazy("Its guest crashed, or its QEMU process ended by itself."),
    },
    State.DYING: {"shutting down": gettext_lazy("Its guest has shut down, but its QEMU process did not end.")},
}
"""libvirt's reasons that people do not know, as sentences."""


def reason_sentence(state: State, reason: str) -> str:
    """Say what libvirt's reason means; empty where the word says enough."""
    return str(REASON_SENTENCES.get(state, {}).get(reason, ""))
