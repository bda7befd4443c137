"""In the admin: templates of machines, which administrators make, and the requests that were asked."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from machines.admin_links import list_link, number_of
from making.models import MachineRequest, MachineTemplate


@admin.register(MachineTemplate)
class MachineTemplateAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in its stubs
    """What new machines are made from."""

    list_display = (
        "name",
        "enabled",
        "host",
        "pool",
        "image",
        "vcpus",
        "memory_mib",
        "disk_gib",
        "request_count",
    )
    list_filter = ("enabled", "host", "projects")
    list_select_related = ("host",)
    list_per_page = 50
    search_fields = ("name", "summary", "image", "pool", "host__name", "projects__name")
    autocomplete_fields = ("projects",)
    actions = ("offer", "withdraw")
    fieldsets = (
        (None, {"fields": ("name", "summary", "enabled", "projects")}),
        (_("Where"), {"fields": ("host", "pool", "image_pool", "image", "network")}),
        (
            _("Sizes"),
            {"fields": (("vcpus", "most_vcpus"), ("memory_mib", "most_memory_mib"), ("disk_gib", "most_disk_gib"))},
        ),
        (_("Devices"), {"fields": ("domain_type", "machine_type", "disk_bus", "network_card", "video", "display")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[MachineTemplate]:
        """Count the requests in the same query."""
        rows: QuerySet[MachineTemplate] = super().get_queryset(request)
        return rows.annotate(requests_of_it=number_of(MachineRequest.objects.all(), "template"))

    @admin.display(description=_("requests"), ordering="requests_of_it")
    def request_count(self, template: MachineTemplate) -> SafeString:
        """Lead to the requests for it."""
        number = getattr(template, "requests_of_it", 0)
        return list_link(number, "making_machinerequest", template__id__exact=template.pk)

    @admin.action(description=_("Offer"), permissions=["change"])
    def offer(self, request: HttpRequest, queryset: QuerySet[MachineTemplate]) -> None:
        """Offer the ticked templates."""
        self._set(queryset, enabled=True)

    @admin.action(description=_("Offer no more"), permissions=["change"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[MachineTemplate]) -> None:
        """Offer the ticked templates no more; what is asked already can still be granted by administrators."""
        self._set(queryset, enabled=False)

    def _set(self, rows: QuerySet[MachineTemplate], *, enabled: bool) -> None:
        for row in rows.exclude(enabled=enabled):
            row.enabled = enabled
            row.save(update_fields=["enabled"])  # one by one: the trail hears of saves


@admin.register(MachineRequest)
class MachineRequestAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who asked for which machine, and who answered it how."""

    list_display = (
        "name",
        "asked_by",
        "project",
        "template",
        "vcpus",
        "memory_mib",
        "disk_gib",
        "status",
        "created_at",
        "answered_by",
        "machine",
    )
    list_filter = ("status", "template", "created_at")
    list_select_related = ("asked_by", "project", "template", "answered_by", "machine")
    list_per_page = 50
    search_fields = ("name", "asked_by__username", "answered_by__username", "project__name", "reason")
    date_hierarchy = "created_at"
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[MachineRequest]:
        """Leave the machines' XML where it is."""
        return super().get_queryset(request).defer("machine__definition_xml")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """They are made on pages and through the API."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are answered there, too."""
        return False
