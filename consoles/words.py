"""What the page of a console says when there is no picture, in the reader's language (static/js/console/page.js)."""

from __future__ import annotations

from typing import Any, TypedDict

from django.utils.translation import gettext as _

from consoles.doctor_words import doctor_words
from consoles.input_words import clipboard_words, typing_words
from consoles.people_words import people_words
from hypervisor.states import State


class Notice(TypedDict, total=False):
    """Why there is no picture, what happens next, and the label of the button that connects, if it helps."""

    title: str
    text: str
    connect: str


class ConsoleWords(TypedDict):
    """All that the page's scripts say; `standing` and `hints` are lines over a picture that is there."""

    states: dict[str, Notice]
    connection: dict[str, Notice]
    standing: dict[str, str]
    hints: dict[str, str]
    typing: dict[str, Any]
    clipboard: dict[str, Any]
    doctor: dict[str, str]
    people: dict[str, str]


def console_words() -> ConsoleWords:
    """Return the notices for the machine's states and for what may become of the connection, and the lines."""
    return {
        "states": _states(),
        "connection": _connection(),
        "standing": _standing(),
        "hints": _hints(),
        "typing": typing_words(),
        "clipboard": clipboard_words(),
        "doctor": doctor_words(),
        "people": people_words(),
    }


def _standing() -> dict[str, str]:
    return {
        State.PAUSED: _("%(machine)s is paused: this is what it showed last. Keys wait until it goes on."),
        State.PMSUSPENDED: _("%(machine)s sleeps, so its screen is black."),
        State.CRASHED: _("%(machine)s has crashed: this is the last it showed."),
        State.SHUTDOWN: _("%(machine)s is shutting down."),
        State.DYING: _("%(machine)s should have stopped by now and has not."),
    }


def _hints() -> dict[str, str]:
    return {
        "blank": _(
            "Connected, but the guest's screen is empty: it may be asleep or starting. "
            "A key or the pointer often wakes it."
        ),
        "silent": _("Connected, but the machine has said nothing on this line yet. Many answer when Enter is pressed."),
        "silent_view": _("Connected, but the machine has said nothing on this line yet."),
        "blank_view": _("Connected, but the guest's screen is empty: it may be asleep or starting."),
        "pictures": _("Pictures, about once a second."),
        "pictures_of": _("Pictures, about once a second. %(user)s is on the SPICE screen."),
        "sound": _("The machine makes sounds; your browser waits until you say so."),
    }


def _states() -> dict[str, Notice]:
    appears = _("Its screen appears here by itself as soon as it runs.")
    return {
        State.SHUTOFF: {"title": _("%(machine)s is shut off"), "text": appears},
        State.CRASHED: {"title": _("%(machine)s has crashed"), "text": appears},
        State.SAVED: {
            "title": _("%(machine)s is saved"),
            "text": _("Restored, it goes on where it was; its screen appears here by itself."),
        },
        State.UNDEFINED: {
            "title": _("%(machine)s is not defined on its host any more"),
            "text": _("An administrator has to define it again. Its screen appears here as soon as it runs."),
        },
    }


def _connection() -> dict[str, Notice]:
    again, now = _("Connect again"), _("Try now")
    return {
        "connecting": {"title": _("Connecting to %(machine)s…")},
        "lost": {
            "title": _("The connection to the screen was lost"),
            "text": _("It is tried again by itself. %(machine)s goes on meanwhile."),
            "connect": now,
        },
        "host": {
            "title": _("The host of %(machine)s does not answer"),
            "text": _("The screen comes back by itself when the host does."),
            "connect": now,
        },
        "offline": {
            "title": _("Your computer is not connected to the network"),
            "text": _("The screen comes back by itself when it is. %(machine)s goes on meanwhile."),
            "connect": now,
        },
        "no_display": {
            "title": _("%(machine)s has no %(protocol)s display"),
            "text": _("An administrator can add one to its definition."),
        },
        "no_serial": {
            "title": _("%(machine)s has no serial console"),
            "text": _("An administrator can add one to its definition."),
        },
        "held": {
            "title": _("Another program holds the serial console of %(machine)s"),
            "text": _("It may be virsh on the host, or another console proxy. Taking over throws it out."),
            "connect": _("Take it over"),
        },
        "held_view": {
            "title": _("Another program holds the serial console of %(machine)s"),
            "text": _("It may be virsh on the host, or another console proxy."),
            "connect": now,
        },
        "revoked": {
            "title": _("You no longer have the right to this screen"),
            "text": _("Its owner can give it to you again; then it appears here by itself."),
            "connect": again,
        },
        "ended": {
            "title": _("An administrator ended this console"),
            "text": _("%(machine)s goes on."),
            "connect": again,
        },
        "replaced": {
            "title": _("This screen is shown in another window of yours"),
            "text": _("A SPICE screen can be in one place at a time."),
            "connect": _("Show it here"),
        },
        "window": {
            "title": _("This screen is in a window of its own"),
            "text": _("%(machine)s goes on there. Close it, or bring the screen back here."),
            "connect": _("Show it here"),
        },
        "idle": {
            "title": _("Nothing was done here for a while, so the console was closed"),
            "text": _("%(machine)s goes on."),
            "connect": again,
        },
        "limit": {
            "title": _("This console was open for as long as it may be"),
            "text": _("%(machine)s goes on."),
            "connect": again,
        },
        "maintenance": {
            "title": _("No console can be opened during maintenance"),
            "text": _("The screen comes by itself when it is over."),
            "connect": now,
        },
        "unreplayable": {
            "title": _("This console is recorded, and your browser asks for what a recording cannot show"),
            "text": _("Tell an administrator: the portal's page and its recordings do not fit each other."),
            "connect": again,
        },
        "screen_taken": {"title": _("Somebody else is at this screen"), "connect": now},
        "too_many_consoles": {"title": _("You have too many consoles open"), "connect": now},
    }


def replay_words() -> dict[str, str]:
    """Return what the player of recordings says; static/js/replay.js shows it."""
    return {
        "loading": _("Loading the recording…"),
        "gone": _("The recording cannot be loaded. It may have been deleted meanwhile."),
        "empty": _("Nothing was shown while this was recorded."),
        "cut": _("The recording is cut off: it is still being written, or what wrote it was stopped."),
        "play": _("Play"),
        "pause": _("Pause"),
    }
