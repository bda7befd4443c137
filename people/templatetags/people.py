"""What the pages of profile and login need to draw."""

from __future__ import annotations

from django import template
from django.conf import settings
from django.utils.translation import gettext as _

from kvmportal.services import Provider

register = template.Library()

_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
"""What a browser's name for itself holds, and the word people know; the first that is found counts."""


@register.filter
def device(user_agent: str) -> str:
    """Return which browser on which system calls itself so, as far as that is known."""
    browser = next((word for part, word in _BROWSERS if part in user_agent), "")
    system = next((word for part, word in _SYSTEMS if part in user_agent), "")
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or _("Another program")


@register.simple_tag
def sign_in_provider() -> Provider | None:
    """Return the OpenID Connect provider by which people log in, if there is one."""
    provider: Provider | None = settings.PROVIDER
    return provider
