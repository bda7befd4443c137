"""What templates draw in more than one place: icons, states, sizes, times, and the browser's words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from django import template
from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from hypervisor.states import State
from kvmportal.environment import ROOT
from machines import browser_script
from machines.browser_script import time_words
from machines.models import Machine
from machines.operation_table import TABLE
from machines.state_words import STATE_MEANINGS, STATE_WORDS, reason_sentence
from people.roles import is_administrator, is_helpdesk

register = template.Library()

ICONS = ROOT / "node_modules/@tabler/icons/icons/outline"
_DRAWING = re.compile(r"<svg[^>]*>(?P<paths>.*)</svg>", re.DOTALL)
_BOUNDS = '<path stroke="none" d="M0 0h24v24H0z" fill="none" />'
MINUTE, HOUR, DAY = 60, 3600, 86400
_ONLY_HERE = ("127.", "::1", "fe80:", "169.254.")
_XML_PARTS = re.compile(
    r"(?P<comment>&lt;!--.*?--&gt;)|(?P<open>&lt;/?)(?P<name>[\w:.-]+)(?P<rest>.*?)(?=/?&gt;)", re.DOTALL
)
_XML_ATTRIBUTE = re.compile(r"([\w:.-]+)=(&#x27;.*?&#x27;|&quot;.*?&quot;)", re.DOTALL)


@lru_cache
def icon_paths(name: str) -> str:
    """Return the drawing of one of Tabler's outline icons, without its <svg>.

    Raises:
        FileNotFoundError: there is no icon of this name.
    """
    found = _DRAWING.search((ICONS / f"{name}.svg").read_text())
    return "".join(line.strip() for line in found["paths"].replace(_BOUNDS, "").splitlines()) if found else ""


@register.simple_tag
@lru_cache
def icon(name: str, classes: str = "") -> SafeString:
    """Draw an icon in place. It is decoration: the words beside it, or an aria-label, say what it means."""
    return format_html(
        '<svg class="icon {}" viewBox="0 0 24 24" aria-hidden="true">{}</svg>',
        classes,
        mark_safe(icon_paths(name)),  # noqa: S308  # a file of ours
    )


@register.simple_tag
@lru_cache
def icon_use(name: str) -> SafeString:
    """Draw an icon that `icon_sprite` put on the page: short enough for fifty rows, and scripts can change it.

    An SVG without a name is not read out, as if it said aria-hidden.
    """
    return format_html('<svg class="icon"><use href="#i-{}"/></svg>', name)


@register.simple_tag
@lru_cache
def icon_sprite() -> SafeString:
    """Put the icons of rows and operations on the page once, for `icon_use` and for scripts."""
    names = sorted({kind.icon for kind in TABLE.values()} | {"copy", "check", "x", "screen-share"})
    symbols = "".join(f'<symbol id="i-{name}" viewBox="0 0 24 24">{icon_paths(name)}</symbol>' for name in names)
    return mark_safe(f'<svg class="d-none" aria-hidden="true">{symbols}</svg>')  # noqa: S308  # files of ours


@register.filter
def state_word(state: str) -> str:
    """Return the word by which people know a state."""
    return str(STATE_WORDS[State(state)])


@register.filter
def state_meaning(state: str) -> str:
    """Say what a state means, and what to do."""
    return str(STATE_MEANINGS[State(state)])


@register.filter
def reason_meaning(machine: Machine) -> str:
    """Say what libvirt's reason for the state means; empty where the word says enough."""
    return reason_sentence(State(machine.state), machine.state_reason)


@register.filter
def more_label(name: str) -> str:
    """Name the menu of a machine's row for people who do not see the row."""
    return _("More operations for %(name)s") % {"name": name}


