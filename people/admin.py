"""API tokens in the admin: seen and revoked there, made only by their users."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from people.models import ApiToken


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in its stubs
    """Deleting a token revokes it. The digest is shown to nobody."""

    list_display = ("name", "user", "created_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    date_hierarchy = "created_at"
    readonly_fields = ("user", "name", "created_at", "last_used_at")
    fields = readonly_fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: only its user may ever see a token, so nobody makes one for another."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """Refuse: a token is revoked, not changed."""
        return False
