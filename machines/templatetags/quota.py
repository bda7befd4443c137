"""How templates write how much of a quota is used."""

from __future__ import annotations

from django import template

from machines.models import Machine
from machines.quotas import Use, amount_words, holder_of, uses_of

register = template.Library()


@register.filter
def used_words(use: Use) -> str:
    """Write how much is used, with its unit."""
    return amount_words(use.resource, use.used)


@register.filter
def limit_words(use: Use) -> str:
    """Write the most there may be, with its unit."""
    return amount_words(use.resource, use.limit or 0)


@register.simple_tag
def quota_uses(machine: Machine) -> list[Use]:
    """Return how much of its quota the owner of a machine uses (at most two queries)."""
    return uses_of(holder_of(machine))
