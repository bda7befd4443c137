"""The profile page: password, API tokens and login sessions, everyone's own only. Signing in is in sign_in.py."""

from __future__ import annotations

from allauth.decorators import rate_limit
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from people.forms import PasswordForm, TokenForm
from people.logins import end_other_sessions, end_own_login, logins_of
from people.models import ApiToken


@never_cache
@require_safe
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """Show the profile page."""
    return _profile(request)


@sensitive_post_parameters()
@never_cache
@require_POST
@login_required
@rate_limit(action="change_password")  # type: ignore[untyped-decorator]  # django-allauth has no types
def change_password(request: HttpRequest) -> HttpResponse:
    """Change one's own password; every other browser is signed out, API tokens stay."""
    form = PasswordForm(_user(request), request.POST)
    if not form.is_valid():
        return _profile(request, password_form=form, status=400)
    update_session_auth_hash(request, form.save())
    end_other_sessions(request)
    UserSession.objects.create_from_request(request)  # its key is new
    messages.success(request, _("Your password is changed. Your other browsers are signed out."))
    return redirect("people:profile")


@never_cache
@require_POST
@login_required
def make_token(request: HttpRequest) -> HttpResponse:
    """Make an API token and show it in this one answer; it is kept nowhere in clear."""
    form = TokenForm(request.POST, instance=ApiToken(user=_user(request)))
    if not form.is_valid():
        return _profile(request, token_form=form, status=400)
    row, token = ApiToken.make(_user(request).pk, form.cleaned_data["name"])
    return _profile(request, made=row, token=token)


@require_POST
@login_required
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    """Revoke one of one's own API tokens, asking first; what lives on it ends with it."""
    token = get_object_or_404(ApiToken, pk=pk, user=_user(request))
    if "confirm" not in request.POST:
        return render(request, "people/revoke.html", {"token": token})
    token.delete()
    messages.success(request, _("The API token “%(name)s” is revoked.") % {"name": token.name})
    return redirect("people:profile")


@never_cache
@require_safe
@login_required
def logins(request: HttpRequest) -> HttpResponse:
    """Show where one is logged in."""
    return render(request, "people/logins.html", {"logins": logins_of(_user(request))})


@require_POST
@login_required
def end_login(request: HttpRequest, pk: int) -> HttpResponse:
    """End one of one's own login sessions; what lives on it ends with it."""
    end_own_login(request, get_object_or_404(UserSession, pk=pk, user=_user(request)))
    messages.success(request, _("That browser is signed out."))
    return redirect("people:logins")


@require_POST
@login_required
def end_others(request: HttpRequest) -> HttpResponse:
    """End all of one's own login sessions but this one."""
    end_other_sessions(request)
    messages.success(request, _("Your other browsers are signed out."))
    return redirect("people:logins")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  # login_required saw to it
    return request.user


def _profile(
    request: HttpRequest,
    *,
    password_form: PasswordForm | None = None,
    token_form: TokenForm | None = None,
    made: ApiToken | None = None,
    token: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {
        "password_form": password_form or PasswordForm(_user(request)),
        "token_form": token_form or TokenForm(instance=ApiToken(user=_user(request))),
        "tokens": ApiToken.objects.filter(user=_user(request)),
        "provider": settings.PROVIDER,
        "made": made,
        "token": token,
    }
    return render(request, "people/profile.html", context, status=status)
