"""Notices of maintenance, as administrators lay them down."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Level(models.TextChoices):
    """What a maintenance means for people."""

    NOTICE = "notice", _("a notice only")
    CLOSED = "closed", _("no new operations and consoles, but for administrators")


class MaintenanceQuerySet(models.QuerySet["Maintenance"]):
    """Rows of maintenance."""

    def not_over(self, at: datetime) -> Self:
        """Return what is in force at this time, or will be."""
        return self.filter(Q(ends_at=None) | Q(ends_at__gt=at))

    def in_force(self, at: datetime) -> Self:
        """Return what is in force at this time."""
        return self.not_over(at).filter(begins_at__lte=at)


class Maintenance(models.Model):
    """A notice to everybody, from one time to another.

    to come -> in force -> over, by the clock alone: whoever asks compares the times, nothing has to switch it.
    """

    text = models.CharField(_("text"), max_length=300, help_text=_("What people read on every page."))
    level = models.CharField(_("level"), max_length=6, choices=Level.choices, default=Level.NOTICE)
    begins_at = models.DateTimeField(_("from"), default=timezone.now)
    ends_at = models.DateTimeField(
        _("until"), null=True, blank=True, help_text=_("Empty: until somebody sets an end or deletes it.")
    )

    objects = MaintenanceQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["begins_at", "pk"]
        verbose_name = _("maintenance")
        verbose_name_plural = _("maintenance")

    def __str__(self) -> str:
        return self.text

    @property
    def closes(self) -> bool:
        """Whether it lets nothing new begin while it is in force."""
        return self.level == Level.CLOSED

    def is_in_force(self, at: datetime) -> bool:
        """Return whether it holds at this time."""
        return self.begins_at <= at and (self.ends_at is None or self.ends_at > at)

    def clean(self) -> None:
        """Refuse an end before the beginning, with words that the admin form shows."""
        if self.begins_at and self.ends_at and self.ends_at <= self.begins_at:
            raise ValidationError({"ends_at": _("It ends before it begins.")})
