"""The forms of the sign-in and profile pages."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.utils.translation import gettext_lazy as _

from people.models import ApiToken

MOST_TOKENS = 50
"""API tokens that one user may have."""


class LoginForm(AuthenticationForm):
    """User name and password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
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


def _dress(form: forms.BaseForm) -> None:
    """Give the form's inputs the portal's looks."""
    for field in form.fields.values():
        field.widget.attrs["class"] = "form-control"
