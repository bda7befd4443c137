"""What scripts need of the server on every page, as one file that browsers keep: sentences and the table of operations.

Its address holds its language and a fingerprint, so that it is fetched once and again only when it changed.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from machines.quotas import RESOURCE_WORDS
from machines.refusals import EITHER
from machines.table_json import as_json
from people.models import Role

A_YEAR = 31_536_000
"""Seconds."""


def path() -> str:
    """Return the address of the script in the reader's language."""
    reader = get_language()
    language = reader if reader in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
    return reverse("browser_script", args=[language, _fingerprint(language)])


@require_safe
def view(request: HttpRequest, language: str, fingerprint: str) -> HttpResponse:
    """Answer the script; it has nothing to hide. One that was asked by an old fingerprint is not kept."""
    if language not in dict(settings.LANGUAGES):
        raise Http404
    response = HttpResponse(script(language), content_type="text/javascript; charset=utf-8")
    present = fingerprint == _fingerprint(language)
    response["Cache-Control"] = f"public, max-age={A_YEAR}, immutable" if present else "no-store"
    return response


@lru_cache
def script(language: str) -> str:
    """Write it once for each language."""
    with override(language):
        return f"globalThis.kvmportal = {json.dumps({'words': _words(), 'table': as_json()}, separators=(',', ':'))};"


@lru_cache
def _fingerprint(language: str) -> str:
    return hashlib.sha256(script(language).encode()).hexdigest()[:16]


def time_words() -> dict[str, str]:
    """Return the words of `ago`, for Python and for the browser."""
    return _time_words(get_language() or "")


@lru_cache
def _time_words(_language: str) -> dict[str, str]:
    return {"now": _("just now"), "minute": _("%(n)s min"), "hour": _("%(n)s h"), "day": _("%(n)s d")}


def _words() -> dict[str, Any]:
    return {
        "time": time_words(),
        "reconnecting": _("Reconnecting… What you see may be a little old."),
        "waiting": _("%(doing)s: waiting for the guest"),
        "queued": _("%(doing)s: queued"),
        "cancelling": _("%(doing)s: cancelling"),
        "ended": {
            "succeeded": _("%(machine)s: “%(operation)s” succeeded"),
            "failed": _("%(machine)s: “%(operation)s” failed"),
            "cancelled": _("%(machine)s: “%(operation)s” was cancelled"),
            "interrupted": _("%(machine)s: “%(operation)s” was interrupted"),
        },
        "statuses": {
            "queued": _("queued"),
            "running": _("running"),
            "succeeded": _("succeeded"),
            "failed": _("failed"),
            "cancelled": _("cancelled"),
            "interrupted": _("interrupted"),
        },
        "details": _("Details"),
        "notices": _("Notices, unread: %(n)s"),
        "new_notices": _("%(n)s new notices"),
        "show_notices": _("Show them"),
        "ask_for_right": _("Ask for it"),
        "roles": {role.value: str(role.label) for role in Role},
        "asked": _("%(name)s wants to be %(role)s of %(machine)s."),
        "asked_room": _(
            "%(name)s asks to raise the quota of %(whose)s (%(resource)s: %(wanted)s): it has no room for %(machine)s."
        ),
        "resources": {resource.value: str(label) for resource, label in RESOURCE_WORDS.items()},
        "raise_to": _("Raise to %(wanted)s"),
        "grant_hour": _("Grant for 1 hour"),
        "decline": _("Decline"),
        "selected": _("%(n)s selected"),
        "none_selected": _("None of the selected machines allows this now."),
        "offline": _("The portal did not answer. Nothing was asked of the machine; try again."),
        "right_lost": _("You no longer have access to %(machine)s."),
        "last_seen": _("last seen"),
        "confirm": _("%(operation)s %(machine)s"),
        "bytes": _("%(done)s of %(total)s"),
        "when": _("possible when %(allowed)s"),
        "either": _(EITHER),
        "picture_of": _("Screen of %(machine)s"),
        "picture_off": _("Pictures of this screen are switched off."),
        "help": {
            "asked": _("%(user)s asks for help with %(machine)s."),
            "offered": _("%(helper)s offers you help with %(machine)s and asks to see its screen."),
            "taken": _("%(helper)s wants to help you with %(machine)s and asks to see its screen."),
            "accepted": _("%(user)s lets you see the screen of %(machine)s."),
            "declined": _("%(user)s does not want help with %(machine)s now."),
            "withdrawn": _("%(user)s does not need help with %(machine)s any more."),
            "broke_glass": _("%(helper)s of the helpdesk opened %(machine)s without asking."),
            "ended": _("The help with %(machine)s has ended."),
            "look": _("Look at it"),
        },
        "none": _("none"),
        "nobody": _("nobody"),
        "no_addresses": _("none known; the guest agent reports them"),
        "agent": [_("not connected"), _("connected")],
        "persistent": [_("transient (gone when it stops)"), _("persistent")],
        "autostart": [_("no"), _("starts with its host")],
        "saved": [_("none"), _("yes; starting it restores its memory")],
    }
