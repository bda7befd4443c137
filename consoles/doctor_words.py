"""What the console doctor says of what only the browser can measure; static/js/console/doctor.js shows it."""

from __future__ import annotations

from django.utils.translation import gettext as _


def doctor_words() -> dict[str, str]:
    """Return names of the parts, sentences of what was measured, and the verdicts."""
    return {
        "looking": _("Looking…"),
        "well": _("Everything between you and the machine's screen works."),
        "page": _("Portal"),
        "socket": _("Live updates"),
        "host": _("Host"),
        "proxy": _("Console proxy"),
        "display": _("Display"),
        "screen": _("Screen"),
        "agent": _("Guest agent"),
        "page_well": _("The portal answers."),
        "page_slow": _("The portal answers slowly: the network between you and it is slow, or it has too much to do."),
        "page_lost": _("The portal does not answer. Check your network; the machine goes on meanwhile."),
        "socket_well": _("Changes reach this page at once."),
        "socket_slow": _("Changes reach this page late: the network between you and the portal is slow."),
        "socket_lost": _(
            "Changes do not reach this page: something between you and the portal lets no WebSockets through. "
            "An administrator of that network or of the portal's reverse proxy has to allow them."
        ),
        "screen_well": _("The machine's display answers."),
        "screen_slow": _(
            "The machine's display answers slowly: choose “Slow line” under Screen, or see what keeps it busy."
        ),
        "screen_silent": _(
            "The connection to the display is open, but it sends nothing: the machine's process on its host may hang."
        ),
        "screen_carried": _(
            "The console is open, and the console proxy answers. A serial line itself gives no answers."
        ),
        "screen_unanswered": _(
            "The console proxy does not answer on this connection: the network between you and it is gone or very slow."
        ),
        "screen_held": _(
            "Another program holds the serial console: virsh on the host, or another console proxy. Close it there, or "
            "take the console over on this page."
        ),
        "screen_gone": _("The machine closed its display, or has none now: look at its state and its definition."),
        "screen_host": _("The machine's host does not give its display out: it is busy or does not answer."),
        "screen_full": _("The console proxy serves as many consoles as it may: try again when somebody has left."),
        "screen_refused": _("The portal gives no console now."),
        "screen_unreachable": _(
            "The console proxy cannot be reached from here at %(url)s. An administrator has to check its address "
            "(CONSOLE_PUBLIC_URL), the reverse proxy before it, and CONSOLE_ORIGINS."
        ),
        "screen_skipped": _("Pictures come from the portal itself, so there is no connection to measure."),
    }
