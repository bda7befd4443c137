"""Says in the admin what becomes of somebody's machines before they are deleted or disabled."""

from __future__ import annotations

from collections.abc import Iterable

from django import template
from django.contrib.auth.models import User

from sharing.departures import foretold

register = template.Library()


@register.simple_tag
def departures_of(people: Iterable[User], *, deleted: bool = True) -> list[str]:
    """Return a sentence for each of these people who owns machines."""
    return [sentence for person in people if (sentence := foretold(person, deleted=deleted))]
