"""What django-allauth asks the portal: who may go in, where one goes on to, what is refused and in which words."""

from __future__ import annotations

import base64
import hashlib
import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import ratelimit
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.totp.internal.auth import generate_totp_secret
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from redis.exceptions import RedisError

from people.directory import DirectoryFailed
from people.provider_roles import give_roles

logger = logging.getLogger(__name__)

PROVIDER_ID = "sso"
"""How addresses and rows name the one OpenID Connect provider."""


class AccountAdapter(DefaultAccountAdapter):
    """Names and passwords."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": gettext_lazy(
            "Please enter a correct username and password. Note that both fields may be case-sensitive."
        ),
        "too_many_login_attempts": gettext_lazy("Too many logins failed. Wait a few minutes, then try again."),
        "rate_limited": gettext_lazy("That was too often. Wait a few minutes, then try again."),
        "incorrect_password": gettext_lazy("That is not your password."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Refuse: administrators make accounts, and directory and provider bring theirs."""
        return False

    def is_safe_url(self, url: str) -> bool:
        """Return whether one may go on to there: this site, and not its login page again."""
        request: HttpRequest = self.request
        own = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
        return own and url.split("?")[0] != reverse("people:login")

    def is_ajax(self, request: HttpRequest) -> bool:
        """Return whether JSON is wanted. Only the page of passkeys asks for it; all others are pages."""
        return request.path == reverse("mfa_login_webauthn") and super().is_ajax(request)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count an attempt, and refuse one too many. Without Redis nobody could count, so all are refused."""
        try:
            super().pre_authenticate(request, **credentials)
        except RedisError as error:
            logger.warning("Nobody can log in, since Redis cannot count failed logins: %s", error)
            raise ValidationError(
                _("Nobody can log in at the moment: a part of the portal does not answer.")
            ) from error

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Return whom these sign in. What a directory could not tell is no failure of the person's."""
        try:
            user: User | None = super().authenticate(request, **credentials)
        except DirectoryFailed as error:
            self._rollback_login_failed_rl_usage()
            raise ValidationError(
                _("The directory that knows your password does not answer. Try again in a moment.")
            ) from error
        return user

    def set_password(self, user: User, password: str) -> None:
        """Set the password that replaces a forgotten one; the failures before it no longer count."""
        super().set_password(user, password)
        ratelimit.clear(self.request, action="login_failed", key=_counted(user.username))

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Return the address that a mail about a forgotten password names: the portal's own, whatever Host was sent."""
        person, _dash, token = key.partition("-")
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": person, "key": token})
        return f"{settings.PORTAL_URL}{path}"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail. One that cannot be sent is told to the log only: the page says the same for every address."""
        try:
            super().send_mail(template_prefix, email, context)
        except OSError as error:
            logger.error("A mail to %s could not be sent: %s", email, error)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Name whose failures are counted: the name alone, under whichever of the portal's host names it was tried."""
        return _counted(credentials.get("username", ""))


class ProviderAdapter(DefaultSocialAccountAdapter):
    """The one OpenID Connect provider, as the environment has it."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """Return the provider where this asks for it, else nothing."""
        known = settings.PROVIDER
        if (
            not known
            or provider not in {None, PROVIDER_ID, "openid_connect"}
            or client_id not in {None, known.client_id}
        ):
            return []
        app = SocialApp(
            provider="openid_connect",
            provider_id=PROVIDER_ID,
            name=known.name,
            client_id=known.client_id,
            secret=known.client_secret,
            settings={"server_url": known.issuer, "scope": known.scopes},
        )
        return [app]

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Return whether the provider's people get accounts."""
        return settings.PROVIDER is not None and settings.PROVIDER.new_users

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        """Take name and address from the provider, and bind the login to this provider's issuer.

        A subject means something at its issuer only: where another one is configured, its subjects are other people.
        """
        assert settings.PROVIDER is not None  # noqa: S101  # else there is no such login
        bound = f"{settings.PROVIDER.issuer} {sociallogin.account.uid}"
        sociallogin.account.uid = hashlib.sha256(bound.encode()).hexdigest()
        user: User = super().populate_user(request, sociallogin, data)
        return user

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Let a known person in; a new one gets the name that the provider says, or is told why not.

        Nobody becomes an account that is there already by having its name or address at the provider: its owner
        logs in to it and links it.
        """
        linking = sociallogin.state.get("process") == "connect"
        if linking and not (request.user.is_authenticated and request.user.has_usable_password()):
            self._refuse(request, _("Only an account with a password of the portal can be linked."))
        if linking:
            return
        if sociallogin.is_existing:
            self._give_roles(sociallogin)
            return
        sociallogin.user.username = sociallogin.user.username or sociallogin.user.email
        if refusal := self._refusal_of(request, sociallogin):
            self._refuse(request, refusal)

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        """Make the account of somebody new, with the roles that the provider gives."""
        user: User = super().save_user(request, sociallogin, form)
        self._give_roles(sociallogin)
        return user

    def on_authentication_error(self, request: HttpRequest, provider: Any, **about: Any) -> None:
        """Tell the log; the page has no details."""
        logger.warning("A login by OpenID Connect failed: %s %s", about.get("error"), about.get("exception"))

    def _give_roles(self, sociallogin: SocialLogin) -> None:
        assert settings.PROVIDER is not None  # noqa: S101  # else there is no such login
        give_roles(sociallogin.user, sociallogin.account.extra_data, settings.PROVIDER)

    def _refusal_of(self, request: HttpRequest, sociallogin: SocialLogin) -> str:
        name = sociallogin.user.username
        if not self.is_open_for_signup(request, sociallogin):
            return _(
                "You have no account here. An administrator makes one; then log in and link it on your profile page."
            )
        try:
            User._meta.get_field("username").clean(name, None)
        except ValidationError:
            return _("Your name there cannot be the name of an account here. Ask an administrator for an account.")
        if User.objects.filter(username__iexact=name).exists():
            return _(
                "There is an account named “%(name)s” already. If it is yours, log in with its password and link it on "
                "your profile page."
            ) % {"name": name}
        return ""

    def _refuse(self, request: HttpRequest, sentence: str) -> None:
        page = render(request, "people/not_let_in.html", {"sentence": sentence}, status=403)
        raise ImmediateHttpResponse(page)


class SecondFactorAdapter(DefaultMFAAdapter):
    """Authenticator apps, recovery codes and passkeys. Their secrets are encrypted under SECRET_KEY."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": gettext_lazy("That code is not right, or it was used already. Wait for the next one."),
    }

    def encrypt(self, text: str) -> str:
        """Return a secret as the database keeps it."""
        return _fernet().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Return the secret; one that SECRET_KEY no longer opens is replaced by what nobody knows."""
        try:
            return _fernet().decrypt(encrypted_text.encode()).decode()
        except InvalidToken:
            logger.error(
                "The secret of a second factor was encrypted under another SECRET_KEY; it can only be removed."
            )
            return str(generate_totp_secret())

    def get_totp_label(self, user: User) -> str:
        """Name the account in an authenticator app."""
        return user.username

    def generate_authenticator_name(self, user: User, type: str) -> str:  # its caller names it
        """Suggest a passkey's name."""
        return _("Passkey")


def _counted(name: str) -> str:
    return f"login:{name.strip().lower()}"


def _fernet() -> Fernet:
    digest = hashlib.sha256(b"second factors of kvmportal:" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))
