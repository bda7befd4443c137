"""Signing in: the login page, forgotten passwords, and the way to an OpenID Connect provider and back."""

from __future__ import annotations

import logging
from typing import Any

from allauth.account import views as account_views
from allauth.socialaccount import views as social_views
from allauth.socialaccount.providers.openid_connect import views as provider_views
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from requests import RequestException

from people.forms import LoginForm

logger = logging.getLogger(__name__)


class Login(account_views.LoginView):
    """The login page; whoever is signed in already goes on to where they wanted to go."""

    template_name = "people/login.html"
    form_class = LoginForm
    http_method_names = ("get", "head", "post", "options")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the other ways in."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {"provider": settings.PROVIDER, "mail": settings.MAIL}


class Forgotten(account_views.PasswordResetView):
    """Sends a mail to who forgot their password; where the portal sends no mail, says so and whom to ask."""

    http_method_names = ("get", "head", "post", "options")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Say so, where nothing is sent."""
        if not settings.MAIL:
            return render(request, "people/no_mail.html", status=200 if request.method in {"GET", "HEAD"} else 409)
        answer: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return answer


@never_cache
@require_POST
def to_provider(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Send the browser to the provider, by a page that goes on by itself.

    The policy lets forms go to this site only, and browsers hold every redirect after one to it: at which places a
    provider has its people pass by, the portal cannot know.
    """
    try:
        answer: HttpResponse = provider_views.login(request, provider_id)
    except (RequestException, KeyError, ValueError) as error:
        return _provider_failed(request, error)
    if answer.status_code != 302:
        return answer
    return render(request, "people/go_on.html", {"url": answer["Location"], "provider": settings.PROVIDER})


@never_cache
@require_safe
def from_provider(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Take what the provider answers and sign in whom it vouches for."""
    try:
        answer: HttpResponse = provider_views.callback(request, provider_id)
    except (RequestException, KeyError, ValueError) as error:
        return _provider_failed(request, error)
    return answer


def linked(request: HttpRequest) -> HttpResponseBase:
    """Show one's links to the provider, and remove one, where there is a provider.

    Raises:
        Http404: there is none.
    """
    if not settings.PROVIDER and request.user.is_authenticated:
        raise Http404
    answer: HttpResponseBase = social_views.connections(request)
    return answer


def _provider_failed(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.warning("The OpenID Connect provider cannot be used: %r", error)
    sentence = _("%(provider)s does not answer as it should. Try again in a moment, or log in another way.")
    words = sentence % {"provider": settings.PROVIDER.name if settings.PROVIDER else "OpenID Connect"}
    return render(request, "people/not_let_in.html", {"sentence": words}, status=503)
