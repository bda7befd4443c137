"""In the admin: API tokens, login sessions, second factors, links, projects, members and quotas."""

from __future__ import annotations

from typing import Any, ClassVar

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from people.logins import end_session
from people.models import ApiToken, Membership, Project, Quota

for model in (EmailAddress, SocialAccount, SocialApp, SocialToken, Authenticator, UserSession):
    admin.site.unregister(model)  # the environment says what these would, or they are shown below without secrets


class OnlyEnded(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in its stubs
    """What its user makes; an administrator sees and deletes it."""

    list_select_related: ClassVar = ("user",)
    search_fields: ClassVar[tuple[str, ...]] = ("user__username",)
    list_per_page = 50

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Let nothing be edited, and show nothing that is not listed."""
        return self.fields or ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: only its user makes it."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: it is ended, not changed."""
        return False


@admin.register(UserSession)
class UserSessionAdmin(OnlyEnded):
    """Deleting a login session signs its browser out; consoles and sockets on it end."""

    list_display = ("user", "ip", "user_agent", "created_at")
    fields = list_display
    search_fields = ("user__username", "ip")
    list_filter = ("created_at",)
    date_hierarchy = "created_at"

    def delete_model(self, request: HttpRequest, obj: UserSession) -> None:
        """End the session itself."""
        end_session(obj.session_key)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[UserSession]) -> None:
        """End the sessions themselves."""
        for row in queryset:
            end_session(row.session_key)
        super().delete_queryset(request, queryset)


@admin.register(Authenticator)
class AuthenticatorAdmin(OnlyEnded):
    """Deleting a second factor helps who lost their phone or key. Its secret is shown to nobody."""

    list_display = ("user", "type", "created_at", "last_used_at")
    fields = list_display
    list_filter = ("type",)
    date_hierarchy = "created_at"


@admin.register(SocialAccount)
class SocialAccountAdmin(OnlyEnded):
    """Deleting a link: the provider's person no longer logs in to the account."""

    list_display = ("user", "last_login", "date_joined")
    fields = list_display
    list_filter = ("last_login",)
    date_hierarchy = "date_joined"


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in its stubs
    """Deleting a token revokes it. The digest is shown to nobody."""

    list_display = ("name", "user", "created_at", "last_used_at")
    list_filter = (("last_used_at", admin.EmptyFieldListFilter), "last_used_at", "created_at", "user__is_active")
    list_per_page = 50
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


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]
    """Who is in a project, in which role."""

    model = Membership
    extra = 1
    autocomplete_fields = ("user",)


class QuotaInline(admin.StackedInline):  # type: ignore[type-arg]
    """The most a project may have."""

    model = Quota
    exclude = ("user",)
    max_num = 1


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Deleting a project leaves its machines to nobody; they stay as they are."""

    list_display = ("name", "description", "member_count", "machine_count", "created_at")
    list_per_page = 50
    search_fields = ("name", "description", "memberships__user__username")
    list_filter = (("quota", admin.EmptyFieldListFilter), "created_at")
    date_hierarchy = "created_at"
    inlines = (MembershipInline, QuotaInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Project]:
        """Count members and machines in the same query."""
        counts = {"people": Count("memberships", distinct=True), "owned": Count("machines", distinct=True)}
        projects: QuerySet[Project] = super().get_queryset(request).annotate(**counts)
        return projects

    @admin.display(description=gettext_lazy("members"), ordering="people")
    def member_count(self, project: Project) -> int:
        """Return how many people are in it."""
        return int(getattr(project, "people", 0))

    @admin.display(description=gettext_lazy("machines"), ordering="owned")
    def machine_count(self, project: Project) -> int:
        """Return how many machines it owns."""
        return int(getattr(project, "owned", 0))


@admin.register(Quota)
class QuotaAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The most that projects and users may have; a lower one takes nothing away that is there."""

    list_display = ("__str__", "project", "user", "machines", "vcpus", "memory_mib", "disk_gib", "snapshots", "running")
    list_filter = (("user", admin.EmptyFieldListFilter),)
    list_select_related = ("project", "user")
    list_per_page = 50
    search_fields = ("project__name", "user__username")
    autocomplete_fields = ("project", "user")
