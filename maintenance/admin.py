"""Maintenance in the admin: announced, changed and ended there."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from maintenance.models import Maintenance


class When(admin.SimpleListFilter):
    """In force now, to come, or over."""

    title = _("when")
    parameter_name = "when"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the choices beside “all”."""
        return [("now", _("In force now")), ("later", _("To come")), ("over", _("Over"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Maintenance]) -> QuerySet[Maintenance]:
        """Filter by the choice."""
        now = timezone.now()
        chosen = {"later": Q(begins_at__gt=now), "over": Q(ends_at__lte=now)}
        chosen["now"] = Q(begins_at__lte=now) & (Q(ends_at=None) | Q(ends_at__gt=now))
        return queryset.filter(chosen.get(self.value() or "", Q()))


@admin.register(Maintenance)
class MaintenanceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in its stubs
    """Every open page shows a change at once."""

    list_display = ("text", "level", "begins_at", "ends_at", "in_force")
    list_filter = (When, "level")
    search_fields = ("text",)
    date_hierarchy = "begins_at"
    actions = ("end_now",)
    fieldsets: ClassVar = [
        (
            None,
            {
                "description": _(
                    "Everybody who is signed in reads the text on every page, from the one time until the other, which "
                    "come by themselves. What runs goes on: open consoles stay, operations end as they would."
                ),
                "fields": ("text", "level", "begins_at", "ends_at"),
            },
        ),
    ]

    @admin.display(description=_("in force"), boolean=True)
    def in_force(self, row: Maintenance) -> bool:
        """Return whether it holds at this moment."""
        return row.is_in_force(timezone.now())

    @admin.action(description=_("End the selected maintenance now"), permissions=["change"])
    def end_now(self, request: HttpRequest, queryset: QuerySet[Maintenance]) -> None:
        """Let what is in force be over from now on."""
        now = timezone.now()
        rows = list(queryset.in_force(now))  # type: ignore[attr-defined]  # the model's own queryset
        for row in rows:
            row.ends_at = now
            row.save(update_fields=["ends_at"])
            self.log_change(request, row, [{"changed": {"fields": ["ends_at"]}}])
        sentence = ngettext("%d maintenance is over.", "%d maintenances are over.", len(rows)) % len(rows)
        self.message_user(request, sentence, messages.SUCCESS)
