"""The audit of consoles: one row for each console session."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from consoles.proxy.endings import Ending
from machines.access import Right
from machines.models import Machine

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Protocol(models.TextChoices):
    """What a console speaks."""

    VNC = "vnc", "VNC"
    SPICE = "spice", "SPICE"
    SERIAL = "serial", _("serial")
    PICTURES = "pictures", _("pictures")
    """A stream of screenshots for who may look on where a second client would throw the first one out."""


class Client(models.TextChoices):
    """What its user looks with."""

    PAGE = "page", _("browser")
    VIEWER = "viewer", "virt-viewer"
    SCRIPT = "script", _("script")


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
    Ending.BAD_SPICE: _("malformed data from the client: not SPICE, or a channel that it may not open"),
    Ending.LOGIN_ENDED: _("its user logged out"),
    Ending.USER_DISABLED: _("its user may no longer sign in"),
    Ending.REVOKED: _("the right was taken away"),
    Ending.NO_DISPLAY: _("the machine had no display then"),
    Ending.DISPLAY_CLOSED: _("the machine closed its display"),
    Ending.SILENT: _("the browser was gone"),
    Ending.LAPSED: _("the portal did not renew it"),
    Ending.ENDED_BY_ADMIN: _("ended by an administrator"),
    Ending.IDLE: _("nothing was done at it for too long"),
    Ending.LIMIT: _("it was open for as long as one may be"),
    Ending.REPLACED: _("the screen was opened elsewhere"),
    Ending.HELD: _("another program held the serial console"),
    Ending.UNRECORDED: _("it could not be recorded"),
    Ending.TAPE_FULL: _("its recording was full, and went on in the next one"),
    Ending.UNREPLAYABLE: _("it is recorded, and its client asked for what a recording cannot show"),
    Ending.FULL: _("the console proxy had no room"),
    Ending.HOST_UNREACHABLE: _("the host did not answer"),
    Ending.UNCHECKED: _("Redis was away for too long"),
    Ending.FAILED: _("the console proxy failed"),
    Ending.UNUSED: _("never opened"),
    Ending.LOST: _("the console proxy was gone"),
}


def end_choices() -> list[tuple[str, StrOrPromise]]:
    """Return the reasons for the audit's rows; a function, so that a new one needs no migration."""
    return [(ending.value, words) for ending, words in END_REASONS.items()]


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
    client = models.CharField(_("client"), max_length=8, choices=Client.choices, default=Client.PAGE)
    mode = models.CharField(_("mode"), max_length=8, choices=Mode.choices)
    """What it may do now: control changes hands while it is open."""
    wanted_mode = models.CharField(
        _("asked for"), max_length=8, choices=Mode.choices, default=Mode.VIEW, editable=False
    )
    """What was asked for: who only wants to look is not handed control."""
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("control lent by"),
    )
    """Who handed it control, and may take it back at any time. For a user without the right control is lent: it ends
    with the lender's right."""
    asking_since = models.DateTimeField(_("asks for control since"), null=True, editable=False)
    recorded = models.BooleanField(_("recorded"), default=False, editable=False)
    login = models.CharField(max_length=80, blank=True)
    """What it lives on (`people.logins.login_of`). Emptied when it ends: an audit row keeps no session key."""
    address = models.GenericIPAddressField(_("from"), null=True)
    asked_at = models.DateTimeField(_("asked"), auto_now_add=True, db_index=True)
    opened_at = models.DateTimeField(_("opened"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True, db_index=True)
    end_reason = models.CharField(_("why it ended"), max_length=32, blank=True, choices=end_choices)
    bytes_to_client = models.PositiveBigIntegerField(_("bytes to the browser"), default=0)
    bytes_from_client = models.PositiveBigIntegerField(_("bytes from the browser"), default=0)

    class Meta:
        ordering: ClassVar = ["-asked_at"]
        verbose_name = _("console session")
        verbose_name_plural = _("console sessions")

    def __str__(self) -> str:
        return f"{self.user} at {self.machine} ({self.mode})"


class EventKind(models.TextChoices):
    """What happens in a session beside opening and closing."""

    MODE = "mode", _("mode changed")
    ASKED = "asked", _("asked for control")
    GRANTED = "granted", _("control granted")
    REFUSED = "refused", _("control refused")
    TAKEN = "taken", _("control taken")
    TYPED = "typed", _("text typed")
    KEPT = "kept", _("kept open")
    WARNED = "warned", _("warned of its end")
    RECORDED = "recorded", _("recorded")
    WATCHED = "watched", _("recording watched")


class ConsoleEvent(models.Model):
    """One thing that happened in a session, for the audit. Never holds what was typed, only how much."""

    session = models.ForeignKey(ConsoleSession, models.CASCADE, related_name="events", verbose_name=_("session"))
    at = models.DateTimeField(_("at"), default=timezone.now)
    kind = models.CharField(_("what"), max_length=8, choices=EventKind.choices)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("by"))
    detail = models.JSONField(_("detail"), default=dict, blank=True)

    class Meta:
        ordering: ClassVar = ["at", "pk"]
        verbose_name = _("console event")
        verbose_name_plural = _("console events")

    def __str__(self) -> str:
        return f"{self.session}: {self.kind}"


class ConsolePolicy(models.Model):
    """What holds for the consoles of one machine, or of a group: its members, and the machines granted to it."""

    machine = models.OneToOneField(
        Machine, models.CASCADE, null=True, blank=True, related_name="console_policy", verbose_name=_("machine")
    )
    group = models.OneToOneField(
        Group, models.CASCADE, null=True, blank=True, related_name="console_policy", verbose_name=_("group")
    )
    record = models.BooleanField(_("record consoles"), default=False)
    thumbnails = models.BooleanField(_("show small pictures of the screen"), default=True)

    class Meta:
        verbose_name = _("console policy")
        verbose_name_plural = _("console policies")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(machine__isnull=False, group__isnull=True)
                | models.Q(machine__isnull=True, group__isnull=False),
                name="policy_of_a_machine_or_a_group",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.machine or self.group}"

    def clean(self) -> None:
        """Refuse a policy for nothing or for both, with words that the admin form shows."""
        if bool(self.machine_id) == bool(self.group_id):
            raise ValidationError(_("Choose either a machine or a group."))


class Recording(models.Model):
    """What one session showed, in a file that the proxy writes and retention deletes."""

    session = models.OneToOneField(ConsoleSession, models.CASCADE, related_name="recording", verbose_name=_("session"))
    file = models.CharField(_("file"), max_length=255, unique=True)
    started_at = models.DateTimeField(_("started"), default=timezone.now, db_index=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    bytes = models.PositiveBigIntegerField(_("size"), default=0)
    seconds = models.FloatField(_("length in seconds"), default=0)

    class Meta:
        ordering: ClassVar = ["-started_at"]
        verbose_name = _("recording")
        verbose_name_plural = _("recordings")

    def __str__(self) -> str:
        return f"{self.session}"
