"""Has the database itself refuse to change or remove what is sealed, by triggers. Made after each migration.

An entry may be sealed once, and nothing else of it may change; what is sealed may go only when a checkpoint covers it;
batches and checkpoints never change, and checkpoints never go. Whoever may change triggers can take them away: then
`manage.py verifyaudit` says so, and still finds what was done.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from audit.models import Batch, Checkpoint, Entry

REFUSAL = "the audit trail is only appended to"

_ENTRIES, _BATCHES, _POINTS = (model._meta.db_table for model in (Entry, Batch, Checkpoint))
_SAID = [field.column for field in Entry._meta.local_concrete_fields if field.column != "batch"]


def _covered(column: str) -> str:
    return f"EXISTS (SELECT 1 FROM {_POINTS} WHERE upto >= OLD.{column})"  # noqa: S608  # names of our own


_WRONG = {
    "audit_entry_update": (
        "UPDATE",
        _ENTRIES,
        "NOT (OLD.batch IS NULL AND NEW.batch IS NOT NULL AND {})".format(
            " AND ".join(f'OLD."{column}" IS NOT DISTINCT FROM NEW."{column}"' for column in _SAID)
        ),
    ),
    "audit_entry_delete": ("DELETE", _ENTRIES, f"OLD.batch IS NOT NULL AND NOT {_covered('batch')}"),
    "audit_batch_update": ("UPDATE", _BATCHES, "TRUE"),
    "audit_batch_delete": ("DELETE", _BATCHES, f"NOT {_covered('number')}"),
    "audit_checkpoint_update": ("UPDATE", _POINTS, "TRUE"),
    "audit_checkpoint_delete": ("DELETE", _POINTS, "TRUE"),
}
"""Each trigger: before what, on which table, and what it refuses."""


def install(database: BaseDatabaseWrapper) -> None:
    """Make the triggers that are missing, once their tables are there."""
    gone = missing(database) if _POINTS in database.introspection.table_names() else []
    if not gone:
        return
    with database.cursor() as cursor:
        if database.vendor == "postgresql":
            cursor.execute(_POSTGRES_FUNCTION)
        for name in gone:
            cursor.execute(_sql(database, name))


def remove(database: BaseDatabaseWrapper) -> None:
    """Take the triggers away: for tests that tamper, and for tables that are emptied after them."""
    with database.cursor() as cursor:
        for name, (_act, table, _wrong) in _WRONG.items():
            on = f" ON {table}" if database.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on}")


def missing(database: BaseDatabaseWrapper) -> list[str]:
    """Return the names of triggers that are not there, or are switched off."""
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    if database.vendor == "postgresql":
        query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
    with database.cursor() as cursor:
        cursor.execute(query)
        present: set[Any] = {name for (name,) in cursor.fetchall()}
    return [name for name in _WRONG if name not in present]


_POSTGRES_FUNCTION = f"""
CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation';
END $$
"""


def _sql(database: BaseDatabaseWrapper, name: str) -> str:
    act, table, wrong = _WRONG[name]
    if database.vendor == "postgresql":
        if "EXISTS" in wrong:
            return _postgres_with_query(name, act, table, wrong)
        return (
            f"CREATE OR REPLACE TRIGGER {name} BEFORE {act} ON {table} FOR EACH ROW WHEN ({wrong}) "
            "EXECUTE FUNCTION audit_refuse()"
        )
    wrong = wrong.replace("IS NOT DISTINCT FROM", "IS")
    return (
        f"CREATE TRIGGER {name} BEFORE {act} ON {table} FOR EACH ROW WHEN {wrong} "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )


def _postgres_with_query(name: str, act: str, table: str, wrong: str) -> str:
    """Return a trigger whose condition looks into a table, which PostgreSQL allows in a function only."""
    return f"""
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {wrong} THEN
        RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE OR REPLACE TRIGGER {name} BEFORE {act} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()
"""
