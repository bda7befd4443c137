"""What other apps may listen to, and the receivers that notice changed rights and ended logins.

Nothing is told in `pre_save`: it comes before the save's transaction, so that who looks then finds the old row. Changes
made with `QuerySet.update` send no signal in Django; sockets find those by their own look once a minute.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import F
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save
from django.dispatch import Signal, receiver

from machines import push
from machines.access import people_who_see
from machines.models import Grant, Host, Machine, ShareLink, Visit
from maintenance.models import Maintenance
from people.models import ApiToken, Membership, Project

machine_changed = Signal()
"""A machine's mirrored state changed. `machine`: the Machine; `rebooted`: whether its guest rebooted. After commit."""
rights_changed = Signal()
"""`user_ids`: set of the users whose right over some machine may have changed. After commit."""
login_ended = Signal()
"""`login`: a login session or API token is gone (`people.logins.login_of`). After commit."""
user_disabled = Signal()
"""`user_id`: this user may no longer sign in. After commit."""
shared = Signal()
"""A grant was made. `grant`: the row; `user_ids`: set of the users whom it is for. After commit."""
handed = Signal()
"""A machine that there was has a new owner. `machine`: the Machine. After commit."""


@receiver(pre_save, sender=Machine)
def _remember_owner(instance: Machine, update_fields: Iterable[str] | None = None, **_: Any) -> None:
    """Keep who owned it, so that after the save both the old and the new owner can be told."""
    before = (instance.owner_id, instance.project_id)
    if update_fields is None or {"owner", "project"} & set(update_fields):
        stored = Machine.objects.filter(pk=instance.pk).values_list("owner", "project").first()
        before = stored or (None, None)
    instance._owner_before = before  # type: ignore[attr-defined]


@receiver(post_save, sender=Machine)
def _tell_owners(instance: Machine, created: bool, **_: Any) -> None:
    before, now = instance._owner_before, (instance.owner_id, instance.project_id)  # type: ignore[attr-defined]
    if before != now:
        if not created:
            _raise_versions([instance.pk])
            transaction.on_commit(lambda: _send(handed, machine=instance))
        users = {user for user, _project in (before, now) if user}
        _tell_rights(users | _in_projects({project for _user, project in (before, now) if project}))


@receiver(pre_delete, sender=Machine)
def _tell_of_deletion(instance: Machine, **_: Any) -> None:
    _tell_rights(people_who_see(instance))


@receiver(pre_save, sender=Grant)
def _remember_holders(instance: Grant, **_: Any) -> None:
    """Keep whom it was for; they are told after the save, since `pre_save` comes before its transaction."""
    instance._held_before = _holders(instance)  # type: ignore[attr-defined]


@receiver(post_save, sender=Grant)
def _tell_holders(instance: Grant, created: bool, **_: Any) -> None:
    holders = _holders(instance)
    _tell_rights(holders | instance._held_before)  # type: ignore[attr-defined]
    push.access(instance.machine_id)
    if created:
        transaction.on_commit(lambda: _send(shared, grant=instance, user_ids=holders))


@receiver(pre_delete, sender=Grant)
def _tell_former_holders(instance: Grant, **_: Any) -> None:
    _tell_rights(_holders(instance))
    push.access(instance.machine_id)


@receiver([post_save, pre_delete], sender=ShareLink)
def _tell_link(instance: ShareLink, **_: Any) -> None:
    push.access(instance.machine_id)


@receiver([post_save, pre_delete], sender=Membership)
def _tell_member(instance: Membership, **_: Any) -> None:
    _tell_rights({instance.user_id})


@receiver(pre_delete, sender=Project)
def _tell_project(instance: Project, **_: Any) -> None:
    """Show its machines without it; its members are told as their memberships go with it."""
    _raise_versions(Machine.objects.filter(project=instance).values_list("pk", flat=True))


@receiver(post_save, sender=Project)
def _tell_project_renamed(instance: Project, created: bool, **_: Any) -> None:
    if not created:
        _raise_versions(Machine.objects.filter(project=instance).values_list("pk", flat=True))


@receiver([post_save, pre_delete], sender=Visit)
def _tell_visitor(instance: Visit, **_: Any) -> None:
    _tell_rights({instance.user_id})


