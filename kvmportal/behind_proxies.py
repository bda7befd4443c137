"""Takes a person's address from where the trusted reverse proxies say it is, for all that keeps or counts addresses."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse


def take_address(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Return the middleware. With no trusted proxy, or where the header names none, the address stays as it came."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if address := _forwarded(request.META.get("HTTP_X_FORWARDED_FOR", ""), settings.TRUSTED_PROXIES):
            request.META["REMOTE_ADDR"] = address
        return get_response(request)

    return middleware


def _forwarded(header: str, proxies: int) -> str:
    """Return the address that the outermost of so many proxies saw: each writes who came to it at the end."""
    hops = [hop.strip() for hop in header.split(",")]
    if not 0 < proxies <= len(hops):
        return ""
    try:
        return str(ip_address(hops[-proxies]))
    except ValueError:
        return ""
