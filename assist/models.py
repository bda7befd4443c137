"""Rows of help: each assist, what happened in it, and what was written to each other."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from machines.models import Machine, Visit


class State(models.TextChoices):
    """Where an assist is on its way."""

    WAITING = "waiting", _("waiting")
    TAKEN = "taken", _("taken")
    ACTIVE = "active", _("active")
    ENDED = "ended", _("ended")
    DECLINED = "declined", _("declined")
    EXPIRED = "expired", _("expired")
    WITHDRAWN = "withdrawn", _("withdrawn")


OPEN = (State.WAITING, State.TAKEN, State.ACTIVE)


class Kind(models.TextChoices):
    """How an assist began."""

    ASKED = "asked", _("asked for")
    OFFERED = "offered", _("offered")
    BREAK_GLASS = "break_glass", _("without consent")


class Assist(models.Model):
    """Help with one machine, from the asking to the end.

    waiting -> taken, by a helper; taken -> waiting, when that helper gives it back
    taken -> active, when the user consents, or when the helper joins where the policy is only to notify
    taken -> declined, when the user says no
    waiting | taken -> withdrawn, by who asked or offered | expired, when it led to nothing in time
    active -> ended, by either side, by its limit, or because a right it stands on is gone
    An offer begins as taken; broken glass begins as active, and only its helper or an administrator ends it early.
    Moves only by compare-and-swap (`assist.moves`), so of two helpers who take it one wins.
    """

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="assists", verbose_name=_("machine"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="assists", verbose_name=_("user")
    )
    """Who is helped: who asked, or the machine's owner."""
    helper = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="assists_given", verbose_name=_("helper")
    )
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    state = models.CharField(_("state"), max_length=10, choices=State.choices)
    note = models.TextField(_("note"), blank=True)
    """What its user, or the helper who offers, says; the reason of who broke the glass."""
    control = models.BooleanField(_("with control"), default=False)
    """Whether who broke the glass may operate the machine too, not only look."""
    facts = models.JSONField(default=dict)
    """What the portal knew of the machine when it began (`assist.snapshots`)."""
    picture = models.BinaryField(null=True, editable=False)
    """Its screen at that time, as WebP."""
    has_picture = models.BooleanField(default=False, editable=False)
    picture_wanted = models.BooleanField(default=False, editable=False)
    """The picture is still to be taken, which may be for some seconds after it began."""
    created_at = models.DateTimeField(_("began"), default=timezone.now, db_index=True)
    taken_at = models.DateTimeField(_("taken"), null=True)
    active_at = models.DateTimeField(_("active since"), null=True)
    until = models.DateTimeField(_("until"), null=True)
    """When it ends by itself."""
    finished_at = models.DateTimeField(_("finished"), null=True)
    visit = models.ForeignKey(Visit, models.SET_NULL, null=True, editable=False, related_name="+")
    """The helper's right to the screen, while it is active."""
    mail_due = models.BooleanField(default=False, editable=False)
    """The owner is still to be told by mail."""
    version = models.PositiveBigIntegerField(default=1, editable=False)

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = _("assist")
        verbose_name_plural = _("assists")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["machine"],
                condition=Q(state__in=OPEN) & ~Q(kind=Kind.BREAK_GLASS),
                name="one_open_assist_for_each_machine",
            ),
            models.UniqueConstraint(
                fields=["machine", "helper"],
                condition=Q(state__in=OPEN, kind=Kind.BREAK_GLASS),
                name="one_broken_glass_for_each_helper",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["state"], condition=Q(state__in=OPEN), name="assist_open")]

    def __str__(self) -> str:
        return f"{self.machine} {self.user} {self.state}"

    def get_absolute_url(self) -> str:
        """Return its page."""
        return reverse("assist:assist", args=[self.pk])

    @property
    def is_open(self) -> bool:
        """Whether it is not over yet."""
        return self.state in OPEN


class EventKind(models.TextChoices):
    """What happens in an assist."""

    ASKED = "asked", _("asked for help")
    OFFERED = "offered", _("offered help")
    BROKE_GLASS = "broke_glass", _("broke the glass")
    TAKEN = "taken", _("took it")
    RELEASED = "released", _("gave it back")
    ACCEPTED = "accepted", _("consented")
    DECLINED = "declined", _("said no")
    WITHDRAWN = "withdrawn", _("withdrew it")
    JOINED = "joined", _("joined")
    ENDED = "ended", _("ended it")
    EXPIRED = "expired", _("it expired")
    RIGHT_GONE = "right_gone", _("a right was taken away")
    LIMIT = "limit", _("its time was up")
    MAILED = "mailed", _("the owner was told by mail")


class AssistEvent(models.Model):
    """One thing that happened in an assist. Never changed."""

    assist = models.ForeignKey(Assist, models.CASCADE, related_name="events", verbose_name=_("assist"))
    kind = models.CharField(_("what"), max_length=12, choices=EventKind.choices)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("by"))
    """None: the portal itself."""
    at = models.DateTimeField(_("when"), default=timezone.now)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["pk"]
        verbose_name = _("event")
        verbose_name_plural = _("events")

    def __str__(self) -> str:
        return f"{self.kind} {self.assist_id}"


class ChatMessage(models.Model):
    """One message of the chat of an assist: plain text, kept with it."""

    assist = models.ForeignKey(Assist, models.CASCADE, related_name="messages", verbose_name=_("assist"))
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("by"))
    text = models.TextField(_("text"))
    at = models.DateTimeField(_("when"), default=timezone.now)

    class Meta:
        ordering: ClassVar = ["pk"]
        verbose_name = _("message")
        verbose_name_plural = _("messages")

    def __str__(self) -> str:
        return f"{self.by}: {self.text[:40]}"
