"""Notices, what people chose to be told of, and when each was last written to."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from machines.models import Machine
from notices.kinds import KINDS, sentence


class Notice(models.Model):
    """One thing that one person is told.

    unread -> read, in the page; to be mailed -> mailed, by compare-and-swap (`notices.mailing`). A notice goes with its
    machine's row. `key` names what happened: told twice, it is one notice.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notices", verbose_name=_("user"))
    key = models.CharField(max_length=160)
    kind = models.CharField(_("kind"), max_length=32)
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)
    machine = models.ForeignKey(
        Machine, models.CASCADE, null=True, blank=True, related_name="notices", verbose_name=_("machine")
    )
    url = models.CharField(max_length=200, blank=True)
    """Where it leads, a path of the portal."""
    in_page = models.BooleanField(default=True)
    by_mail = models.BooleanField(default=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, db_index=True)
    read_at = models.DateTimeField(_("read"), null=True, blank=True)
    mailed_at = models.DateTimeField(_("mailed"), null=True, blank=True)
    """When its mail began to be sent."""

    class Meta:
        ordering: ClassVar = ["-pk"]
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "key"], name="one_notice_of_each_thing")]
        indexes: ClassVar = [
            models.Index(fields=["user", "-id"], name="notices_of_a_user"),
            models.Index(fields=["user"], condition=Q(read_at=None, in_page=True), name="notices_unread"),
            models.Index(fields=["created_at"], condition=Q(mailed_at=None, by_mail=True), name="notices_to_mail"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.user_id}"

    @property
    def text(self) -> str:
        """What happened, in the language that is active."""
        return sentence(self.kind, self.parameters, self.machine.name if self.machine else "")

    @property
    def level(self) -> str:
        """How grave it is: a word of `static/js/toasts.js`."""
        return KINDS[self.kind].level if self.kind in KINDS else "info"

    @property
    def is_own(self) -> bool:
        """Whether an operation ended that its reader asked for: the page where they asked tells of that by itself."""
        return "operation" in self.parameters and "by" not in self.parameters


class NoticeChoice(models.Model):
    """What one person chose for one kind; who chose nothing has what the table of kinds says."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="notice_choices", verbose_name=_("user")
    )
    kind = models.CharField(_("kind"), max_length=32)
    page = models.BooleanField(_("in the page"))
    mail = models.BooleanField(_("by mail"))

    class Meta:
        verbose_name = _("choice of notices")
        verbose_name_plural = _("choices of notices")
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "kind"], name="one_choice_for_each_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.user_id}"


class Mailbox(models.Model):
    """When one person was last written to, and in which language: that in which they last read their notices."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="mailbox")
    mailed_at = models.DateTimeField(null=True)
    language = models.CharField(max_length=16, blank=True)

    def __str__(self) -> str:
        return str(self.user_id)
