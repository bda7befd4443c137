"""What the console's page says about the people at it, in the reader's language (static/js/console/people.js)."""

from __future__ import annotations

from django.utils.translation import gettext as _


def people_words() -> dict[str, str]:
    """Return the sentences; their names are people.js's."""
    return {
        "you": _("%(user)s (you)"),
        "types": _("types"),
        "looks": _("looks on"),
        "asks": _("asks for control"),
        "recorded": _("recorded"),
        "lent_by": _("lent by %(user)s"),
        "by": _("on %(protocol)s"),
        "you_type": _("You type"),
        "user_types": _("%(user)s types"),
        "nobody_types": _("Nobody types"),
        "who_is_here": _("Who is here: %(count)s. %(typing)s."),
        "came": _("%(user)s is here now."),
        "went": _("%(user)s left."),
        "user_asks": _("%(user)s asks for control of the machine."),
        "user_took": _("%(user)s has control now. You look on."),
        "lost": _("You look on now: control is gone."),
        "lent": _("%(user)s handed you control. You may type."),
        "regained": _("You have control now."),
        "refused": _("%(user)s keeps control for now."),
        "failed": _("That did not work. Try again in a moment."),
        "ask": _("Ask for control"),
        "withdraw": _("Stop asking"),
        "take": _("Take control"),
        "take_back": _("Take back control"),
        "give_back": _("Give control back"),
        "ends_idle": _("This console closes in %(seconds)s s because nobody types here."),
        "ends_limit": _("This console closes in %(seconds)s s: it was open for as long as one may be."),
        "kept": _("This console stays open."),
    }
