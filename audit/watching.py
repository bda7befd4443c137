"""Rows of other apps whose making, changes and removal the trail keeps: `watch` is one line for each model.

The entry is written by the save or delete itself, so in its transaction. Changes made by `QuerySet.update` or
`bulk_create` send no signal in Django; who makes such calls `trail.record`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.db.models.signals import post_save, pre_delete, pre_save

from audit import trail
from machines.models import Machine

MachineOf = Callable[[Any], Machine | None]


def watch(
    model: type[models.Model],
    thing: str,
    fields: Sequence[str],
    *,
    secrets: Sequence[str] = (),
    machine: MachineOf = lambda _row: None,
) -> None:
    """Keep in the trail what happens to a model's rows, as `<thing>.made`, `.changed` and `.removed`.

    Args:
        model: whose rows.
        thing: the first part of the kinds; `audit.kinds` has their words (`add_kinds`).
        fields: what an entry says of a row; a change of another field is nothing for the trail.
        secrets: fields of which only that they changed is kept.
        machine: the machine that a row is about.
    """
    watched = _Watched(thing, tuple(fields), tuple(secrets), machine)
    for signal, receiver in (
        (pre_save, watched.before_save),
        (post_save, watched.after_save),
        (pre_delete, watched.before_delete),
    ):
        signal.connect(receiver, sender=model, weak=False, dispatch_uid=f"audit {thing} {receiver.__name__}")


class _Watched:
    """The receivers for one model."""

    def __init__(self, thing: str, fields: tuple[str, ...], secrets: tuple[str, ...], machine: MachineOf) -> None:
        self._thing, self._fields, self._secrets, self._machine = thing, fields, secrets, machine

    def before_save(self, instance: models.Model, update_fields: Iterable[str] | None = None, **_: Any) -> None:
        """Remember the row as it is stored, unless this save leaves alone what is watched."""
        instance._before_for_trail = None  # type: ignore[attr-defined]
        if not instance._state.adding and self._touched(update_fields):
            rows = type(instance)._base_manager.filter(pk=instance.pk).only(*self._fields, *self._secrets)
            stored = rows.first()
            instance._before_for_trail = stored  # type: ignore[attr-defined]

    def after_save(
        self, instance: models.Model, created: bool, update_fields: Iterable[str] | None = None, **_: Any
    ) -> None:
        """Write that the row is new or, where something watched is different now, how it changed."""
        stored: models.Model | None = getattr(instance, "_before_for_trail", None)
        if created:
            self._record("made", instance, after=self._facts(instance))
        elif stored is not None:
            changed = self._changed(stored, instance, update_fields)
            if changed:
                before, after = self._facts(stored), self._facts(instance)
                self._record("changed", instance, before=before, after=after, changed=changed)

    def before_delete(self, instance: models.Model, **_: Any) -> None:
        """Write that the row is gone, and what it said: while what it points at is still there to be named."""
        self._record("removed", instance, before=self._facts(instance))

    def _touched(self, update_fields: Iterable[str] | None) -> bool:
        return update_fields is None or bool({*self._fields, *self._secrets} & set(update_fields))

    def _changed(self, stored: models.Model, instance: models.Model, update_fields: Iterable[str] | None) -> list[str]:
        written = None if update_fields is None else set(update_fields)
        names = [name for name in (*self._fields, *self._secrets) if written is None or name in written]
        return [name for name in names if _raw(stored, name) != _raw(instance, name)]

    def _facts(self, row: models.Model) -> dict[str, Any]:
        return {name: _fact(row, name) for name in self._fields}

    def _record(self, what: str, row: models.Model, **detail: Any) -> None:
        trail.record(f"{self._thing}.{what}", self._machine(row), id=row.pk, **detail)


def _raw(row: models.Model, name: str) -> Any:
    return getattr(row, row._meta.get_field(name).attname)  # type: ignore[union-attr]


def _fact(row: models.Model, name: str) -> Any:
    """Return what an entry says of a field: of another row its number and name."""
    if not row._meta.get_field(name).is_relation:
        value = getattr(row, name)
        return value.isoformat() if isinstance(value, datetime) else value
    number = _raw(row, name)
    if number is None:
        return None
    try:
        return named(getattr(row, name))
    except ObjectDoesNotExist:  # deleted in the same go
        return {"id": number, "name": ""}


def named(row: models.Model) -> dict[str, Any]:
    """Return what an entry says of another row: its number and its name."""
    return {"id": row.pk, "name": str(row)}
