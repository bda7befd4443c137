"""Hosts, machines, and who may touch them."""

from __future__ import annotations

from typing import ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisor.states import State
from people.models import Project, Role


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
    project = models.ForeignKey(
        Project,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="machines",
        verbose_name=_("project"),
    )
    """Who owns it instead of one person."""

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
    disk_bytes = models.PositiveBigIntegerField(_("disk"), default=0, editable=False)
    """What its own writable disks can hold together (`hypervisor.capacities`)."""
    video_model = models.CharField(_("video model"), max_length=32, blank=True, editable=False)
    graphics = models.JSONField(_("displays"), default=list, editable=False)
    has_serial = models.BooleanField(_("serial console"), default=False, editable=False)
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
            models.Index(fields=["project", "name", "uuid"], name="machine_by_project"),
            models.Index(fields=["state", "name", "uuid"], name="machine_by_state"),
            models.Index(fields=["state_since", "name", "uuid"], name="machine_by_since"),
            models.Index(fields=["memory_bytes", "name", "uuid"], name="machine_by_memory"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(owner__isnull=True) | Q(project__isnull=True), name="machine_of_a_person_or_a_project"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the machine's page."""
        return reverse("lifecycle:machine", args=[self.uuid])

    def clean(self) -> None:
        """Refuse two owners, with words that the admin form shows."""
        if self.owner_id and self.project_id:
            raise ValidationError(_("A machine belongs to a person or to a project: leave one empty."))

    @property
    def holder(self) -> str:
        """The name of the person or project that owns it; empty where nobody does."""
        if self.project_id:
            return str(self.project)
        return self.owner.get_username() if self.owner else ""

    @property
    def consoles(self) -> list[str]:
        """What its consoles may speak: its displays, and its serial console."""
        return [*self.graphics, "serial"] if self.has_serial else list(self.graphics)

    @property
    def conflict(self) -> str:
        """Say that another host shows the same UUID, in words for everybody; which host, only administrators see."""
        sentence = _("The same UUID is shown by another host; an administrator has to look at it.")
        return str(sentence) if self.conflict_host_id else ""


SHOWN_WITH = ("host", "owner__quota", "project__quota")
"""What `select_related` brings along for all that pages, the API and sockets show of a machine."""

GrantRole = Role


class ShareLink(models.Model):
    """An address by which any signed-in person takes a right over a machine, for as long as the link lasts.

    Only the digest of its secret is kept. Who takes it gets a grant that ends with the link; revoking the link deletes
    its row, and those grants with it.
    """

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="links", verbose_name=_("machine"))
    role = models.CharField(_("role"), max_length=8, choices=Role.choices, default=Role.VIEWER)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="links", verbose_name=_("made by")
    )
    created_at = models.DateTimeField(_("made"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires"), db_index=True)
    uses = models.PositiveIntegerField(_("used"), default=0, editable=False)
    most_uses = models.PositiveIntegerField(_("most uses"), null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["expires_at"]
        verbose_name = _("link")
        verbose_name_plural = _("links")

    def __str__(self) -> str:
        return f"{self.machine}: {self.role}"


class GrantQuerySet(models.QuerySet["Grant"]):
    """Rows of grants."""

    def living(self) -> Self:
        """Leave out what has expired: it gives nothing any more, whether or not its row is deleted yet."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


class Grant(models.Model):
    """A machine shared with one user, group or project, for good or until a moment. Its owner needs none.

    A member of a project has the lesser of the grant's role and their role in the project. An expired grant gives
    nothing; `machines.expiry` deletes its row within a second or two, which ends sockets and consoles.
    """

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
    project = models.ForeignKey(
        Project,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="machine_grants",
        verbose_name=_("project"),
    )
    role = models.CharField(_("role"), max_length=8, choices=GrantRole.choices, default=GrantRole.VIEWER)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True, db_index=True)
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("granted by"),
    )
    created_at = models.DateTimeField(_("granted"), default=timezone.now, editable=False)
    link = models.ForeignKey(
        ShareLink,
        models.CASCADE,
        null=True,
        blank=True,
        editable=False,
        related_name="grants",
        verbose_name=_("link"),
    )
    """The link by which it was taken, if it was."""

    objects = GrantQuerySet.as_manager()

    class Meta:
        verbose_name = _("grant")
        verbose_name_plural = _("grants")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, group__isnull=True, project__isnull=True)
                | Q(user__isnull=True, group__isnull=False, project__isnull=True)
                | Q(user__isnull=True, group__isnull=True, project__isnull=False),
                name="grant_to_a_user_a_group_or_a_project",
            ),
            *(
                models.UniqueConstraint(
                    fields=["machine", holder],
                    condition=Q(expires_at=None),
                    name=f"one_lasting_grant_for_each_{holder}",
                )
                for holder in ("user", "group", "project")
            ),
            models.UniqueConstraint(fields=["link", "user"], name="one_grant_for_each_taker"),
        ]

    def __str__(self) -> str:
        return f"{self.machine}: {self.holder} {self.role}"

    @property
    def holder(self) -> str:
        """The name of whom it is for."""
        return str(self.user or self.group or self.project)

    def clean(self) -> None:
        """Refuse a grant to nobody or to several, with words that the admin form shows."""
        if [bool(self.user_id), bool(self.group_id), bool(self.project_id)].count(True) != 1:
            raise ValidationError(_("Choose either a user or a group, or a project."))


class Visit(models.Model):
    """A right over one machine that one person has for a while: a helper's, for as long as an assist goes on.

    It holds until `until`, or until it was ended (`ended_at`), whichever comes first. `machines.visits` begins and ends
    visits; `machines.access` counts those that hold like grants.
    """

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="visits", verbose_name=_("machine"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="visits", verbose_name=_("user"))
    role = models.CharField(_("role"), max_length=8, choices=GrantRole.choices, default=GrantRole.VIEWER)
    begun_at = models.DateTimeField(_("begun"), auto_now_add=True)
    until = models.DateTimeField(_("until"))
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("visit")
        verbose_name_plural = _("visits")
        indexes: ClassVar = [
            models.Index(fields=["user", "machine"], condition=Q(ended_at=None), name="visit_that_goes_on"),
        ]

    def __str__(self) -> str:
        return f"{self.machine}: {self.user} {self.role}"
