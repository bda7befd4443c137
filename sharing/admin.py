"""Asks in the admin, read-only; and for its page of people, what becomes of their machines when they go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy

from lifecycle.page_requests import user_of
from sharing import (
    departures,
    machine_admin,  # noqa: F401  # registers the page of machines
)
from sharing.models import Ask
from sharing.seeing_off import see_off, see_off_deleted


@admin.register(Ask)
class AskAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in its stubs
    """Who asked for what, and who answered it how."""

    list_display = (
        "machine",
        "asked_by",
        "role",
        "resource",
        "wanted",
        "status",
        "note",
        "created_at",
        "answered_by",
        "answered_at",
    )
    list_filter = ("status", "role", "resource", "created_at", "machine__host")
    list_select_related = ("machine", "asked_by", "answered_by")
    list_per_page = 50
    search_fields = ("machine__name", "asked_by__username", "answered_by__username", "note")
    date_hierarchy = "created_at"
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Asks are made on pages and through the API."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are answered there, too."""
        return False


class SeesOff(UserAdmin):  # type: ignore[type-arg]
    """A page of users where disabling or deleting one sees to their machines (`sharing.seeing_off`)."""

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Say below “active” what becomes of the person's machines."""
        form = super().get_form(request, obj, change=change, **kwargs)
        if obj and obj.is_active and "is_active" in form.base_fields:
            said = [str(form.base_fields["is_active"].help_text), departures.foretold(obj, deleted=False)]
            form.base_fields["is_active"].help_text = " ".join(filter(None, said))
        return form

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Say before it is confirmed what becomes of the person's machines."""
        leaving = User.objects.filter(pk=object_id) if object_id.isdigit() else []
        return super().delete_view(request, object_id, {"leaving": leaving} | (extra_context or {}))

    def save_model(self, request: HttpRequest, obj: User, form: forms.ModelForm, change: bool) -> None:  # type: ignore[type-arg]
        """See to the machines of somebody who is disabled."""
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data and not obj.is_active:
            self.see_off(request, [obj])

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """See to the person's machines first, or do neither."""
        with transaction.atomic():
            troubles = see_off_deleted(obj, user_of(request))
            super().delete_model(request, obj)
        self._warn(request, troubles)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Delete each by themselves, their machines first."""
        for person in queryset:
            self.delete_model(request, person)

    def see_off(self, request: HttpRequest, people: Iterable[User]) -> None:
        """Do with the machines of these people, who are disabled now, what the policy says; tell what is not done."""
        for person in people:
            self._warn(request, see_off(person, user_of(request)))

    @admin.display(description=gettext_lazy("what became of the machines"))
    def became(self, person: User) -> str:
        """Say what the policy made of the machines of somebody who is disabled."""
        return departures.became(person)

    def _warn(self, request: HttpRequest, troubles: Iterable[str]) -> None:
        for trouble in troubles:
            self.message_user(request, trouble, messages.WARNING)
