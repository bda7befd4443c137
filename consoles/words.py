"""What the console's page says when there is no picture, in the reader's language; static/js/console.js shows it."""

from __future__ import annotations

from typing import TypedDict

from django.utils.translation import gettext as _

from hypervisor.states import State


class Notice(TypedDict, total=False):
    """Why there is no picture, what happens next, and the label of the button that connects, if it helps."""

    title: str
    text: str
    connect: str


def console_words() -> dict[str, dict[str, Notice]]:
    """Return the notices for the machine's states and for what may become of the connection."""
    return {"states": _states(), "connection": _connection()}


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
        "no_display": {
            "title": _("%(machine)s has no VNC display"),
            "text": _("An administrator can add one to its definition."),
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
    }
