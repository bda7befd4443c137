"""The forms of the sign-in and profile pages."""

from __future__ import annotations

from typing import Any, ClassVar

from allauth.account import forms as account_forms
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa.adapter import get_adapter as get_factor_adapter
from allauth.mfa.base import forms as factor_forms
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, LoginWebAuthnForm
from django import forms
from django.conf import settings
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.models import User
from django.core.cache import cache
from django.utils.translation import gettext_lazy as _

from people.models import ApiToken

MOST_TOKENS = 50
"""API tokens that one user may have."""


class LoginForm(account_forms.LoginForm):
    """User name and password, posted as `username` and `password`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].widget.attrs |= {"autofocus": True, "autocapitalize": "none"}
        _dress(self)

    def add_prefix(self, field_name: str) -> str:
        """Call django-allauth's field `login` what browsers and scripts know it as."""
        name: str = super().add_prefix("username" if field_name == "login" else field_name)
        return name


class AgainForm(account_forms.ReauthenticateForm):
    """One's password once more, before something that a thief of the session should not do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _dress(self)


class ForgottenForm(account_forms.ResetPasswordForm):
    """The address that a forgotten password's mail goes to."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _dress(self)

    def clean_email(self) -> str:
        """Find whose that is. A directory or a provider opens accounts without a password, and may close them."""
        email: str = self.cleaned_data["email"]
        found = User.objects.filter(email__iexact=email, is_active=True)
        self.users = [user for user in found if user.email.lower() == email and user.has_usable_password()]
        return email


class NewPasswordForm(account_forms.ResetPasswordKeyForm):
    """Twice the password that replaces a forgotten one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _dress(self)


class CodeForm(factor_forms.AuthenticateForm):
    """A code of the authenticator app, or a recovery code, while logging in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _dress_code(self)

    def clean_code(self) -> str:
        """Take each code once."""
        code: str = super().clean_code()
        _use_up(self.user.pk, code)
        return code


class CodeAgainForm(factor_forms.ReauthenticateForm):
    """A code once more, before something that a thief of the session should not do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _dress_code(self)

    def clean_code(self) -> str:
        """Take each code once."""
        code: str = super().clean_code()
        _use_up(self.user.pk, code)
        return code


class ActivateAppForm(ActivateTOTPForm):
    """The first code of a new authenticator app, which shows that it works."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _dress_code(self)


class AddPasskeyForm(AddWebAuthnForm):
    """A new passkey and its name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].max_length = 80
        self.fields["name"].widget.attrs["maxlength"] = 80
        _dress(self)


class PasswordForm(PasswordChangeForm):
    """The old password and twice the new one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].widget.attrs.pop("autofocus", None)
        _dress(self)


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in its stubs
    """The name of a new API token; its `instance` carries the user."""

    class Meta:
        model = ApiToken
        fields: ClassVar = ["name"]
        help_texts: ClassVar = {"name": _("What will use it, for example “backup script”.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _dress(self)

    def clean(self) -> dict[str, Any] | None:
        """Refuse more tokens than anyone can keep an eye on."""
        if ApiToken.objects.filter(user=self.instance.user_id).count() >= MOST_TOKENS:
            raise forms.ValidationError(
                _("You have %(most)s API tokens, which is the most. Revoke one first."), params={"most": MOST_TOKENS}
            )
        return super().clean()


class PasskeyForm(LoginWebAuthnForm):
    """What a passkey answers, in place of a name and a password."""

    def clean_credential(self) -> Authenticator:
        """Say it of the passkey when it is refused, not of a code."""
        try:
            return super().clean_credential()
        except forms.ValidationError as error:
            sentence = _("This passkey does not log you in here (any more). Log in another way.")
            raise forms.ValidationError(sentence, code="unknown_passkey") from error


def _use_up(user_id: int, code: str) -> None:
    """Remember a right code for as long as it is taken: with its neighbours' tolerance longer than its own 30 s.

    Raises:
        ValidationError: it was used before.
    """
    steps = 2 * settings.MFA_TOTP_TOLERANCE + 1
    if not cache.add(f"code:{user_id}:{normalize_user_code(code)}", 1, timeout=30 * steps):
        raise get_factor_adapter().validation_error("incorrect_code")


def _dress(form: forms.BaseForm) -> None:
    """Give the form's inputs the portal's looks."""
    for field in form.fields.values():
        field.widget.attrs["class"] = "form-control"
        field.widget.attrs.pop("placeholder", None)  # the label says it


def _dress_code(form: forms.BaseForm) -> None:
    form.fields["code"].widget.attrs |= {"autofocus": True, "inputmode": "numeric"}
    _dress(form)
