"""The audit of consoles: one row for each console session."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from consoles.proxy.endings import Ending
from machines.access import Right
from machines.models import Machine


class Protocol(models.TextChoices):
    """What a console speaks."""

    VNC = "vnc", "VNC"


class Mode(models.TextChoices):
    """What its user may do with it."""

    CONTROL = "control", _("control")
    VIEW = "view", _("view only")

    @property
    def right(self) -> Right:
        """The right over the machine that it needs, for as long as it is open."""
        return Right.OPERATE if self is Mode.CONTROL else Right.VIEW


END_REASONS = {
    Ending.LEFT: _("closed by its user"),
    Ending.STOPPING: _("the console proxy was stopped"),
    Ending.BAD_FRAME: _("malformed data from the browser"),
    Ending.NOT_BINARY: _("malformed data from the browser"),
    Ending.TOO_BIG: _("malformed data from the browser: too big"),
    Ending.BAD_RFB: _("malformed data from the browser: not VNC"),
    Ending.LOGIN_ENDED: _("its user logged out"),
    Ending.USER_DISABLED: _("its user may no longer sign in"),
    Ending.REVOKED: _("the right was taken away"),
    Ending.NO_DISPLAY: _("the machine had no display then"),
    Ending.DISPLAY_CLOSED: _("the machine closed its display"),
    Ending.SILENT: _("the browser was gone"),
    Ending.LAPSED: _("the portal did not renew it"),
    Ending.ENDED_BY_ADMIN: _("ended by an administrator"),
    Ending.HOST_UNREACHABLE: _("the host did not answer"),
    Ending.UNCHECKED: _("Redis was away for too long"),
    Ending.FAILED: _("the console proxy failed"),
    Ending.UNUSED: _("never opened"),
    Ending.LOST: _("the console proxy was gone"),
}
_END_CHOICES = [(ending.value, words) for ending, words in END_REASONS.items()]


class ConsoleSession(models.Model):
    """One person at one machine's screen, from the tickets to the end.

    asked (opened_at is null) -> open -> ended
    asked -> ended, when no ticket of it was used in time or the right was gone before
    What the proxy reports may come late and twice; `auditor` writes it so that neither matters.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    machine = models.ForeignKey(Machine, models.CASCADE, related_name="console_sessions", verbose_name=_("machine"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="console_sessions",
        verbose_name=_("user"),
    )
    protocol = models.CharField(_("protocol"), max_length=8, choices=Protocol.choices)
    mode = models.CharField(_("mode"), max_length=8, choices=Mode.choices)
    login = models.CharField(max_length=80, blank=True)
    """What it lives on (`people.logins.login_of`). Emptied when it ends: an audit row keeps no session key."""
    address = models.GenericIPAddressField(_("from"), null=True)
    asked_at = models.DateTimeField(_("asked"), auto_now_add=True, db_index=True)
    opened_at = models.DateTimeField(_("opened"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True, db_index=True)
    end_reason = models.CharField(_("why it ended"), max_length=32, blank=True, choices=_END_CHOICES)
    bytes_to_client = models.PositiveBigIntegerField(_("bytes to the browser"), default=0)
    bytes_from_client = models.PositiveBigIntegerField(_("bytes from the browser"), default=0)

    class Meta:
        ordering: ClassVar = ["-asked_at"]
        verbose_name = _("console session")
        verbose_name_plural = _("console sessions")

    def __str__(self) -> str:
        return f"{self.user} at {self.machine} ({self.mode})"
