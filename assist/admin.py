"""Help in the admin: read-only, to be searched and filtered; with what happened and what was written."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from assist.models import Assist, AssistEvent, ChatMessage


class ReadOnlyInline(admin.TabularInline):  # type: ignore[type-arg]
    """Rows that the portal wrote."""

    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Read the people with the rows."""
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("by", "assist__machine", "assist__user")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: the portal writes them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: what happened is not changed."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let those look who may look at the assist."""
        return request.user.has_perm("assist.view_assist")


class EventInline(ReadOnlyInline):
    """What happened."""

    model = AssistEvent
    fields = readonly_fields = ("at", "kind", "by", "detail")


class MessageInline(ReadOnlyInline):
    """What was written."""

    model = ChatMessage
    fields = readonly_fields = ("at", "by", "text")


@admin.register(Assist)
class AssistAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in its stubs
    """Who was helped, by whom, with or without consent. Rows are written by the portal only."""

    list_display = ("created_at", "machine", "user", "helper", "kind", "state", "active_at", "finished_at")
    list_filter = ("state", "kind", "control", "created_at")
    list_select_related = ("machine", "user", "helper")
    list_per_page = 50
    search_fields = ("machine__name", "machine__uuid", "user__username", "helper__username", "note")
    date_hierarchy = "created_at"
    exclude: ClassVar = ["picture"]
    inlines = (EventInline, MessageInline)
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: help is asked for on pages and through the API."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: rows move by compare-and-swap only."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: it is kept."""
        return False