@register.filter
def size(count: int) -> str:
    """Write a number of bytes with a binary unit."""
    if not count:
        return "0 B"
    power = min((int(count).bit_length() - 1) // 10, 5)
    number = count / 1024**power
    text = f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"
    return f"{text} {('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')[power]}"


def duration(seconds: float) -> str:
    """Write how long something took."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), MINUTE)
    return f"{minutes} min {rest} s"


@register.filter
def milliseconds(number: int | None) -> str:
    """Write how long something took that was measured in milliseconds."""
    return duration(number / 1000) if number is not None else ""


@register.filter
def first_addresses(addresses: Sequence[dict[str, Any]]) -> list[str]:
    """Return the one address a list has room for: IPv4 before IPv6, none that is only good on its own link."""
    return all_addresses(addresses)[:1]


@register.filter
def all_addresses(addresses: Sequence[dict[str, Any]]) -> list[str]:
    """Return a machine's addresses, the most useful first, without loopback and link-local ones."""
    found = [str(entry.get("address", "")) for entry in addresses]
    return sorted((text for text in found if text and not text.startswith(_ONLY_HERE)), key=lambda text: ":" in text)


@register.filter
def display(machine: Machine) -> str:
    """Write a machine's displays and video model."""
    return " ".join(part for part in (", ".join(machine.graphics).upper(), machine.video_model) if part) or _("none")


@register.filter
def coloured_xml(xml: str) -> SafeString:
    """Mark up XML for reading: tags, attributes, values and comments in colours of their own."""
    return mark_safe(_XML_PARTS.sub(_coloured, escape(xml)))  # noqa: S308  # escaped before it is marked


def _coloured(part: re.Match[str]) -> str:
    if comment := part["comment"]:
        return f'<span class="xml-comment">{comment}</span>'
    attributes = _XML_ATTRIBUTE.sub(
        r'<span class="xml-attribute">\1</span>=<span class="xml-value">\2</span>', part["rest"]
    )
    return f'{part["open"]}<span class="xml-tag">{part["name"]}</span>{attributes}'


@register.filter
def exact(when: datetime | None) -> str:
    """Write a time exactly, in the portal's time zone."""
    return timezone.localtime(when).strftime("%Y-%m-%d %H:%M:%S %Z") if when else ""


@register.simple_tag
def since(when: datetime | None, *, short: bool = False) -> SafeString | str:
    """Write how long ago something was, with the exact time on hover. Scripts keep it up to date.

    A `short` one, for rows of a long list, gets its exact time from scripts.
    """
    if when is None:
        return "\N{EN DASH}"
    date = when.isoformat(timespec="seconds")
    title = "" if short else f' title="{exact(when)}"'
    return mark_safe(f'<time datetime="{date}"{title}>{escape(ago(when))}</time>')  # noqa: S308


@register.simple_tag
def moment(when: datetime | None) -> SafeString | str:
    """Write a time exactly, as logs do. Scripts put it in the reader's time zone."""
    return format_html('<time datetime="{}" data-exact>{}</time>', when.isoformat(), exact(when)) if when else ""


def ago(when: datetime) -> str:
    """Say how long ago it was, in the largest unit that is full (the browser does the same, see static/js/times.js)."""
    seconds = (timezone.now() - when).total_seconds()
    words = time_words()
    if seconds < MINUTE:
        return words["now"]
    for unit, length in (("day", DAY), ("hour", HOUR)):
        if seconds >= length:
            return words[unit] % {"n": int(seconds // length)}
    return words["minute"] % {"n": int(seconds // MINUTE)}


@register.simple_tag
def role_word(person: User) -> str:
    """Return what this person is in the portal beside an owner of machines, if anything."""
    if is_administrator(person):
        return _("Administrator")
    return _("Helpdesk") if is_helpdesk(person) else ""


@register.simple_tag
def operation_table() -> SafeString:
    """Say that this page's scripts draw machines: they take the table of operations."""
    return mark_safe('<template id="operation-table"></template>')  # a word of ours


@register.simple_tag
def browser_words() -> SafeString:
    """Bring the sentences that scripts write, in the reader's language, and the table of operations."""
    return format_html('<script src="{}" defer></script>', browser_script.path())
