"""Operation rows."""

from __future__ import annotations

from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from machines.models import Host, Machine


class Status(models.TextChoices):
    """Where an operation is on its way."""

    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    INTERRUPTED = "interrupted", _("interrupted")


OPEN = (Status.QUEUED, Status.RUNNING)


class Bulk(models.Model):
    """One operation asked of many machines at once. Its operations point here; refusals are kept."""

    kind = models.CharField(_("operation"), max_length=32)
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="bulks", verbose_name=_("requested by")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    machines = models.JSONField(default=list)
    """Each machine it is for, written before the first is asked: {"machine", "name"}; none is ever passed over."""
    refusals = models.JSONField(default=list)
    """For each machine that it was refused for: {"machine", "name", "code", "message"}."""

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = _("bulk operation")
        verbose_name_plural = _("bulk operations")

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    def get_absolute_url(self) -> str:
        """Return the page of its results."""
        return reverse("lifecycle:bulk", args=[self.pk])


class OperationQuerySet(models.QuerySet["Operation"]):
    """Rows of operations."""

    def with_machine(self) -> Self:
        """Bring machine, host and who asked along in the same query, but not the machine's XML."""
        rows = self.select_related("machine__host", "requested_by")
        return rows.defer("machine__definition_xml", "machine__description")


class Operation(models.Model):
    """One thing asked of one machine.

    queued -> running -> succeeded | failed | cancelled
    queued -> cancelled, when cancelled or pre-empted before a worker took it
    running -> interrupted, when its worker died and the host could not say how it ended
    running, waiting -> succeeded by the watcher's news | failed by its deadline | cancelled
    Moves only by compare-and-swap (`lifecycle.operations.advance`), so two workers cannot both run it.
    One open operation for each machine, but for a force off that pre-empts one (which is then marked preempted).
    """

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="operations", verbose_name=_("machine"))
    kind = models.CharField(_("operation"), max_length=32)
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="operations",
        verbose_name=_("requested by"),
    )
    asked_by_portal = models.BooleanField(_("asked by the portal"), default=False)
    """Nobody asked: a policy of the portal did (`lifecycle.operations.request_by_policy`), so nobody's right counts."""
    status = models.CharField(_("status"), max_length=12, choices=Status.choices, default=Status.QUEUED)
    progress = models.PositiveSmallIntegerField(_("progress"), default=0, help_text=_("Percent"))
    processed_bytes = models.PositiveBigIntegerField(default=0)
    total_bytes = models.PositiveBigIntegerField(default=0)
    message = models.CharField(_("message"), max_length=500, blank=True)
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    error_text = models.TextField(_("libvirt's words"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True, db_index=True)
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    waiting = models.BooleanField(default=False)
    """The call was made; news or the deadline finishes the row. No worker holds it."""
    deadline = models.DateTimeField(null=True)
    cancel_requested = models.BooleanField(default=False)
    preempted = models.BooleanField(default=False)
    """A force off is on its way; this row no longer counts as the machine's one open operation."""
    worker = models.CharField(max_length=64, blank=True)
    heartbeat_at = models.DateTimeField(null=True)
    bulk = models.ForeignKey(Bulk, models.SET_NULL, null=True, blank=True, related_name="operations")
    sent_at = models.DateTimeField(null=True)
    """When it was last handed to the broker."""
    version = models.PositiveBigIntegerField(default=1)

    objects = OperationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = _("operation")
        verbose_name_plural = _("operations")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["machine"],
                condition=Q(status__in=OPEN, preempted=False),
                name="one_open_operation_for_each_machine",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["machine", "-id"], name="operation_history"),
            models.Index(fields=["status"], condition=Q(status__in=OPEN), name="operation_open"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.machine_id}"

    def get_absolute_url(self) -> str:
        """Return the operation's own page."""
        return reverse("lifecycle:operation", args=[self.pk])


class SavedFile(models.Model):
    """A machine's memory in a file that somebody named: a volume of a libvirt storage pool on its host.

    being written -> complete -> deleted. The row is there before the file, so that no file is ever without one; and
    a machine's row stays as long as it has saved files.
    """

    machine = models.ForeignKey(Machine, models.PROTECT, related_name="saved_files", verbose_name=_("machine"))
    host = models.ForeignKey(Host, models.PROTECT, related_name="+", verbose_name=_("host"))
    name = models.CharField(_("name"), max_length=64)
    pool = models.CharField(_("storage pool"), max_length=64)
    volume = models.CharField(_("volume"), max_length=255)
    bytes = models.PositiveBigIntegerField(_("size"), default=0)
    saved_at = models.DateTimeField(_("saved"), auto_now_add=True)
    saved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("saved by")
    )
    runs = models.PositiveBigIntegerField()
    """The machine's `runs` when it was saved."""
    complete = models.BooleanField(default=False)
    """False while it is being written."""
    missing = models.BooleanField(default=False)
    """It was not on its host when somebody last looked: deleted elsewhere, or its file system is not mounted."""

    class Meta:
        ordering: ClassVar = ["-saved_at", "-pk"]
        verbose_name = _("saved file")
        verbose_name_plural = _("saved files")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["machine", "name"], name="one_saved_file_of_each_name"),
        ]

    def __str__(self) -> str:
        return f"{self.machine_id} {self.name}"

    @property
    def is_fresh(self) -> bool:
        """Whether the machine has not run since: restoring a stale file onto disks that have moved on destroys data."""
        return self.complete and self.machine.runs == self.runs


class NewDisk(models.Model):
    """A disk that is made when its machine is defined, since the definition names it by pool and volume.

    Gone when it is made: from then on the definition names its file.
    """

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="new_disks", verbose_name=_("machine"))
    pool = models.CharField(_("storage pool"), max_length=80)
    volume = models.CharField(_("volume"), max_length=255)
    capacity_bytes = models.PositiveBigIntegerField(_("capacity"))
    image_pool = models.CharField(_("storage pool of the image"), max_length=80, blank=True)
    image = models.CharField(_("image"), max_length=255, blank=True)
    """The volume that it begins with; empty for an empty disk."""

    class Meta:
        verbose_name = _("new disk")
        verbose_name_plural = _("new disks")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["machine", "pool", "volume"], name="one_new_disk_for_each_volume"),
        ]

    def __str__(self) -> str:
        return f"{self.machine}: {self.volume}"


class HostTest(models.Model):
    """One test of the connection to a host, asked for by an administrator.

    queued -> running -> succeeded | failed
    queued or running -> failed, when its worker died or none took it (`lifecycle.host_tests.end_lost`)
    Moves only by compare-and-swap. One open test for each host.
    """

    host = models.ForeignKey(Host, models.CASCADE, related_name="tests", verbose_name=_("host"))
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("requested by")
    )
    status = models.CharField(_("status"), max_length=12, choices=Status.choices, default=Status.QUEUED)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    message = models.CharField(_("message"), max_length=500, blank=True)
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    error_text = models.TextField(_("libvirt's words"), blank=True)
    facts = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = _("connection test")
        verbose_name_plural = _("connection tests")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["host"], condition=Q(status__in=OPEN), name="one_open_test_for_each_host"),
        ]

    def __str__(self) -> str:
        return f"{self.host} {self.status}"
