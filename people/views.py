"""Signing in and out, and the profile page: password and API tokens, everyone's own only."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render, resolve_url
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from people.forms import LoginForm, PasswordForm, TokenForm
from people.logins import end_other_sessions
from people.models import ApiToken


class Login(LoginView):
    """The sign-in page; whoever is signed in already goes on to where they wanted to go."""

    template_name = "people/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        """Return where to go on (never another site), but not back to this page."""
        url = super().get_redirect_url()
        return "" if url.split("?")[0] == resolve_url("people:login") else url


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
def change_password(request: HttpRequest) -> HttpResponse:
    """Change one's own password; every other browser is signed out, API tokens stay."""
    form = PasswordForm(_user(request), request.POST)
    if not form.is_valid():
        return _profile(request, password_form=form, status=400)
    update_session_auth_hash(request, form.save())
    end_other_sessions(request)
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
        "made": made,
        "token": token,
    }
    return render(request, "people/profile.html", context, status=status)
