"""Retention: old batches go, a signed checkpoint stays, and the chain goes on from it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from audit import guards, keys, retention, sealing, tasks, trail
from audit.models import Batch, Checkpoint, Entry
from tests.audit.conftest import Sql, Verify
from tests.audit.test_chain import found


@pytest.fixture
def years(db: None, monkeypatch, settings) -> None:
    """A batch of two entries that is three years old, one that is a year old, and one of today."""
    settings.AUDIT_DAYS = 730
    now = timezone.now()
    for days in (1100, 365, 0):
        trail.record("login.ok", id=days)
        trail.record("login.out", id=days)
        with monkeypatch.context() as patched:
            patched.setattr(sealing.timezone, "now", lambda days=days: now - timedelta(days=days))
            sealing.seal_all()


def test_only_what_is_older_than_the_setting_goes(years: None, verify: Verify) -> None:
    assert retention.remove_old() == 2
    assert list(Batch.objects.order_by("number").values_list("number", flat=True)) == [2, 3]
    assert [entry.detail.get("id") for entry in Entry.objects.filter(kind="login.ok").order_by("pk")] == [365, 0]
    assert verify() == []
    assert retention.remove_old() == 0


def test_checkpoint_says_what_was_removed_and_who_signed_it(years: None) -> None:
    last = Batch.objects.get(number=1)
    retention.remove_old()
    point = Checkpoint.objects.get()
    assert (point.upto, point.hash, point.count) == (1, last.hash, 2)
    assert point.key == keys.public_half(keys.signing_key())
    assert Entry.objects.get(kind="audit.trimmed").detail == {"upto": 1, "entries": 2}


def test_chain_goes_on_from_a_checkpoint_when_nothing_else_is_left(years: None, verify: Verify, settings) -> None:
    settings.AUDIT_DAYS = 0
    tasks.remove_old()
    assert not Batch.objects.exists()
    sealing.seal_all()  # what the removal itself left
    batch = Batch.objects.get()
    assert (batch.number, batch.previous) == (4, Checkpoint.objects.get().hash)
    assert verify() == []


def test_several_checkpoints_are_one_chain(years: None, verify: Verify, settings) -> None:
    retention.remove_old()
    settings.AUDIT_DAYS = 0
    sealing.seal_all()
    retention.remove_old()
    sealing.seal_all()
    assert Checkpoint.objects.count() == 2
    assert verify() == []


def test_row_altered_after_a_removal_is_still_found(years: None, verify: Verify, sql: Sql) -> None:
    guards.install(connection)
    retention.remove_old()
    guards.remove(connection)
    victim = Entry.objects.get(batch=2, kind="login.ok").pk
    sql("UPDATE audit_entry SET who = 'forger' WHERE id = %s", victim)
    assert found(verify) == [f"Batch 2, entry {victim}: altered."]


def test_removal_that_only_looks_like_retention_is_found(years: None, verify: Verify, sql: Sql) -> None:
    """Somebody with the database but without the key writes a checkpoint of their own, to remove what they did."""
    sql(
        "INSERT INTO audit_checkpoint (upto, hash, sealed_at, count, made_at, key, signature) "
        "SELECT number, hash, sealed_at, count, sealed_at, key, signature FROM audit_batch WHERE number = 2"
    )
    sql("DELETE FROM audit_entry WHERE batch <= 2")
    sql("DELETE FROM audit_batch WHERE number <= 2")
    assert found(verify) == ["Checkpoint up to batch 2: not signed by a key of this portal."]


def test_altered_checkpoint_is_found(years: None, verify: Verify, sql: Sql) -> None:
    retention.remove_old()
    sql("UPDATE audit_checkpoint SET count = 1")
    assert found(verify) == ["Checkpoint up to batch 1: not signed by a key of this portal."]


def test_what_a_checkpoint_says_is_gone_may_not_come_back(years: None, verify: Verify, sql: Sql) -> None:
    retention.remove_old()
    sql(
        "INSERT INTO audit_entry (id, at, kind, who, via, machine_name, detail, batch) "
        "SELECT 9000000001, at, kind, who, via, machine_name, detail, 1 "
        "FROM audit_entry WHERE batch = 3 AND kind = 'login.ok'"
    )
    assert found(verify) == ["Entry 9000000001: there, though a checkpoint says that it was removed."]


def test_checkpoints_are_never_changed_or_removed(years: None) -> None:
    retention.remove_old()
    for change in (lambda: Checkpoint.objects.all().delete(), lambda: Checkpoint.objects.update(count=0)):
        with pytest.raises(IntegrityError, match=guards.REFUSAL), transaction.atomic():
            change()


def test_a_long_past_is_removed_by_small_steps(years: None, verify: Verify, settings, monkeypatch) -> None:
    monkeypatch.setattr(retention, "BATCHES", 1)
    settings.AUDIT_DAYS = 0
    assert retention.remove_old() == 6
    assert list(Checkpoint.objects.order_by("upto").values_list("upto", flat=True)) == [1, 2, 3]
    assert verify() == []