@receiver(m2m_changed, sender=User.groups.through)
def _tell_membership(instance: User | Group, action: str, pk_set: set[int] | None, **_: Any) -> None:
    if action not in {"post_add", "post_remove", "pre_clear", "post_clear"}:
        return
    if isinstance(instance, User):
        _tell_rights({instance.pk})
    else:
        _tell_rights(_members([instance.pk]) if pk_set is None else pk_set)


@receiver(pre_delete, sender=Group)
def _tell_group(instance: Group, **_: Any) -> None:
    _tell_rights(_members([instance.pk]))


@receiver(post_save, sender=Host)
def _tell_host(instance: Host, created: bool, update_fields: Iterable[str] | None = None, **_: Any) -> None:
    """Show a new name of a host; the versions heal what a lost message leaves."""
    if not created and (update_fields is None or "name" in update_fields):
        Machine.objects.filter(host=instance).update(version=F("version") + 1)
        push.host(instance)


@receiver(pre_save, sender=User)
def _remember_user(instance: User, update_fields: Iterable[str] | None = None, **_: Any) -> None:
    """Keep what sign-in and rights hung on; nothing when the save does not touch it."""
    touched = update_fields is None or {"is_active", "is_superuser", "password"} & set(update_fields)
    instance._before = User.objects.filter(pk=instance.pk).first() if touched else None  # type: ignore[attr-defined]


@receiver(post_save, sender=User)
def _tell_user(instance: User, **_: Any) -> None:
    before: User | None = instance._before  # type: ignore[attr-defined]
    if before is None:
        return
    if before.is_active and not instance.is_active:
        _tell_disabled(instance.pk)
    if before.password != instance.password:
        push.check_login(instance.pk)
    if (before.is_superuser, before.is_active) != (instance.is_superuser, instance.is_active):
        _tell_rights({instance.pk})


@receiver(pre_delete, sender=User)
def _tell_deleted(instance: User, **_: Any) -> None:
    _raise_versions(Machine.objects.filter(owner=instance).values_list("pk", flat=True))
    _tell_disabled(instance.pk)


@receiver(post_delete, sender=Session)
def _tell_session_ended(instance: Session, **_: Any) -> None:
    _tell_login_ended(f"session:{instance.session_key}")


@receiver(post_delete, sender=ApiToken)
def _tell_token_revoked(instance: ApiToken, **_: Any) -> None:
    _tell_login_ended(f"token:{instance.pk}")


@receiver([post_save, post_delete], sender=Maintenance)
def _tell_maintenance(**_: Any) -> None:
    push.maintenance()


def _raise_versions(machines: Iterable[UUID]) -> None:
    """Give machines whose owner changes a new version, and send them as they are after the commit."""
    changed = list(machines)
    Machine.objects.filter(pk__in=changed).update(version=F("version") + 1)
    transaction.on_commit(partial(_push_machines, changed))


def _push_machines(uuids: list[UUID]) -> None:
    for machine in (
        Machine.objects.filter(pk__in=uuids).select_related("host", "owner", "project").defer("definition_xml")
    ):
        push.machine(machine)


def _holders(grant: Grant) -> set[int]:
    """Return the users whom this grant is for as it is stored."""
    for user, group, project in Grant.objects.filter(pk=grant.pk).values_list("user", "group", "project"):
        if user:
            return {user}
        return _members([group]) if group else _in_projects({project})
    return set()


def _in_projects(projects: Collection[int]) -> set[int]:
    """Return the members of these projects."""
    return set(Membership.objects.filter(project__in=projects).values_list("user_id", flat=True)) if projects else set()


def _members(groups: Iterable[int | None]) -> set[int]:
    return set(User.objects.filter(groups__in=groups).values_list("pk", flat=True))


def _tell_rights(user_ids: set[int]) -> None:
    if user_ids:
        push.rights(user_ids)
        push.listing(user_ids, everything=False)
        transaction.on_commit(lambda: _send(rights_changed, user_ids=set(user_ids)))


def _tell_disabled(user_id: int) -> None:
    push.user_disabled(user_id)
    transaction.on_commit(lambda: _send(user_disabled, user_id=user_id))


def _tell_login_ended(login: str) -> None:
    push.login_ended(login)
    transaction.on_commit(lambda: _send(login_ended, login=login))


def _send(signal: Signal, **news: Any) -> None:
    """Send to every listener; one that fails is logged by Django and keeps no other from hearing it."""
    signal.send_robust(sender=None, **news)
