"""Who asks, and from where: what the trail says of each entry that is written while a request is answered."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse

from audit.models import Via

GetResponse = Callable[[HttpRequest], HttpResponse]

_request: ContextVar[HttpRequest | None] = ContextVar("audit_request", default=None)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks; `token` is the number of their API token. Nobody and from nowhere, where no request is answered."""

    user: User | None = None
    via: Via = Via.PORTAL
    address: str | None = None
    token: int | None = None


def remember(get_response: GetResponse) -> GetResponse:
    """Middleware: let the trail know the request that is answered. Has to come after Django's authentication."""

    def answer(request: HttpRequest) -> HttpResponse:
        remembered = _request.set(request)
        try:
            return get_response(request)
        finally:
            _request.reset(remembered)

    return answer


def asker(request: HttpRequest | None = None) -> Asker:
    """Return who asks: in this request, or in the one that is answered now."""
    request = request or _request.get()
    if request is None:
        return Asker()
    user, token = getattr(request, "user", None), getattr(request, "api_token", None)
    return Asker(
        user=user if user is not None and user.is_authenticated else None,
        via=Via.TOKEN if token else Via.PAGE,
        address=address_of(request),
        token=token.pk if token else None,
    )


def address_of(request: HttpRequest) -> str | None:
    """Return the address that the web server says a request came from, None where it says none (a unix socket).

    No header that a browser could send is believed, as nowhere in the portal.
    """
    text = str(request.META.get("REMOTE_ADDR") or "").partition("%")[0]
    try:
        return str(ip_address(text)) if text else None
    except ValueError:
        return None
