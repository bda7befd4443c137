"""What the console's panels "Type text" and "Clipboard" say, in the reader's language; static/js/console/ shows it."""

from __future__ import annotations

from django.utils.translation import gettext as _


def typing_words() -> dict[str, str]:
    """Return the sentences of typing.js; the names of "stopped" are the reasons for which typing stops."""
    return {
        "summary": _("%(count)s characters, about %(seconds)s s."),
        "missing": _("This keyboard has no key for:  %(characters)s"),
        "missing_secret": _("This keyboard has no key for the characters number %(places)s."),
        "progress": _("%(typed)s of %(count)s"),
        "done": _("Typed %(count)s characters."),
        "cancelled": _("Stopped by you after %(typed)s of %(count)s characters."),
        "gone": _(
            "The screen was lost after %(typed)s of %(count)s characters; see whether the last ones arrived before "
            "you go on."
        ),
        "view": _("The right to type ended after %(typed)s of %(count)s characters."),
        "touched": _(
            "You used the machine's screen yourself: stopped after %(typed)s of %(count)s characters, so that they "
            "do not mix."
        ),
        "hidden": _("This page was put into the background: stopped after %(typed)s of %(count)s characters."),
        "forgotten": _("The secret is forgotten here; enter it again."),
        "why_gone": _("There is no screen to type into now."),
        "why_view": _("You are only looking at this machine."),
        "why_pictures": _("This display only shows pictures; text can be typed on VNC, SPICE or serial."),
    }


def clipboard_words() -> dict[str, str]:
    """Return the sentences of clipboard.js."""
    return {
        "sent": _("Sent to the machine's clipboard."),
        "received": _("%(machine)s copied a text."),
        "copied": _("Copied."),
        "not_copied": _("The browser did not let the page copy; select the text and copy it."),
        "insecure": _("Not by itself here: browsers open their clipboard only to pages that come over https."),
        "no_reading": _(
            "This browser hands its clipboard only to those who paste; texts of the machine come by themselves."
        ),
        "denied": _("The browser was told not to open its clipboard to this page; its settings can change that."),
        "vnc": _(
            "Needs a guest agent that knows clipboards (spice-vdagent) and a qemu-vdagent channel in the definition."
        ),
        "spice": _("Needs spice-vdagent in the machine."),
        "serial": _("Select text on the terminal to copy it. What you send is written to the line as if typed."),
        "none": _("This display has no clipboard. “Type text” works everywhere else."),
        "why_view": _("You are only looking: nothing goes to the machine."),
        "why_gone": _("There is no screen now."),
    }
