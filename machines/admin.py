"""Hosts, machines, grants and links in the admin: hosts are named there, machines are given to owners and shared."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.contrib.auth.models import User
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from hypervisor.states import State
from machines.admin_links import links, list_link, number_of, row_link
from machines.host_uri import check_uri
from machines.models import Grant, Host, Machine, ShareLink


class HostForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in its stubs
    """A host's name, URI and whether it is watched."""

    def clean_uri(self) -> str:
        """Refuse what libvirt could not open or what would start programs."""
        uri: str = self.cleaned_data["uri"].strip()
        check_uri(uri)
        return uri


@admin.register(Host)
class HostAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A host is created by name and URI; everything else is what it says of itself."""

    form = HostForm
    actions = None
    list_display = ("name", "uri", "enabled", "reachable", "seen_at", "machine_count", "last_error")
    list_filter = ("enabled", "reachable")
    search_fields = ("name", "uri", "hostname")
    facts = (
        "reachable",
        "seen_at",
        "last_error",
        "hostname",
        "libvirt_version",
        "hypervisor_version",
        "cpus",
        "cpu_model",
        "memory",
    )
    readonly_fields = (*facts, "elsewhere")

    def get_fieldsets(self, request: HttpRequest, obj: Host | None = None) -> Any:
        """Show the facts once there is a host that may have some."""
        fields = (None, {"fields": ("name", "uri", "enabled", *(("elsewhere",) if obj else ()))})
        return (fields, (_("What it says of itself"), {"fields": self.facts})) if obj else (fields,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Host]:
        """Count every host's machines in the same query."""
        hosts: QuerySet[Host] = super().get_queryset(request).annotate(machines_here=Count("machines"))
        return hosts

    @admin.display(description=gettext_lazy("machines"), ordering="machines_here")
    def machine_count(self, host: Host) -> SafeString:
        """Lead to the machines that the portal knows on this host."""
        number = int(getattr(host, "machines_here", 0))
        return list_link(number, "machines_machine", host__id__exact=host.pk)

    @admin.display(description=gettext_lazy("elsewhere"))
    def elsewhere(self, host: Host) -> SafeString:
        """Lead to what belongs to this host."""
        return links(
            format_html('<a href="{}">{}</a>', reverse("lifecycle:host", args=[host.name]), _("Its page")),
            list_link(_("Machines"), "machines_machine", host__id__exact=host.pk),
            list_link(_("Operations"), "lifecycle_operation", machine__host__id__exact=host.pk),
            list_link(_("Console sessions"), "consoles_consolesession", machine__host__id__exact=host.pk),
            list_link(_("Connection tests"), "lifecycle_hosttest", host__id__exact=host.pk),
        )

    @admin.display(description=gettext_lazy("memory"))
    def memory(self, host: Host) -> str:
        """Return the host's memory in GiB."""
        return f"{host.memory_bytes / 2**30:.1f} GiB" if host.memory_bytes else "-"

    def save_model(self, request: HttpRequest, obj: Host, form: forms.ModelForm, change: bool) -> None:  # type: ignore[type-arg]
        """Write only what the form has: the watcher writes the facts at the same time."""
        obj.save(update_fields=["name", "uri", "enabled"] if change else None)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Let a deleted host take its connection tests along, which nobody may delete by hand."""
        to_delete, counts, _lacking, protected = super().get_deleted_objects(objs, request)
        return to_delete, counts, set(), protected

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Refuse, in words, to delete a host that has machines."""
        host = self.get_object(request, object_id)
        if host is None or not (number := host.machines.count()):
            return super().delete_view(request, object_id, extra_context)
        sentence = ngettext(
            "The host %(host)s has %(number)s machine, so it is not deleted. Disable it, or let the machine be "
            "undefined and forget it first.",
            "The host %(host)s has %(number)s machines, so it is not deleted. Disable it, or let the machines be "
            "undefined and forget them first.",
            number,
        )
        self.message_user(request, sentence % {"host": host, "number": number}, messages.ERROR)
        return redirect("admin:machines_host_change", host.pk)


class GrantFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """The grants of one machine."""

    def clean(self) -> None:
        """Refuse a second lasting grant to the same holder; the constraint alone would be an error, not a sentence."""
        super().clean()
        holders = set()
        for form in self.forms:
            given = getattr(form, "cleaned_data", {})
            holder = tuple(given.get(name) for name in ("user", "group", "project"))
            if given.get("DELETE") or given.get("expires_at") or not any(holder):
                continue
            if holder in holders:
                raise forms.ValidationError(_("There is a grant without an end to the same person already."))
            holders.add(holder)


class GrantInline(admin.TabularInline):  # type: ignore[type-arg]
    """The people, groups and projects a machine is shared with."""

    model = Grant
    formset = GrantFormSet
    extra = 1
    autocomplete_fields = ("user", "group", "project")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Leave out the buttons that would edit or delete the person."""
        return _choice_only(super().formfield_for_dbfield(db_field, request, **kwargs))


class NobodyOwnsIt(admin.SimpleListFilter):
    """Machines that wait to be given to someone."""

    title = gettext_lazy("owner")
    parameter_name = "owned"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the two choices beside “all”."""
        return [("no", _("Nobody owns it")), ("yes", _("Somebody owns it"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Machine]) -> QuerySet[Machine]:
        """Filter by the choice."""
        nobodys = Q(owner=None, project=None)
        return queryset.filter(nobodys if self.value() == "no" else ~nobodys) if self.value() else queryset


@admin.register(Machine)
class MachineAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Owner and grants are edited here; the rest mirrors libvirt and is only shown."""

    list_display = ("name", "state", "its_host", "its_owner", "project", "title", "state_since", "grant_count")
    list_filter = ("state", "host", NobodyOwnsIt, "project", "persistent", "autostart", "agent_connected")
    list_select_related = ("host", "owner", "project")
    list_per_page = 50
    search_fields = ("name", "title", "owner__username", "project__name")
    ordering = ("name", "uuid")
    autocomplete_fields = ("owner", "project")
    inlines = (GrantInline,)
    mirrored = (
        "uuid",
        "host",
        "name",
        "title",
        "description",
        "state",
        "state_reason",
        "state_since",
        "persistent",
        "autostart",
        "has_saved_image",
        "snapshot_count",
        "agent_connected",
        "vcpus",
        "memory",
        "disk",
        "video_model",
        "graphics",
        "has_serial",
        "addresses",
        "conflict_host",
    )
    readonly_fields = (*mirrored, "elsewhere")
    fieldsets = (
        (None, {"fields": ("owner", "project", "elsewhere")}),
        (gettext_lazy("As libvirt has it"), {"fields": mirrored}),
    )

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Leave out the buttons that would edit or delete the owner's account."""
        return _choice_only(super().formfield_for_dbfield(db_field, request, **kwargs))

    @admin.display(description=gettext_lazy("memory"))
    def memory(self, machine: Machine) -> str:
        """Return the machine's memory in MiB."""
        return f"{machine.memory_bytes // 2**20} MiB"

    @admin.display(description=gettext_lazy("disk"))
    def disk(self, machine: Machine) -> str:
        """Return what its own disks can hold, in GiB."""
        return f"{machine.disk_bytes / 2**30:.1f} GiB" if machine.disk_bytes else "-"

    @admin.display(description=gettext_lazy("host"), ordering="host__name")
    def its_host(self, machine: Machine) -> SafeString | str:
        """Lead to its host."""
        return row_link(machine.host)

    @admin.display(description=gettext_lazy("owner"), ordering="owner__username")
    def its_owner(self, machine: Machine) -> SafeString | str:
        """Lead to its owner."""
        return row_link(machine.owner)

    @admin.display(description=gettext_lazy("grants"), ordering="grants_of_it")
    def grant_count(self, machine: Machine) -> SafeString:
        """Lead to its grants."""
        return list_link(getattr(machine, "grants_of_it", 0), "machines_grant", machine__uuid__exact=machine.pk)

    @admin.display(description=gettext_lazy("elsewhere"))
    def elsewhere(self, machine: Machine) -> SafeString:
        """Lead to what belongs to this machine."""
        mine = {"machine__uuid__exact": machine.pk}
        return links(
            format_html('<a href="{}">{}</a>', machine.get_absolute_url(), _("Its page")),
            list_link(_("Grants"), "machines_grant", **mine),
            list_link(_("Operations"), "lifecycle_operation", **mine),
            list_link(_("Console sessions"), "consoles_consolesession", **mine),
            list_link(_("Saved files"), "lifecycle_savedfile", **mine),
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Machine]:
        """Leave the XML where it is: no page here shows it."""
        rows: QuerySet[Machine] = super().get_queryset(request).defer("definition_xml")
        return rows.annotate(grants_of_it=number_of(Grant.objects.all(), "machine"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Machine], search_term: str
    ) -> tuple[QuerySet[Machine], bool]:
        """Find a machine by its whole UUID too."""
        try:
            return queryset.filter(pk=UUID(search_term.strip())), False
        except ValueError:
            return super().get_search_results(request, queryset, search_term)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Machines appear when libvirt has them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Machine | None = None) -> bool:
        """Only what libvirt does not know any more may be forgotten, one by one."""
        forgettable = obj is not None and obj.state == State.UNDEFINED
        return forgettable and super().has_delete_permission(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Let a forgotten machine take its operations and console sessions along, which nobody may delete by hand."""
        to_delete, counts, _lacking, protected = super().get_deleted_objects(objs, request)
        return to_delete, counts, set(), protected

    def save_model(self, request: HttpRequest, obj: Machine, form: forms.ModelForm, change: bool) -> None:  # type: ignore[type-arg]
        """Write the owner and nothing else: the watcher writes the mirrored columns at the same time."""
        if changed := {"owner", "project"} & set(form.changed_data):
            obj.save(update_fields=changed)


@admin.register(Grant)
class GrantAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Everything that is shared, with whom and until when. Deleting a grant takes the right at once."""

    list_display = ("machine", "its_holder", "role", "expires_at", "granted_by", "its_host")
    list_filter = (
        "role",
        ("group", admin.EmptyFieldListFilter),
        "project",
        ("expires_at", admin.EmptyFieldListFilter),
        "machine__host",
    )
    list_select_related = ("machine__host", "user", "group", "project", "granted_by")
    list_per_page = 50
    search_fields = ("machine__name", "machine__uuid", "user__username", "group__name", "project__name")
    ordering = ("machine__name", "pk")
    autocomplete_fields = ("machine", "user", "group", "project")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Leave out the buttons that would edit or delete the machine or the person."""
        return _choice_only(super().formfield_for_dbfield(db_field, request, **kwargs))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Grant]:
        """Leave the machines' XML where it is."""
        return super().get_queryset(request).defer("machine__definition_xml")

    @admin.display(description=gettext_lazy("user, group or project"))
    def its_holder(self, grant: Grant) -> SafeString | str:
        """Lead to who holds it."""
        return row_link(grant.user or grant.group or grant.project)

    @admin.display(description=gettext_lazy("host"), ordering="machine__host__name")
    def its_host(self, grant: Grant) -> SafeString | str:
        """Lead to the machine's host."""
        return row_link(grant.machine.host)

    def save_model(self, request: HttpRequest, obj: Grant, form: forms.ModelForm, change: bool) -> None:  # type: ignore[type-arg]
        """Note who granted it."""
        if not change and isinstance(request.user, User):
            obj.granted_by = request.user
        super().save_model(request, obj, form, change)


@admin.register(ShareLink)
class ShareLinkAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Links by which people take rights. Nobody can look one up here; deleting it revokes it and what it gave."""

    list_display = ("machine", "role", "made_by", "created_at", "expires_at", "uses", "most_uses")
    list_filter = ("role", "machine__host", "expires_at")
    list_select_related = ("machine", "made_by")
    list_per_page = 50
    search_fields = ("machine__name", "made_by__username")
    date_hierarchy = "created_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: the secret of a link is shown once, to who makes it on the machine's page."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: ShareLink | None = None) -> bool:
        """Refuse: a link is revoked, not changed."""
        return False


def _choice_only(field: Any) -> Any:
    """Let a form field choose a person or group, not make, change or delete one."""
    if isinstance(getattr(field, "widget", None), RelatedFieldWidgetWrapper):
        field.widget = field.widget.widget
    return field
