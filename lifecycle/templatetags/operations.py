"""How templates write an operation: its name, how far it is, how long it took (static/js/words.js does the same)."""

from __future__ import annotations

from functools import lru_cache

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from lifecycle import payload
from lifecycle.models import Operation, Status
from lifecycle.parameter_words import parameter_words
from lifecycle.sight import Button, Sight
from machines.operation_table import TABLE
from machines.templatetags.portal import duration, size

register = template.Library()

_PLACE = "/where-the-machine-is/"


@register.filter
def label(operation: Operation) -> str:
    """Return the name of what was asked."""
    kind = TABLE.get(operation.kind)
    return str(kind.label) if kind else operation.kind


@register.filter
def in_words(operation: Operation) -> list[str]:
    """Return what was asked beside the operation's name, in words."""
    return parameter_words(operation)


@register.simple_tag
def operation_button(sight: Sight, button: Button, *, reason: bool = False, primary: bool = False) -> SafeString:
    """Draw the button of an operation; with `reason`, it points at the line of the page that says why not."""
    sentence = button.refusal.sentence if button.refusal else ""
    drawn = _button(button.kind.name, sentence, reason, primary, get_language() or "")
    return mark_safe(drawn.replace(_PLACE, sight.url))  # noqa: S308  # a template's output, and a path of ours


@register.simple_tag
def menu_item(sight: Sight, button: Button, mode: str = "", words: str = "") -> SafeString:
    """Draw an operation as an item of the menu “More”, perhaps in one of its ways."""
    context = {"button": button, "mode": mode, "words": words, "url": sight.url}
    return mark_safe(render_to_string("lifecycle/menu_item.html", context).strip())  # noqa: S308  # a template's output


@register.simple_tag
def operation_of(sight: Sight, name: str) -> Button:
    """Return one operation, and why it is not possible now."""
    return sight.button(TABLE[name])


@lru_cache(maxsize=1024)
def _button(kind: str, sentence: str, reason: bool, primary: bool, _language: str) -> str:
    """Draw it once for all machines: fifty includes in a list would cost as much as half its rows."""
    context = {"kind": TABLE[kind], "sentence": sentence, "reason": reason, "primary": primary, "url": _PLACE}
    return render_to_string("lifecycle/operation_button.html", context).strip()


@register.filter
def job_text(operation: Operation) -> str:
    """Say what goes on now, and how far it is."""
    kind = TABLE.get(operation.kind)
    doing = str(kind.doing) if kind else operation.kind
    if operation.cancel_requested:
        return _("%(doing)s: cancelling") % {"doing": doing}
    if operation.status == Status.QUEUED:
        return _("%(doing)s: queued") % {"doing": doing}
    if operation.waiting:
        return _("%(doing)s: waiting for the guest") % {"doing": doing}
    return f"{doing} {operation.progress} %" if operation.progress else doing


@register.filter
def job_bytes(operation: Operation) -> str:
    """Say how much is done of how much."""
    return _("%(done)s of %(total)s") % {
        "done": size(operation.processed_bytes),
        "total": size(operation.total_bytes),
    }


@register.filter
def cancellable(operation: Operation | None) -> bool:
    """Return whether asking to cancel it makes sense now."""
    return bool(operation and payload.is_cancellable(operation))


@register.filter
def took(operation: Operation) -> str:
    """Say how long it took from being asked to its end; empty while it is open."""
    if not operation.finished_at:
        return ""
    return duration((operation.finished_at - operation.created_at).total_seconds())
