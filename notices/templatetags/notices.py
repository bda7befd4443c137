"""What templates of other apps show of notices: the choices on the profile page."""

from __future__ import annotations

from typing import Any

from django import template
from django.contrib.auth.models import User

from notices.choices import choices_of, may_mail, sends_mail

register = template.Library()


@register.inclusion_tag("notices/choices.html", takes_context=True)
def notice_choices(context: dict[str, Any], user: User) -> dict[str, Any]:
    """Draw the form in which a person chooses what to be told of."""
    return {
        "csrf_token": context.get("csrf_token"),
        "choices": choices_of(user),
        "may_mail": may_mail(user),
        "sends_mail": sends_mail(),
    }
