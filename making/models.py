"""Templates of machines, and requests for machines."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from hypervisor import names
from machines.models import Host, Machine
from people.models import Project

LONGEST_REASON = 500
LONGEST_ANSWER = 300
MACHINE_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._\-]{0,61}[A-Za-z0-9])?"
"""Of machines that people ask for: what may be a host's name and a file's."""
NAME_FORM = _("Write at most 63 letters, digits, dots, dashes and underscores; the ends are letters or digits.")
_POSITIVE = [MinValueValidator(1)]


def _choices(values: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(value, value) for value in values]


class MachineTemplate(models.Model):
    """What a new machine is like: where its disk is made and what that begins with, its devices, its sizes.

    Offered to everybody, or to the people of some projects. A limit that is empty sets none.
    """

    name = models.CharField(_("name"), max_length=80, unique=True)
    summary = models.CharField(_("summary"), max_length=200, blank=True, help_text=_("One sentence for who chooses."))
    enabled = models.BooleanField(_("offered"), default=True)
    projects = models.ManyToManyField(
        Project,
        blank=True,
        related_name="templates",
        verbose_name=_("projects"),
        help_text=_("Only their people are offered it. Choose none to offer it to everybody."),
    )
    host = models.ForeignKey(Host, models.PROTECT, related_name="templates", verbose_name=_("host"))
    pool = models.CharField(
        _("storage pool"), max_length=80, default="default", help_text=_("Of the host; disks of new machines go there.")
    )
    image_pool = models.CharField(
        _("storage pool of the image"), max_length=80, blank=True, help_text=_("Leave it empty for the same pool.")
    )
    image = models.CharField(
        _("image"),
        max_length=255,
        blank=True,
        help_text=_(
            "A volume in qcow2 or raw that disks begin with, as overlays of it: it must not be changed any more. "
            "Leave it empty for empty disks."
        ),
    )
    network = models.CharField(
        _("network"), max_length=80, blank=True, help_text=_("Of the host's libvirt. Leave it empty for none.")
    )
    vcpus = models.PositiveIntegerField(_("vCPUs"), default=1, validators=_POSITIVE)
    memory_mib = models.PositiveIntegerField(_("memory"), default=1024, validators=_POSITIVE, help_text=_("MiB"))
    disk_gib = models.PositiveIntegerField(_("disk"), default=10, validators=_POSITIVE, help_text=_("GiB"))
    most_vcpus = models.PositiveIntegerField(_("most vCPUs"), null=True, blank=True)
    most_memory_mib = models.PositiveIntegerField(_("most memory"), null=True, blank=True, help_text=_("MiB"))
    most_disk_gib = models.PositiveIntegerField(_("largest disk"), null=True, blank=True, help_text=_("GiB"))
    domain_type = models.CharField(
        _("acceleration"),
        max_length=8,
        blank=True,
        choices=[("kvm", "KVM"), ("qemu", _("none: QEMU emulates the processor"))],
        help_text=_("Leave it empty for KVM where the host offers it."),
    )
    machine_type = models.CharField(
        _("machine type"), max_length=8, choices=_choices(names.CHIPSETS), default="q35", blank=True
    )
    disk_bus = models.CharField(_("disk bus"), max_length=8, choices=_choices(tuple(names.PREFIXES)), default="virtio")
    network_card = models.CharField(
        _("network card"), max_length=8, choices=_choices(names.NETWORK_CARDS), default="virtio"
    )
    video = models.CharField(_("video model"), max_length=8, choices=_choices(names.VIDEO_MODELS), default="virtio")
    display = models.CharField(_("display"), max_length=8, choices=_choices(names.DISPLAYS), default="vnc")

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name = _("template")
        verbose_name_plural = _("templates")

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse what no machine can be, and defaults above the limits, with words that the admin form shows."""
        wrong: dict[str, str] = {}
        if self.disk_bus == "ide" and self.machine_type != "pc":
            wrong["disk_bus"] = gettext("Only the machine type “pc” has IDE.")
        for size in SIZES:
            most = getattr(self, f"most_{size}")
            usual = getattr(self, size)
            if most is not None and usual is not None and usual > most:
                wrong[f"most_{size}"] = gettext("It is less than what machines get by default.")
        if wrong:
            raise ValidationError(wrong)


SIZES = ("vcpus", "memory_mib", "disk_gib")


class RequestStatus(models.TextChoices):
    """What became of a request."""

    OPEN = "open", _("open")
    GRANTED = "granted", _("granted")
    DECLINED = "declined", _("declined")
    WITHDRAWN = "withdrawn", _("withdrawn")


class MachineRequest(models.Model):
    """Somebody asks for a machine, for themselves or for a project of theirs.

    open -> granted | declined, by an owner of the project or an administrator; for oneself by an administrator
    open -> withdrawn, by who asked
    Moves only by compare-and-swap (`making.requests`). Granting makes the machine's row in the same transaction, so
    that there is never one without the other. What was changed when it was granted is kept in `asked`.
    """

    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="machine_requests", verbose_name=_("asked by")
    )
    project = models.ForeignKey(
        Project, models.CASCADE, null=True, blank=True, related_name="machine_requests", verbose_name=_("project")
    )
    template = models.ForeignKey(
        MachineTemplate, models.SET_NULL, null=True, blank=True, related_name="requests", verbose_name=_("template")
    )
    """Empty where only a size was asked for: whoever grants it chooses one."""

    name = models.CharField(
        _("name"), max_length=63, validators=[RegexValidator(rf"^{MACHINE_NAME}\Z", message=NAME_FORM)]
    )
    vcpus = models.PositiveIntegerField(_("vCPUs"), validators=_POSITIVE)
    memory_mib = models.PositiveIntegerField(_("memory"), validators=_POSITIVE, help_text=_("MiB"))
    disk_gib = models.PositiveIntegerField(_("disk"), validators=_POSITIVE, help_text=_("GiB"))
    reason = models.CharField(_("reason"), max_length=LONGEST_REASON, blank=True)
    asked = models.JSONField(_("asked before it was changed"), default=dict, editable=False)
    """What was asked of each thing that was granted differently."""
    status = models.CharField(_("status"), max_length=9, choices=RequestStatus.choices, default=RequestStatus.OPEN)
    created_at = models.DateTimeField(_("asked"), default=timezone.now, editable=False)
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("answered by"),
    )
    answered_at = models.DateTimeField(_("answered"), null=True, blank=True)
    answer = models.CharField(_("answer"), max_length=LONGEST_ANSWER, blank=True)
    machine = models.ForeignKey(
        Machine, models.SET_NULL, null=True, blank=True, related_name="requests", verbose_name=_("machine")
    )

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = _("request for a machine")
        verbose_name_plural = _("requests for machines")
        indexes: ClassVar = [
            models.Index(fields=["asked_by", "-id"], name="request_by_asker"),
            models.Index(fields=["project"], condition=Q(status="open"), name="open_request_by_project"),
        ]

    def __str__(self) -> str:
        return f"{self.asked_by}: {self.name}"

    def get_absolute_url(self) -> str:
        """Return its page."""
        return reverse("making:request", args=[self.pk])

    @classmethod
    def words_of(cls, name: str) -> tuple[str, str]:
        """Return what a field is called, and its unit."""
        found = cls._meta.get_field(name)
        return str(getattr(found, "verbose_name", name)), str(getattr(found, "help_text", ""))

    @property
    def whose(self) -> str:
        """The name of the project or person that is to own the machine."""
        return str(self.project) if self.project_id else self.asked_by.get_username()
