"""Consoles in the admin: the audit, which is read-only but for ending one, and what is laid down for machines."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from consoles import sessions
from consoles.models import ConsoleEvent, ConsolePolicy, ConsoleSession, EventKind, Mode, Recording
from consoles.proxy.endings import Ending
from machines.admin_links import row_link
from machines.templatetags.portal import duration, size
from people.roles import is_administrator


class TypesNow(admin.SimpleListFilter):
    """Consoles whose users hold control at this moment."""

    title = _("control")
    parameter_name = "types"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the one choice beside “all”."""
        return [("now", _("Types now"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ConsoleSession]) -> QuerySet[ConsoleSession]:
        """Filter by the choice."""
        if not self.value():
            return queryset
        return queryset.filter(mode=Mode.CONTROL, opened_at__isnull=False, ended_at=None)


class EventInline(admin.TabularInline):  # type: ignore[type-arg]
    """What happened in a session, in words."""

    model = ConsoleEvent
    fk_name = "session"
    fields = readonly_fields = ("at", "kind", "by", "told")
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConsoleEvent]:
        """Read the people with the events."""
        events: QuerySet[ConsoleEvent] = super().get_queryset(request)
        return events.select_related("by", "session__user", "session__machine")

    @admin.display(description=_("detail"))
    def told(self, event: ConsoleEvent) -> str:
        """Say what there is to say beside kind and person."""
        if event.kind == EventKind.TYPED:
            return typed_words(event.detail)
        return ", ".join(f"{name}: {_plain(value)}" for name, value in event.detail.items())

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: the portal writes them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: an audit is not changed."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let those look who may look at the session."""
        return request.user.has_perm("consoles.view_consolesession")


@admin.register(ConsoleSession)
class ConsoleSessionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in its stubs
    """Rows are written by the portal only. What a session lives on (`login`) is shown to nobody."""

    list_display = (
        "asked_at",
        "its_user",
        "its_machine",
        "protocol",
        "mode",
        "types_now",
        "client",
        "address",
        "opened_at",
        "open_for",
        "carried",
        "ended_at",
        "end_reason",
    )
    list_filter = (
        TypesNow,
        ("ended_at", admin.EmptyFieldListFilter),
        "mode",
        "protocol",
        "client",
        "recorded",
        "end_reason",
        "asked_at",
        "machine__host",
    )
    inlines = (EventInline,)
    list_select_related = ("machine", "user")
    list_per_page = 50
    search_fields = ("machine__name", "machine__uuid", "user__username", "address")
    date_hierarchy = "asked_at"
    exclude: ClassVar = ["login"]
    actions = ("end_sessions",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConsoleSession]:
        """Leave the machines' XML where it is."""
        return super().get_queryset(request).defer("machine__definition_xml")

    @admin.display(description=_("user"), ordering="user__username")
    def its_user(self, row: ConsoleSession) -> SafeString | str:
        """Lead to who is or was there."""
        return row_link(row.user)

    @admin.display(description=_("machine"), ordering="machine__name")
    def its_machine(self, row: ConsoleSession) -> SafeString | str:
        """Lead to the machine."""
        return row_link(row.machine)

    @admin.display(description=_("types now"), boolean=True)
    def types_now(self, row: ConsoleSession) -> bool:
        """Return whether its user holds control at this moment."""
        return row.mode == Mode.CONTROL and row.opened_at is not None and row.ended_at is None

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


@admin.register(ConsolePolicy)
class ConsolePolicyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What holds for the consoles of a machine or a group, from the next one that is opened."""

    list_display = ("__str__", "machine", "group", "record", "thumbnails")
    list_filter = ("record", "thumbnails", ("group", admin.EmptyFieldListFilter))
    list_select_related = ("machine", "group")
    search_fields = ("machine__name", "machine__uuid", "group__name")
    autocomplete_fields = ("machine", "group")
    fieldsets: ClassVar = [
        (
            None,
            {
                "description": _(
                    "A group's policy holds for its members, and for the machines that are granted to it. What is "
                    "recorded is announced on the screen. A change holds for consoles that are opened afterwards."
                ),
                "fields": ("machine", "group", "record", "thumbnails"),
            },
        ),
    ]


@admin.register(Recording)
class RecordingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What was recorded; it is watched on the portal's own page, which keeps who did."""

    list_display = ("started_at", "session", "seconds", "bytes", "ended_at")
    list_filter = (("ended_at", admin.EmptyFieldListFilter), "started_at", "session__protocol")
    list_select_related = ("session__user", "session__machine")
    list_per_page = 50
    search_fields = ("session__machine__name", "session__machine__uuid", "session__user__username")
    date_hierarchy = "started_at"
    exclude: ClassVar = ["file"]
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Recording]:
        """Leave the machines' XML where it is."""
        return super().get_queryset(request).defer("session__machine__definition_xml")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: consoles make them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: the proxy writes them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: retention deletes them, with their files."""
        return False


def typed_words(detail: dict[str, Any]) -> str:
    """Say how much was typed by a program, never what."""
    count = int(detail.get("characters", 0))
    if detail.get("secret"):
        words = ngettext("typed %d secret character", "typed %d secret characters", count) % count
    else:
        words = ngettext("typed %d character", "typed %d characters", count) % count
    return f"{words} ({detail['layout']})" if detail.get("layout") else words


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
