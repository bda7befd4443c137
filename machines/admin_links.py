"""How the admin's pages lead to each other: lists of what belongs to a row, counted with it."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString


def number_of(rows: QuerySet[Any], by: str) -> Coalesce:
    """Return an annotation: how many of these rows point to the annotated one by this field.

    A subquery for each, since joins of several would multiply each other.
    """
    mine = rows.filter(**{by: OuterRef("pk")}).order_by().values(by)
    return Coalesce(Subquery(mine.annotate(number=Count("pk")).values("number")), 0)


def list_url(model: str, **lookups: Any) -> str:
    """Return the address of the admin's list of a model (`lifecycle_operation`), filtered; empty if there is none."""
    try:
        address = reverse(f"admin:{model}_changelist")
    except NoReverseMatch:
        return ""
    return f"{address}?{urlencode(lookups)}" if lookups else address


def list_link(words: object, model: str, **lookups: Any) -> SafeString:
    """Link to the admin's list of a model, filtered."""
    return format_html('<a href="{}">{}</a>', list_url(model, **lookups), words)


def row_link(row: Model | None) -> SafeString | str:
    """Link to a row's own page in the admin; a dash for none."""
    if row is None:
        return "\N{EN DASH}"
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', address, row)


def links(*each: SafeString) -> SafeString:
    """Put links beside each other."""
    return format_html_join(" · ", "{}", ((one,) for one in each))
