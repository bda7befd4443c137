"""Tells owners by mail that somebody looked at their machine without their consent."""

from __future__ import annotations

import logging
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from assist.models import Assist, AssistEvent, EventKind

logger = logging.getLogger(__name__)


def send_due() -> None:
    """Send what is due; what cannot be sent now is tried again in the next round."""
    rows = Assist.objects.filter(mail_due=True).select_related("machine__owner", "helper")
    for assist in rows.defer("picture", "facts"):
        try:
            address = _send(assist)
        except (SMTPException, OSError) as error:
            logger.warning("an owner could not be told by mail, trying again: %s", error)
            return
        Assist.objects.filter(pk=assist.pk).update(mail_due=False)
        if address:
            AssistEvent.objects.create(assist=assist, kind=EventKind.MAILED, detail={"to": address})


def _send(assist: Assist) -> str:
    """Send one mail; return where to, empty when its owner has no address."""
    owner = assist.machine.owner
    if owner is None or not owner.email:
        return ""
    subject = _("%(helper)s looked at %(machine)s without asking") % {
        "helper": assist.helper.get_username() if assist.helper else "",
        "machine": assist.machine.name,
    }
    context = {"assist": assist, "owner": owner, "url": f"{settings.PORTAL_URL}{assist.get_absolute_url()}"}
    send_mail(subject, render_to_string("assist/broke_glass.txt", context), None, [owner.email])
    return owner.email
