"""Hosts, machines, and who may touch them."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisor.states import State


class Host(models.Model):
    """A libvirt host. Whether it answers, and what it says of itself, is written by `machines.mirror` only."""

    name = models.SlugField(_("name"), max_length=63, unique=True)
    uri = models.CharField(
        _("libvirt URI"),
        max_length=255,
        unique=True,
        help_text=_("For example qemu:///system"),
    )
    enabled = models.BooleanField(_("enabled"), default=True, help_text=_("A disabled host is not watched."))
    reachable = models.BooleanField(_("reachable"), default=False, editable=False)
    seen_at = models.DateTimeField(_("last seen"), null=True, blank=True, editable=False)
    last_error = models.TextField(_("last error"), blank=True, editable=False)
    hostname = models.CharField(_("host name"), max_length=255, blank=True, editable=False)
    libvirt_version = models.CharField(max_length=32, blank=True, editable=False)
    hypervisor_version = models.CharField(max_length=32, blank=True, editable=False)
    cpus = models.PositiveIntegerField(default=0, editable=False)
    cpu_model = models.CharField(max_length=64, blank=True, editable=False)
    memory_bytes = models.PositiveBigIntegerField(default=0, editable=False)
    free_memory_bytes = models.PositiveBigIntegerField(default=0, editable=False)
    domain_types = models.JSONField(default=list, editable=False)
    machine_types = models.JSONField(default=list, editable=False)
    facts_at = models.DateTimeField(null=True, blank=True, editable=False)
    """When it last said all this of itself."""

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name = _("host")
        verbose_name_plural = _("hosts")

    def __str__(self) -> str:
        return self.name


class Lease(models.Model):
    """Which watcher may write a host's state, until when.

    free or expired -> held (epoch + 1) -> renewed ... -> expired or given back.
    Every write of state names the epoch it stands on; a watcher that was too slow finds a higher one and stops.
    """

    host = models.OneToOneField(Host, models.CASCADE, related_name="lease")
    holder = models.CharField(max_length=64, blank=True)
    epoch = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField(default=timezone.now)
    taken_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.host} epoch {self.epoch} {self.holder}"


class Machine(models.Model):
    """A virtual machine: a libvirt domain, and what the portal knows about it.

    Everything from `name` to `version` mirrors libvirt and is written by `machines.mirror` only. `version` grows
    with every change a viewer can see. A machine that libvirt forgets stays here as `undefined` with its last XML.
    """

    uuid = models.UUIDField("UUID", primary_key=True, editable=False)
    host = models.ForeignKey(Host, models.PROTECT, related_name="machines", verbose_name=_("host"))
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="machines",
        verbose_name=_("owner"),
    )

    name = models.CharField(_("name"), max_length=255, editable=False)
    title = models.CharField(_("title"), max_length=255, blank=True, editable=False)
    description = models.TextField(_("description"), blank=True, editable=False)
    state = models.CharField(
        _("state"),
        max_length=16,
        choices=[(state.value, state.value) for state in State],
        editable=False,
    )
    state_reason = models.CharField(_("reason"), max_length=32, default="unknown", editable=False)
    state_since = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    persistent = models.BooleanField(_("persistent"), default=True, editable=False)
    autostart = models.BooleanField(_("autostart"), default=False, editable=False)
    has_saved_image = models.BooleanField(_("managed save image"), default=False, editable=False)
    snapshot_count = models.PositiveIntegerField(_("snapshots"), default=0, editable=False)
    agent_connected = models.BooleanField(_("guest agent connected"), default=False, editable=False)
    vcpus = models.PositiveIntegerField(_("vCPUs"), default=0, editable=False)
    memory_bytes = models.PositiveBigIntegerField(_("memory"), default=0, editable=False)
    video_model = models.CharField(_("video model"), max_length=32, blank=True, editable=False)
    graphics = models.JSONField(_("displays"), default=list, editable=False)
    addresses = models.JSONField(_("addresses"), default=list, editable=False)
    definition_xml = models.TextField(_("definition"), blank=True, editable=False)
    rebooted_at = models.DateTimeField(_("last reboot"), null=True, editable=False)
    version = models.PositiveBigIntegerField(default=1, editable=False)

    domain_state = models.PositiveSmallIntegerField(default=0, editable=False)
    """libvirt's own state when it was last read (a DomainState): its reason is remembered as long as it stays."""
    shutdown_asked_at = models.DateTimeField(null=True, editable=False)
    """Portal fact: libvirt accepted a shutdown then."""
    overdue_since = models.DateTimeField(null=True, editable=False)
    """Portal fact: shutting down or destroying failed or ran past its limit then."""
    quiet_since = models.DateTimeField(null=True, editable=False)
    """Since when next to no vCPU time has been used."""
    domain_id = models.PositiveIntegerField(null=True, editable=False)
    """libvirt's number of the present run, null when it is off."""
    runs = models.PositiveBigIntegerField(default=0, editable=False)
    """How many runs of it have begun: a saved file of an earlier run no longer fits the disks."""
    saved_file_count = models.PositiveIntegerField(_("saved files"), default=0, editable=False)
    """Portal fact: how many saved files of it there are."""
    saved_at_run = models.PositiveBigIntegerField(null=True, editable=False)
    """Portal fact: the run that its newest saved file is from, null when it has none."""
    conflict_host = models.ForeignKey(
        Host,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="conflicts",
        verbose_name=_("conflict"),
    )
    """Another host that shows a domain of the same UUID, which is not followed there."""

    class Meta:
        ordering: ClassVar = ["name", "uuid"]
        verbose_name = _("machine")
        verbose_name_plural = _("machines")
        indexes: ClassVar = [
            models.Index(fields=["name", "uuid"], name="machine_by_name"),
            models.Index(fields=["owner", "name", "uuid"], name="machine_by_owner"),
            models.Index(fields=["state", "name", "uuid"], name="machine_by_state"),
            models.Index(fields=["state_since", "name", "uuid"], name="machine_by_since"),
            models.Index(fields=["memory_bytes", "name", "uuid"], name="machine_by_memory"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the machine's page."""
        return reverse("lifecycle:machine", args=[self.uuid])

    @property
    def conflict(self) -> str:
        """Say that another host shows the same UUID, in words for everybody; which host, only administrators see."""
        sentence = _("The same UUID is shown by another host; an administrator has to look at it.")
        return str(sentence) if self.conflict_host_id else ""


class GrantRole(models.TextChoices):
    """What a grant lets its holder do."""

    VIEWER = "viewer", _("viewer")
    OPERATOR = "operator", _("operator")
    OWNER = "owner", _("owner")


class Grant(models.Model):
    """A machine shared with one user or one group. The machine's owner needs none."""

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="grants", verbose_name=_("machine"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="grants",
        verbose_name=_("user"),
    )
    group = models.ForeignKey(
        Group,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="machine_grants",
        verbose_name=_("group"),
    )
    role = models.CharField(_("role"), max_length=8, choices=GrantRole.choices, default=GrantRole.VIEWER)

    class Meta:
        verbose_name = _("grant")
        verbose_name_plural = _("grants")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, group__isnull=True) | Q(user__isnull=True, group__isnull=False),
                name="grant_to_a_user_or_a_group",
            ),
            models.UniqueConstraint(fields=["machine", "user"], name="one_grant_for_each_user"),
            models.UniqueConstraint(fields=["machine", "group"], name="one_grant_for_each_group"),
        ]

    def __str__(self) -> str:
        return f"{self.machine}: {self.user or self.group} {self.role}"

    def clean(self) -> None:
        """Refuse a grant to nobody or to both, with words that the admin form shows."""
        if bool(self.user_id) == bool(self.group_id):
            raise ValidationError(_("Choose either a user or a group."))
