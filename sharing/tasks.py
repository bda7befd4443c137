"""The Celery task of sharing: beat's look for users who were disabled and whose machines nobody has seen to yet."""

from __future__ import annotations

import logging

from celery import shared_task

log = logging.getLogger(__name__)


@shared_task(name="sharing.see_off", ignore_result=True)
def see_off() -> None:
    """Do with the machines of disabled users what the policy says, each user by themselves. Mostly there are none."""
    from sharing import seeing_off

    for user_id in seeing_off.due():
        try:
            seeing_off.look_after(user_id)
        except Exception:  # whatever is wrong with one must not keep the others from it; the next look tries again
            log.exception("The machines of user %s, who is disabled, could not be seen to", user_id)
