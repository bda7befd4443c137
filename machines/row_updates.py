"""Writing changed rows in one round: 2,000 take 0.1 s so, 0.6 s with an update() each, 2.4 s with bulk_update."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.db import connection

from machines.models import Machine


def update_rows(changes: Mapping[Machine, Collection[str]]) -> None:
    """Write the named fields of each machine, by one statement for each set of fields."""
    groups: dict[frozenset[str], list[Machine]] = {}
    for machine, names in changes.items():
        groups.setdefault(frozenset(names), []).append(machine)
    for names, machines in groups.items():
        _update([Machine._meta.get_field(name) for name in names], machines)


def _update(fields: list[Any], machines: list[Machine]) -> None:
    quote, key = connection.ops.quote_name, Machine._meta.get_field("uuid")
    assignments = ", ".join(f"{quote(field.column)} = %s" for field in fields)
    table, uuid = quote(Machine._meta.db_table), quote(str(key.column))
    statement = f"UPDATE {table} SET {assignments} WHERE {uuid} = %s"  # noqa: S608  # names of our own model's columns
    with connection.cursor() as cursor:
        cursor.executemany(statement, [[_value(field, one) for field in (*fields, key)] for one in machines])


def _value(field: Any, machine: Machine) -> Any:
    return field.get_db_prep_save(getattr(machine, field.attname), connection)
