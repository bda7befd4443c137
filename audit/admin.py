"""The trail in the admin: to be read and searched. Nobody changes anything of it there."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from audit.models import Batch, Checkpoint, Entry
from audit.words import told, what


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in its stubs
    """Rows that the portal writes and nobody else."""

    actions = None
    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: the portal writes the trail."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: the trail is only appended to."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: only retention removes anything."""
        return False


@admin.register(Entry)
class EntryAdmin(ReadOnly):
    """What happened. The page “Audit” of the portal has more filters, and exports."""

    list_display = ("id", "at", "what", "who", "machine_name", "said", "via", "address", "batch")
    list_filter = ("via", "at")
    search_fields = ("who", "kind", "machine_name", "address")

    @admin.display(description=_("what"), ordering="kind")
    def what(self, entry: Entry) -> str:
        """Return its kind in words."""
        return what(entry)

    @admin.display(description=_("detail"))
    def said(self, entry: Entry) -> str:
        """Return what it says beside."""
        return told(entry)


@admin.register(Batch)
class BatchAdmin(ReadOnly):
    """What is sealed, and by which key."""

    list_display = ("number", "sealed_at", "count", "hash", "key")
    list_filter = ("sealed_at",)
    search_fields = ("hash", "key")


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnly):
    """What retention removed."""

    list_display = ("upto", "made_at", "count", "sealed_at", "hash", "key")
    list_filter = ("made_at",)
    search_fields = ("hash", "key")
