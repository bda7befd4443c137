"""Who asks through the API: a script by its bearer token, or a browser by its login session."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja.errors import AuthenticationError, AuthorizationError
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from people.models import ApiToken, digest_of
from people.signals import token_used

_USE_NOTED_EVERY = timedelta(minutes=1)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class CsrfFailed(AuthorizationError):
    """A browser's login session asked for a change without the portal's CSRF token."""


class BearerToken(HttpBearer):
    """`Authorization: Bearer <token>`. Needs no CSRF token; a wrong one is refused even beside a valid session."""

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken:
        """Sign the request in as the token's user and set `request.api_token`.

        Raises:
            AuthenticationError: no such token (any more), or its user may not sign in.
        """
        found = ApiToken.objects.select_related("user").filter(digest=digest_of(token), user__is_active=True).first()
        if found is None:
            raise AuthenticationError(message=_("This API token is not valid. Make one on your profile page."))
        _note_use(found, request)
        request.user = found.user
        request.api_token = found  # type: ignore[attr-defined]
        return found


class LoginSession(APIKeyCookie):
    """The browser's session cookie; changes also need the CSRF token in the header X-CSRFToken."""

    param_name = "sessionid"

    def __call__(self, request: HttpRequest) -> User | None:
        """Return the signed-in user, or None for nobody.

        Raises:
            CsrfFailed: a change was asked for without the CSRF token.
        """
        if not request.user.is_authenticated:
            return None
        if request.method not in _SAFE_METHODS and check_csrf(request):
            raise CsrfFailed(message=_("Send the CSRF token of your login session in the header X-CSRFToken."))
        return request.user

    def authenticate(self, request: HttpRequest, key: str | None) -> None:
        """Not used: the session was read by Django's middleware."""


def _note_use(token: ApiToken, request: HttpRequest) -> None:
    """Remember that the token was used now, with at most one write a minute; tell of the first time each day."""
    now, last = timezone.now(), token.last_used_at
    if last is not None and last > now - _USE_NOTED_EVERY:
        return
    due = Q(last_used_at=None) | Q(last_used_at__lte=now - _USE_NOTED_EVERY)
    noted = ApiToken.objects.filter(due, pk=token.pk).update(last_used_at=now)
    if noted and (last is None or last.date() < now.date()):
        token_used.send(sender=ApiToken, token=token, request=request)
