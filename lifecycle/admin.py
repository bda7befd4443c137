"""Operations in the admin: read-only, to be searched and filtered."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from lifecycle.models import Operation


@admin.register(Operation)
class OperationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in its stubs
    """What was asked, by whom, and how it ended. Rows are written by the portal only."""

    list_display = (
        "id",
        "kind",
        "machine",
        "requested_by",
        "status",
        "progress",
        "created_at",
        "finished_at",
        "message",
    )
    list_filter = ("status", "kind", "waiting", "created_at", "machine__host")
    list_select_related = ("machine", "requested_by")
    list_per_page = 50
    search_fields = ("machine__name", "machine__uuid", "requested_by__username", "message", "error_code")
    date_hierarchy = "created_at"
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Operations are asked for on pages and through the API."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows move by compare-and-swap only."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """History is kept."""
        return False
