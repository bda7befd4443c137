"""People and groups in the admin, with all that belongs to them, and what an administrator may do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from consoles import sessions
from fleet import people
from machines.admin_links import links, list_link, number_of
from machines.models import Grant, Machine
from people.models import ApiToken
from people.roles import is_administrator
from sharing.admin import SeesOff

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

admin.site.unregister(User)
admin.site.unregister(Group)


@dataclass(frozen=True)
class Deed:
    """What is done to people after a question: its words, and what does it (it returns how many things it ended)."""

    title: StrPromise
    warning: StrPromise
    button: StrPromise
    act: Callable[[list[User], HttpRequest], int]
    done: Callable[[int], str]


DEEDS = {
    "end_consoles": Deed(
        gettext_lazy("End console sessions"),
        gettext_lazy("Their consoles close within a second. The machines go on, and they may open new ones."),
        gettext_lazy("End the consoles"),
        lambda users, _request: people.end_consoles(users),
        lambda count: ngettext("%d console was ended.", "%d consoles were ended.", count),
    ),
    "end_logins": Deed(
        gettext_lazy("End login sessions"),
        gettext_lazy(
            "They are signed out of every browser within a second, and the consoles opened there close. They may sign "
            "in again. Tokens stay. Your own browser, this one, stays signed in."
        ),
        gettext_lazy("Sign them out"),
        lambda users, request: people.end_logins(users, but=request.session.session_key),
        lambda count: ngettext("%d login session was ended.", "%d login sessions were ended.", count),
    ),
    "revoke_tokens": Deed(
        gettext_lazy("Revoke API tokens"),
        gettext_lazy("Scripts that use these tokens stop working at once. A revoked token does not come back."),
        gettext_lazy("Revoke the tokens"),
        lambda users, _request: people.revoke_tokens(users),
        lambda count: ngettext("%d token was revoked.", "%d tokens were revoked.", count),
    ),
    "disable": Deed(
        gettext_lazy("Disable users"),
        gettext_lazy(
            "They cannot sign in any more. Open pages and consoles close within a second, tokens stop working."
        ),
        gettext_lazy("Disable"),
        lambda users, _request: people.disable(users),
        lambda count: ngettext("%d user was disabled.", "%d users were disabled.", count),
    ),
}


class OwnsMachines(admin.SimpleListFilter):
    """People who own machines, or none."""

    title = gettext_lazy("machines")
    parameter_name = "owns"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the two choices beside “all”."""
        return [("yes", _("Owns machines")), ("no", _("Owns none"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        """Filter by the choice."""
        owners = Machine.objects.filter(owner__isnull=False).values("owner")
        if self.value() == "yes":
            return queryset.filter(pk__in=owners)
        return queryset.exclude(pk__in=owners) if self.value() == "no" else queryset


@admin.register(User)
class PersonAdmin(SeesOff):
    """Accounts with the number of their machines, grants, tokens and consoles, each leading there."""

    list_display = (
        "username",
        "email",
        "is_active",
        "is_superuser",
        "machine_count",
        "grant_count",
        "token_count",
        "console_count",
        "last_login",
    )
    list_filter = ("is_active", "is_superuser", "is_staff", "groups", OwnsMachines, "last_login", "date_joined")
    list_per_page = 50
    actions = (*DEEDS, "enable")
    readonly_fields = ("elsewhere", "became", "last_login", "date_joined")

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Say what hangs on an account that exists."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            return fieldsets
        said = _(
            "Taking “active” away closes this person's open pages and consoles within a second, and tokens stop "
            "working."
        )
        fields = ("elsewhere",) if obj.is_active else ("elsewhere", "became")
        return (*fieldsets, (_("What hangs on it"), {"fields": fields, "description": said}))

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Count what people have in the same query."""
        rows: QuerySet[User] = super().get_queryset(request)
        return rows.annotate(
            machines_of_it=number_of(Machine.objects.all(), "owner"),
            grants_of_it=number_of(Grant.objects.all(), "user"),
            tokens_of_it=number_of(ApiToken.objects.all(), "user"),
            consoles_of_it=number_of(sessions.not_ended(), "user"),
        )

    @admin.display(description=gettext_lazy("machines"), ordering="machines_of_it")
    def machine_count(self, user: User) -> SafeString:
        """Lead to the machines this person owns."""
        return list_link(getattr(user, "machines_of_it", 0), "machines_machine", owner__id__exact=user.pk)

    @admin.display(description=gettext_lazy("grants"), ordering="grants_of_it")
    def grant_count(self, user: User) -> SafeString:
        """Lead to this person's own grants."""
        return list_link(getattr(user, "grants_of_it", 0), "machines_grant", user__id__exact=user.pk)

    @admin.display(description=gettext_lazy("tokens"), ordering="tokens_of_it")
    def token_count(self, user: User) -> SafeString:
        """Lead to this person's API tokens."""
        return list_link(getattr(user, "tokens_of_it", 0), "people_apitoken", user__id__exact=user.pk)

    @admin.display(description=gettext_lazy("consoles now"), ordering="consoles_of_it")
    def console_count(self, user: User) -> SafeString:
        """Lead to the consoles this person has open."""
        mine = {"user__id__exact": user.pk, "ended_at__isempty": 1}
        return list_link(getattr(user, "consoles_of_it", 0), "consoles_consolesession", **mine)

    @admin.display(description=gettext_lazy("elsewhere"))
    def elsewhere(self, user: User) -> SafeString:
        """Lead to everything of this person's, and say how much there is."""
        held = people.holdings([user])[0]
        mine = {"user__id__exact": user.pk}
        return links(
            list_link(_("Machines: %d") % held.machines, "machines_machine", owner__id__exact=user.pk),
            list_link(_("Grants"), "machines_grant", **mine),
            list_link(_("Operations"), "lifecycle_operation", requested_by__id__exact=user.pk),
            list_link(_("Open consoles: %d") % held.consoles, "consoles_consolesession", **mine),
            list_link(_("API tokens: %d") % held.tokens, "people_apitoken", **mine),
            SafeString(_("Login sessions: %d") % held.logins),
        )

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm, change: bool) -> None:  # type: ignore[type-arg]
        """Sign out for good who is disabled by the form too."""
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data and not obj.is_active:
            people.disable([obj])

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Let a deleted person take along what nobody may delete by hand."""
        to_delete, counts, lacking, protected = super().get_deleted_objects(objs, request)
        return to_delete, counts, set() if is_administrator(request.user) else lacking, protected

    def has_administer_permission(self, request: HttpRequest) -> bool:
        """Let administrators do this, not everyone who may change accounts: it reaches administrators too."""
        return is_administrator(request.user)

    @admin.action(description=gettext_lazy("End console sessions…"), permissions=["administer"])
    def end_consoles(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse:
        """Close these people's screens."""
        return self._after_asking(request, queryset, "end_consoles")

    @admin.action(description=gettext_lazy("End login sessions…"), permissions=["administer"])
    def end_logins(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse:
        """Sign these people out."""
        return self._after_asking(request, queryset, "end_logins")

    @admin.action(description=gettext_lazy("Revoke API tokens…"), permissions=["administer"])
    def revoke_tokens(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse:
        """Stop these people's scripts."""
        return self._after_asking(request, queryset, "revoke_tokens")

    @admin.action(description=gettext_lazy("Disable…"), permissions=["administer"])
    def disable(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse:
        """Let these people in no more; never the one who asks, so that an administrator is left."""
        if queryset.filter(pk=request.user.pk or 0).exists():
            self.message_user(request, _("You cannot disable yourself: leave yourself out."), messages.ERROR)
            return redirect(request.get_full_path())
        return self._after_asking(request, queryset, "disable")

    @admin.action(description=gettext_lazy("Enable"), permissions=["administer"])
    def enable(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let these people in again; they sign in anew."""
        users = list(queryset.filter(is_active=False))
        for user in users:
            user.is_active = True
            user.save(update_fields=["is_active"])
            self.log_change(request, user, [{"changed": {"fields": ["active"]}}])
        sentence = ngettext("%d user is enabled.", "%d users are enabled.", len(users)) % len(users)
        self.message_user(request, sentence, messages.SUCCESS)

    def _after_asking(self, request: HttpRequest, queryset: QuerySet[User], name: str) -> HttpResponse:
        """Say what is concerned and ask; then do it."""
        deed, users = DEEDS[name], list(queryset)
        if "confirm" in request.POST:
            count = deed.act(users, request)
            if name == "disable":  # beat does it, should this process be killed before
                self.see_off(request, users)
            for user in users:
                self.log_change(request, user, str(deed.title))
            self.message_user(request, deed.done(count) % count, messages.SUCCESS)
            return redirect(request.get_full_path())
        context = {
            **self.admin_site.each_context(request),
            "title": deed.title,
            "opts": self.opts,
            "deed": deed,
            "action": name,
            "holdings": people.holdings(users),
            "leaving": [user for user in users if user.is_active] if name == "disable" else [],
            "ticked": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "across": request.POST.get("select_across", "0"),
        }
        return TemplateResponse(request, "admin/auth/user/deed.html", context)


@admin.register(Group)
class PortalGroupAdmin(GroupAdmin):
    """Groups with the number of their members and grants."""

    list_display = ("name", "member_count", "grant_count")
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """Count members and grants in the same query."""
        rows: QuerySet[Group] = super().get_queryset(request)
        return rows.annotate(
            members_of_it=number_of(User.groups.through.objects.all(), "group"),
            grants_of_it=number_of(Grant.objects.all(), "group"),
        )

    @admin.display(description=gettext_lazy("members"), ordering="members_of_it")
    def member_count(self, group: Group) -> SafeString:
        """Lead to the members."""
        return list_link(getattr(group, "members_of_it", 0), "auth_user", groups__id__exact=group.pk)

    @admin.display(description=gettext_lazy("grants"), ordering="grants_of_it")
    def grant_count(self, group: Group) -> SafeString:
        """Lead to what is shared with the group."""
        return list_link(getattr(group, "grants_of_it", 0), "machines_grant", group__id__exact=group.pk)
