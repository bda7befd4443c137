"""Operations in the admin: read-only, to be searched and filtered."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from lifecycle.models import Bulk, HostTest, Operation, SavedFile
from machines.admin_links import list_link, number_of, row_link


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in its stubs
    """Rows that the portal alone writes: searched and filtered here, never changed."""

    actions = None
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: rows come of what is asked on pages and through the API."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: rows are moved by the portal only."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: history is kept."""
        return False


@admin.register(Operation)
class OperationAdmin(ReadOnly):
    """What was asked, by whom, and how it ended. Rows are written by the portal only."""

    list_display = (
        "id",
        "kind",
        "its_machine",
        "its_user",
        "status",
        "progress",
        "created_at",
        "finished_at",
        "message",
    )
    list_filter = ("status", "kind", "waiting", "asked_by_portal", "created_at", "machine__host")
    list_select_related = ("machine", "requested_by")
    search_fields = ("machine__name", "machine__uuid", "requested_by__username", "message", "error_code")
    date_hierarchy = "created_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        """Leave the machines' XML where it is."""
        return super().get_queryset(request).defer("machine__definition_xml")

    @admin.display(description=_("machine"), ordering="machine__name")
    def its_machine(self, operation: Operation) -> SafeString | str:
        """Lead to its machine."""
        return row_link(operation.machine)

    @admin.display(description=_("requested by"), ordering="requested_by__username")
    def its_user(self, operation: Operation) -> SafeString | str:
        """Lead to who asked for it."""
        return row_link(operation.requested_by)


@admin.register(Bulk)
class BulkAdmin(ReadOnly):
    """What was asked of many machines at once."""

    list_display = ("id", "kind", "requested_by", "created_at", "operation_count")
    list_filter = ("kind", "created_at")
    list_select_related = ("requested_by",)
    search_fields = ("kind", "requested_by__username")
    date_hierarchy = "created_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Bulk]:
        """Count the operations in the same query."""
        rows: QuerySet[Bulk] = super().get_queryset(request)
        return rows.annotate(operations_of_it=number_of(Operation.objects.all(), "bulk"))

    @admin.display(description=_("operations"), ordering="operations_of_it")
    def operation_count(self, bulk: Bulk) -> SafeString:
        """Lead to its operations."""
        return list_link(getattr(bulk, "operations_of_it", 0), "lifecycle_operation", bulk__id__exact=bulk.pk)


@admin.register(SavedFile)
class SavedFileAdmin(ReadOnly):
    """Saved files, which are deleted on their machine's page."""

    list_display = ("name", "machine", "host", "bytes", "saved_at", "saved_by", "complete", "missing")
    list_filter = ("complete", "missing", "host", "saved_at")
    list_select_related = ("machine", "host", "saved_by")
    search_fields = ("name", "machine__name", "machine__uuid", "saved_by__username")
    date_hierarchy = "saved_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[SavedFile]:
        """Leave the machines' XML where it is."""
        return super().get_queryset(request).defer("machine__definition_xml")


@admin.register(HostTest)
class HostTestAdmin(ReadOnly):
    """Tests of connections, and what came of them."""

    list_display = ("id", "host", "status", "requested_by", "created_at", "finished_at", "message")
    list_filter = ("status", "host", "created_at")
    list_select_related = ("host", "requested_by")
    search_fields = ("host__name", "requested_by__username", "message", "error_code")
    date_hierarchy = "created_at"
