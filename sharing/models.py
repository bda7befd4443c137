"""Asks: somebody wants a right over a machine and asks its owners, or room in a quota and asks administrators.

Departures: what became of the machines of somebody who may not sign in any more.
"""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from machines.models import Grant, Machine
from machines.quotas import RESOURCE_WORDS, Resource, amount_words
from people.models import Role

LONGEST_NOTE = 300


class AskStatus(models.TextChoices):
    """What became of an ask."""

    OPEN = "open", _("open")
    GRANTED = "granted", _("granted")
    DECLINED = "declined", _("declined")
    WITHDRAWN = "withdrawn", _("withdrawn")


class Ask(models.Model):
    """Somebody asks the owners of a machine for a right over it, or administrators for room for it in its quota.

    open -> granted | declined, by an owner or administrator; for a quota by an administrator
    open -> withdrawn, by who asked
    An ask for a right has a `role`; one for room has a `resource`, whose limit is to become `wanted` (memory and
    disk in bytes).
    Moves only by compare-and-swap (`sharing.asks`), so that two owners who answer at once do not both do it.
    """

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="asks", verbose_name=_("machine"))
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="asks", verbose_name=_("asked by")
    )
    role = models.CharField(_("role"), max_length=8, choices=Role.choices, blank=True)
    resource = models.CharField(
        _("of the quota"),
        max_length=9,
        choices=[(resource.value, words) for resource, words in RESOURCE_WORDS.items()],
        blank=True,
    )
    wanted = models.PositiveBigIntegerField(_("wanted limit"), null=True, blank=True)
    whose = models.CharField(_("whose quota"), max_length=150, blank=True)
    note = models.CharField(_("note"), max_length=LONGEST_NOTE, blank=True)
    status = models.CharField(_("status"), max_length=9, choices=AskStatus.choices, default=AskStatus.OPEN)
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
    grant = models.ForeignKey(Grant, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("grant"))

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = _("ask for a right")
        verbose_name_plural = _("asks for rights")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["machine", "asked_by"],
                condition=Q(status="open", resource=""),
                name="one_open_ask_for_each_machine",
            ),
            models.UniqueConstraint(
                fields=["machine", "asked_by"],
                condition=Q(status="open", role=""),
                name="one_open_ask_for_room_for_each_machine",
            ),
            models.CheckConstraint(
                condition=Q(role="", wanted__isnull=False) & ~Q(resource="")
                | Q(resource="", wanted__isnull=True) & ~Q(role=""),
                name="ask_for_a_right_or_for_room",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.asked_by}: {self.machine} {self.role or self.resource}"

    def get_absolute_url(self) -> str:
        """Return where it is answered."""
        return reverse("sharing:asks") if self.resource else reverse("sharing:access", args=[self.machine_id])

    @property
    def wanted_words(self) -> str:
        """The limit that is wanted, with its unit; empty for a right."""
        return amount_words(Resource(self.resource), self.wanted or 0) if self.resource else ""


class Policy(models.TextChoices):
    """What is done with machines whose owner leaves: the setting DEPARTED_MACHINES."""

    KEEP = "keep", _("kept")
    PROJECT = "project", _("handed to their project")
    SAVE = "save", _("saved")


class Departure(models.Model):
    """Somebody is disabled, and what the policy made of the machines that they owned then.

    none -> open (machines are left to be saved) -> done; none -> done, where nothing is to be saved
    any -> none, when the user is active again: their next departure counts anew
    One for each user, made under the lock of the user's row together with what the policy does at once, so that it is
    done once; an open one moves by compare-and-swap on `next_at` (`sharing.seeing_off`). A user who is deleted has none
    any more: what the policy says then is done with the deletion.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="departure", verbose_name=_("user")
    )
    policy = models.CharField(_("policy"), max_length=8, choices=Policy.choices)
    """That of the time; a new one holds for who leaves then."""
    project = models.CharField(_("handed to"), max_length=80, blank=True)
    """The name that the project had; empty where nothing was handed over."""
    machines = models.PositiveIntegerField(_("machines"), default=0)
    """How many the policy concerned: those handed over, those to be saved, or those kept."""
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("by")
    )
    """Who disabled them in the administration; nobody where the portal found them disabled."""
    begun_at = models.DateTimeField(_("begun"), default=timezone.now)
    done_at = models.DateTimeField(_("done"), null=True, blank=True)
    left = models.JSONField(default=list, blank=True)
    """UUIDs of the machines that are not saved yet; once it is done, of those that could not be."""
    troubles = models.JSONField(default=list, blank=True)
    """Why those could not be, at the last try: {"machine", "name", "why"}."""
    tries = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True, db_index=True)
    """When an open one is to be looked at next."""

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = _("departure")
        verbose_name_plural = _("departures")

    def __str__(self) -> str:
        return f"{self.user}: {self.policy}"
