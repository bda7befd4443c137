"""API tokens, projects and quotas. Users and groups are Django's own."""

from __future__ import annotations

import hashlib
import secrets
from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

TOKEN_PREFIX = "kvmp_"  # noqa: S105  # lets secret scanners recognise our tokens


def digest_of(token: str) -> str:
    """Return the SHA-256 by which a token is kept. The token has 256 random bits, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


class ApiToken(models.Model):
    """A bearer token of one user. Only its digest is kept; the token itself is shown once, when it is made."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens", verbose_name=_("user")
    )
    name = models.CharField(_("name"), max_length=80)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.name} ({self.user})"

    @classmethod
    def make(cls, user_id: int, name: str) -> tuple[ApiToken, str]:
        """Make a token; return its row and the token, which cannot be shown again."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        return cls.objects.create(user_id=user_id, name=name, digest=digest_of(token)), token


class Role(models.TextChoices):
    """What someone may do with a machine: in a project with all of its machines, by a grant with one."""

    VIEWER = "viewer", _("viewer")
    OPERATOR = "operator", _("operator")
    OWNER = "owner", _("owner")


class Project(models.Model):
    """People who own machines together. Its owners decide who is in it; administrators make it and set its quota."""

    name = models.CharField(_("name"), max_length=80, unique=True)
    description = models.CharField(_("description"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name = _("project")
        verbose_name_plural = _("projects")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the project's page."""
        return reverse("sharing:project", args=[self.pk])


class Membership(models.Model):
    """Somebody's role in a project, and with it the right over each of its machines."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships", verbose_name=_("project"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships", verbose_name=_("user")
    )
    role = models.CharField(_("role"), max_length=8, choices=Role.choices, default=Role.VIEWER)

    class Meta:
        ordering: ClassVar = ["user__username"]
        verbose_name = _("member")
        verbose_name_plural = _("members")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "user"], name="one_membership_for_each_user"),
        ]

    def __str__(self) -> str:
        return f"{self.project}: {self.user} {self.role}"


class Quota(models.Model):
    """The most that one project, or one user, may have. A field that is empty sets no limit."""

    project = models.OneToOneField(
        Project, models.CASCADE, null=True, blank=True, related_name="quota", verbose_name=_("project")
    )
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="quota", verbose_name=_("user")
    )
    machines = models.PositiveIntegerField(_("machines"), null=True, blank=True)
    vcpus = models.PositiveIntegerField(_("vCPUs"), null=True, blank=True)
    memory_mib = models.PositiveIntegerField(_("memory"), null=True, blank=True, help_text=_("MiB"))
    disk_gib = models.PositiveIntegerField(
        _("disk"),
        null=True,
        blank=True,
        help_text=_("GiB, by what machines' disks can hold, not what they take so far"),
    )
    snapshots = models.PositiveIntegerField(_("snapshots"), null=True, blank=True)
    running = models.PositiveIntegerField(_("running at once"), null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["pk"]
        verbose_name = _("quota")
        verbose_name_plural = _("quotas")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(project__isnull=False, user__isnull=True) | Q(project__isnull=True, user__isnull=False),
                name="quota_of_a_project_or_a_user",
            ),
        ]

    def __str__(self) -> str:
        return str(self.project or self.user)

    def clean(self) -> None:
        """Refuse a quota of nobody or of both, with words that the admin form shows."""
        if bool(self.project_id) == bool(self.user_id):
            raise ValidationError(_("Choose either a project or a user."))
