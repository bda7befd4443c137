"""The admin's page of machines, where they are given away: nobody gets more than their quota has room for."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.widgets import AutocompleteSelect
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from machines.admin import MachineAdmin
from machines.models import Machine
from machines.refused import Refused
from sharing import giving

admin.site.unregister(Machine)


class NewOwnerForm(forms.Form):
    """Who is to own the ticked machines; empty for nobody."""

    owner = forms.ModelChoiceField(
        User.objects.filter(is_active=True),
        required=False,
        label=gettext_lazy("Owner"),
        help_text=gettext_lazy("Leave it empty to take the machines from their owners."),
        widget=AutocompleteSelect(Machine._meta.get_field("owner"), admin.site),
    )


class HolderForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in its stubs
    """A machine's owner or project."""

    def clean(self) -> dict[str, Any]:
        """Refuse whom the machine would take over their quota, with the figures."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        given = {"user": cleaned.get("owner"), "project": cleaned.get("project")}
        to = {kind: holder for kind, holder in given.items() if holder}
        if {"owner", "project"} & set(self.changed_data) and len(to) == 1:
            try:
                giving.demand_room(self.instance, to)
            except Refused as refused:
                raise ValidationError({"project" if "project" in to else "owner": refused.sentence}) from refused
        return cleaned


@admin.register(Machine)
class GivenMachineAdmin(MachineAdmin):
    """Machines, each with its owner, and given away by the dozen."""

    form = HolderForm
    actions = ("give_to_someone",)

    @admin.action(description=gettext_lazy("Give to someone…"), permissions=["change"])
    def give_to_someone(self, request: HttpRequest, queryset: QuerySet[Machine]) -> HttpResponse | None:
        """Ask for the new owner of the ticked machines, then give them."""
        form = NewOwnerForm(request.POST if "give" in request.POST else None)
        if form.is_valid():
            return self._give(request, queryset, form.cleaned_data["owner"])
        context = {
            **self.admin_site.each_context(request),
            "title": _("Give machines to someone"),
            "opts": self.opts,
            "media": self.media + form.media,
            "form": form,
            "machines": queryset,
            "ticked": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "across": request.POST.get("select_across", "0"),
        }
        return TemplateResponse(request, "admin/machines/machine/give.html", context)

    def _give(self, request: HttpRequest, machines: QuerySet[Machine], owner: User | None) -> HttpResponse:
        number = 0
        for machine in machines:
            try:
                giving.change_hands(machine, {"user": owner} if owner else {})
            except Refused as refused:
                why = {"name": machine.name, "why": refused.sentence}
                self.message_user(request, _("Not given: %(name)s. %(why)s") % why, messages.ERROR)
                continue
            self.log_change(request, machine, [{"changed": {"fields": ["owner"]}}])
            number += 1
        if number:
            words = {"number": number, "owner": owner or _("nobody")}
            sentence = ngettext(
                "%(number)s machine now belongs to %(owner)s.", "%(number)s machines now belong to %(owner)s.", number
            )
            self.message_user(request, sentence % words, messages.SUCCESS)
        return redirect(request.get_full_path())
