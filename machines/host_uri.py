"""Which libvirt URIs may be written for a host."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

_KNOWN = re.compile(r"(qemu(\+(unix|ssh|tls|tcp|libssh2?))?|test)\Z")
_HARMLESS = frozenset(
    {
        *("keyfile", "known_hosts", "known_hosts_verify", "mode", "no_tty", "no_verify", "pkipath", "proxy", "socket"),
        *("sshauth", "tls_priority"),
    }
)
"""libvirt's parameters that start no program. It reads names in any case, and separates by ; as well as by &."""


def check_uri(uri: str) -> None:
    """Check a URI before libvirt sees it.

    Raises:
        ValidationError: no QEMU host can be meant, or opening it would start a program of the writer's choice.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise ValidationError(_("This is not a URI: %(error)s."), params={"error": error}) from error
    if not _KNOWN.match(parts.scheme) or not parts.path.strip("/") or not uri.isprintable() or " " in uri:
        raise ValidationError(_("Write a libvirt URI such as qemu:///system or qemu+ssh://user@host/system."))
    for parameter in filter(None, re.split("[&;]", parts.query)):
        name = unquote(parameter.partition("=")[0]).lower()
        if name not in _HARMLESS:
            raise ValidationError(
                _("The parameter “%(name)s” is not allowed: it may start a program on the portal; leave it out."),
                params={"name": name},
            )
