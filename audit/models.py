"""The trail's tables: what happened, sealed batches of that, and signed statements of what was removed."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

HASH = 64
"""Characters of a SHA-256 in hexadecimal."""
SIGNATURE = 128
"""Characters of an Ed25519 signature in hexadecimal."""


class Via(models.TextChoices):
    """How it reached the portal."""

    PAGE = "page", _("browser")
    TOKEN = "token", _("API token")
    PORTAL = "portal", _("the portal itself")


class Entry(models.Model):
    """One thing that happened. Written by `audit.trail` only, and only inserted.

    open (batch is null) -> sealed (batch is a number) -> removed, when a checkpoint covers its batch
    It names people and machines by number and by name, and points at no other row: what becomes of those changes
    nothing here. `audit.guards` has the database refuse every other change.
    """

    at = models.DateTimeField(_("at"), default=timezone.now, db_index=True)
    kind = models.CharField(_("what"), max_length=40)
    """A word of `audit.kinds`: what it is about, a dot, and what became of that."""
    who_id = models.BigIntegerField(_("user number"), null=True)
    who = models.CharField(_("who"), max_length=150, blank=True)
    via = models.CharField(_("how"), max_length=8, choices=Via.choices, default=Via.PORTAL)
    address = models.GenericIPAddressField(_("from"), null=True)
    machine = models.UUIDField(_("machine's UUID"), null=True)
    machine_name = models.CharField(_("machine"), max_length=255, blank=True)
    detail = models.JSONField(_("detail"), default=dict)
    batch = models.PositiveBigIntegerField(_("batch"), null=True)
    """The number of the batch that it is sealed in. Not part of what is sealed."""

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = _("entry of the trail")
        verbose_name_plural = _("audit trail")
        indexes: ClassVar = [
            models.Index(fields=["machine", "-id"], name="audit_of_machine"),
            models.Index(fields=["who", "-id"], name="audit_of_person"),
            models.Index(fields=["kind", "-id"], name="audit_of_kind"),
            models.Index(fields=["batch", "id"], name="audit_of_batch"),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.kind}"


class Batch(models.Model):
    """Some entries, sealed: their digests, and one hash over these and the batch before. Written by `audit.sealing`."""

    number = models.PositiveBigIntegerField(_("number"), primary_key=True)
    previous = models.CharField(_("hash of the one before"), max_length=HASH)
    sealed_at = models.DateTimeField(_("sealed"), db_index=True)
    count = models.PositiveIntegerField(_("entries"))
    leaves = models.TextField(_("digests"))
    """A line for each entry, in the order of their numbers: its number, a space, its digest."""
    hash = models.CharField(_("hash"), max_length=HASH)
    key = models.CharField(_("key"), max_length=HASH)
    """The public half of the key that signed the hash."""
    signature = models.CharField(_("signature"), max_length=SIGNATURE)

    class Meta:
        ordering: ClassVar = ["-number"]
        verbose_name = _("sealed batch")
        verbose_name_plural = _("sealed batches")

    def __str__(self) -> str:
        return f"{self.number}"


class Checkpoint(models.Model):
    """A signed statement that retention removed the batches up to one. The chain goes on from it. Never removed."""

    upto = models.PositiveBigIntegerField(_("up to batch"), unique=True)
    hash = models.CharField(_("hash of that batch"), max_length=HASH)
    sealed_at = models.DateTimeField(_("that batch was sealed"))
    count = models.PositiveBigIntegerField(_("entries removed"))
    made_at = models.DateTimeField(_("made"))
    key = models.CharField(_("key"), max_length=HASH)
    signature = models.CharField(_("signature"), max_length=SIGNATURE)

    class Meta:
        ordering: ClassVar = ["-upto"]
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")

    def __str__(self) -> str:
        return f"{self.upto}"
