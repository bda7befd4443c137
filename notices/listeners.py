"""What is heard of the apps below, and who is told of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.dispatch import receiver
from django.urls import reverse
from django.utils import timezone

from assist.models import EventKind
from assist.signals import moved
from hypervisor.states import State
from lifecycle.models import Operation, Status
from lifecycle.signals import operation_ended
from machines.access import Right, people_who_see, rights_of_holders
from machines.models import Grant, Machine
from machines.signals import handed, machine_changed, shared
from making.models import MachineRequest, RequestStatus
from making.signals import request_moved
from notices.telling import tell
from people.roles import HELPDESK_GROUP
from sharing.models import Ask, AskStatus
from sharing.signals import ask_moved, departed

FRESH = timedelta(minutes=10)
"""A machine that crashed longer ago and changes is no news: those concerned were told."""
_FAILED = {Status.FAILED, Status.INTERRUPTED}


@receiver(operation_ended)
def on_operation_ended(operation: Operation, **_: Any) -> None:
    """Tell who asked for it, and the machine's owner when that is somebody else."""
    kind = "operation_failed" if operation.status in _FAILED else "operation_finished"
    owner, asker = operation.machine.owner_id, operation.requested_by
    facts = {"operation": operation.kind, "message": operation.message}
    about: dict[str, Any] = {
        "key": f"operation:{operation.pk}",
        "machine": operation.machine,
        "url": operation.get_absolute_url(),
    }
    status = str(operation.status)
    if asker:
        tell(kind, [asker.pk], parameters={"how": status, **facts}, **about)
        if owner and owner != asker.pk:
            by = {"how": f"{status}_by", "by": asker.get_username()}
            tell(kind, [owner], parameters={**by, **facts}, **about)


@receiver(machine_changed)
def on_machine_changed(machine: Machine, **_: Any) -> None:
    """Tell its owner, and who else operates it, once for each crash. Costs no query while it has not crashed."""
    if machine.state != State.CRASHED or timezone.now() - machine.state_since > FRESH:
        return
    rights = rights_of_holders([(user, machine.uuid) for user in people_who_see(machine)])
    tell(
        "crashed",
        [user for (user, _machine), right in rights.items() if right >= Right.OPERATE],
        key=f"crashed:{machine.uuid}:{machine.state_since.isoformat()}",
        machine=machine,
        url=machine.get_absolute_url(),
        parameters={"how": "crashed"},
    )


@receiver(shared)
def on_shared(grant: Grant, user_ids: Collection[int], **_: Any) -> None:
    """Tell whom it is for, but for the machine's owner, who needs none, and who asked for it: they get an answer."""
    if Ask.objects.filter(grant=grant).exists():
        return
    tell(
        "shared",
        [user for user in user_ids if user != grant.machine.owner_id],
        key=f"grant:{grant.pk}",
        machine=grant.machine,
        url=grant.machine.get_absolute_url(),
        parameters={"how": "granted", "role": grant.role},
    )


@receiver(ask_moved)
def on_ask_moved(ask: Ask, user_ids: Collection[int], **_: Any) -> None:
    """Tell the owners, or administrators, that somebody asks, and who asked what they answered."""
    facts = {"how": ask.status, "role": ask.role}
    if ask.resource:
        room = {"whose": ask.whose, "resource": ask.resource, "wanted": ask.wanted_words}
        facts = {"how": f"room_{ask.status}", **room}
    about: dict[str, Any] = {"machine": ask.machine, "parameters": facts}
    if ask.status == AskStatus.OPEN:
        about["parameters"]["by"] = ask.asked_by.get_username()
        key = f"ask:{ask.pk}:{ask.created_at.isoformat()}"
        tell("right_asked", user_ids, key=key, url=ask.get_absolute_url(), **about)
    elif ask.answered_by and ask.status != AskStatus.WITHDRAWN:
        about["parameters"]["by"] = ask.answered_by.get_username()
        url = ask.machine.get_absolute_url()
        tell("right_answered", [ask.asked_by_id], key=f"ask:{ask.pk}:answered", url=url, **about)


@receiver(request_moved)
def on_request_moved(row: MachineRequest, user_ids: Collection[int], **_: Any) -> None:
    """Tell who may grant it that somebody asks for a machine, and who asked what they answered."""
    facts = {"name": row.name, "whose": row.whose, "message": row.answer}
    url = row.get_absolute_url()
    if row.status == RequestStatus.OPEN:
        how = {"how": "open_project" if row.project_id else "open", "by": row.asked_by.get_username()}
        tell("machine_asked", user_ids, key=f"request:{row.pk}", url=url, parameters=facts | how)
    elif row.answered_by and row.status != RequestStatus.WITHDRAWN and row.answered_by != row.asked_by:
        how = {"how": "changed" if row.asked else row.status, "by": row.answered_by.get_username()}
        key = f"request:{row.pk}:answered"
        tell("machine_answered", [row.asked_by_id], key=key, url=url, parameters=facts | how)


@receiver(handed)
def on_handed(machine: Machine, **_: Any) -> None:
    """Tell its new owner."""
    if machine.owner_id:
        tell(
            "shared",
            [machine.owner_id],
            key=f"handed:{machine.uuid}:{timezone.now().isoformat()}",
            machine=machine,
            url=machine.get_absolute_url(),
            parameters={"how": "handed"},
        )


@receiver(departed)
def on_departed(
    key: str, how: str, user_id: int, name: str, machine: Machine | None, facts: dict[str, Any], **_: Any
) -> None:
    """Tell administrators what the portal by itself made of the machines of somebody who left."""
    administrators = User.objects.filter(is_active=True, is_superuser=True).values_list("pk", flat=True)
    url = machine.get_absolute_url() if machine else ""
    if machine is None and User.objects.filter(pk=user_id).exists():
        url = reverse("admin:auth_user_change", args=[user_id])
    parameters = {"how": how, "by": name, **facts}
    tell("departed", set(administrators), key=key, machine=machine, url=url, parameters=parameters)


@receiver(moved)
def on_assist(event: str, assist_id: int, machine: UUID, by: str, **_: Any) -> None:
    """Tell the helpdesk that somebody asks for help."""
    if event == EventKind.ASKED:
        helpers = User.objects.filter(is_active=True, groups__name=HELPDESK_GROUP).values_list("pk", flat=True)
        url = reverse("assist:assist", args=[assist_id])
        on_help_asked(set(helpers), machine=machine, by=by, key=f"assist:{assist_id}", url=url)


def on_help_asked(user_ids: Collection[int], *, machine: UUID, by: str, key: str, url: str) -> None:
    """Tell these people that somebody asks for help with a machine; who does not see it is shown nothing.

    Args:
        user_ids: whom.
        machine: which.
        by: the name of who asks.
        key: names the ask, as `assist:17`: it is told once.
        url: where it is looked at.
    """
    for found in Machine.objects.filter(pk=machine):
        tell("help_asked", user_ids, key=key, machine=found, url=url, parameters={"how": "asked", "by": by})
