"""The audit of consoles in the admin: who was at which screen, when and for how long. Read-only, but for ending one."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from consoles import sessions
from consoles.models import ConsoleSession
from consoles.proxy.endings import Ending
from machines.templatetags.portal import duration, size
from people.roles import is_administrator


@admin.register(ConsoleSession)
class ConsoleSessionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in its stubs
    """Rows are written by the portal only. What a session lives on (`login`) is shown to nobody."""

    list_display = (
        "asked_at",
        "user",
        "machine",
        "protocol",
        "mode",
        "address",
        "opened_at",
        "open_for",
        "carried",
        "ended_at",
        "end_reason",
    )
    list_filter = ("mode", "protocol", ("ended_at", admin.EmptyFieldListFilter), "end_reason", "asked_at")
    list_select_related = ("machine", "user")
    list_per_page = 50
    search_fields = ("machine__name", "machine__uuid", "user__username", "address")
    date_hierarchy = "asked_at"
    exclude: ClassVar = ["login"]
    actions = ("end_sessions",)

    @admin.display(description=_("duration"))
    def open_for(self, row: ConsoleSession) -> str | None:
        """Say how long it was open, or has been so far."""
        if row.opened_at is None:
            return None
        return duration(((row.ended_at or timezone.now()) - row.opened_at).total_seconds())

    @admin.display(description=_("to / from the browser"))
    def carried(self, row: ConsoleSession) -> str:
        """Say how much it carried."""
        return f"{size(row.bytes_to_client)} / {size(row.bytes_from_client)}"

    @admin.action(description=_("End the selected console sessions"), permissions=["end"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[ConsoleSession]) -> None:
        """Close these people's screens now."""
        open_ones = list(queryset.filter(ended_at=None).values_list("pk", flat=True))
        sessions.end(open_ones, Ending.ENDED_BY_ADMIN)
        count = len(open_ones)
        self.message_user(request, ngettext("%d session was ended.", "%d sessions were ended.", count) % count)

    def has_end_permission(self, request: HttpRequest) -> bool:
        """Let administrators end someone's console, not everyone who may look at the audit."""
        return is_administrator(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: sessions are made by asking for tickets."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: an audit is not changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: an audit is kept."""
        return False
