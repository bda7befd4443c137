"""The chain of sealed batches: whatever is done to it behind the portal's back is found, and where."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from audit import canonical, guards, keys, sealing, trail
from audit.models import Batch, Entry
from tests.audit.conftest import Sql, Verify

GUARDS_GONE = "The database does not refuse changes any more"


def found(verify: Verify, *args: str) -> list[str]:
    """What is found beside the triggers that a test had to take away."""
    return [finding for finding in verify(*args) if not finding.startswith(GUARDS_GONE)]


def test_untouched_trail_is_as_it_was_sealed(sealed: list[Entry], verify: Verify) -> None:
    trail.record("login.ok")
    assert verify() == []
    assert [(batch.number, batch.count) for batch in Batch.objects.order_by("number")] == [(1, 4), (2, 4), (3, 4)]


def test_empty_trail_is_fine(verify: Verify) -> None:
    assert verify() == []
    assert sealing.seal_next() is None


def test_every_batch_follows_on_the_one_before(sealed: list[Entry]) -> None:
    first, second, third = Batch.objects.order_by("number")
    assert first.previous == "0" * 64
    assert (second.previous, third.previous) == (first.hash, second.hash)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("who", "somebody else"),
        ("who_id", 99),
        ("kind", "host.made"),
        ("at", "2020-01-01 00:00:00+00:00"),
        ("address", "192.0.2.66"),
        ("machine_name", "other"),
        ("machine", "11111111111111111111111111111111"),
        ("via", "token"),
        ("detail", '{"id": 5, "after": {"name": "rack-x"}}'),
    ],
)
def test_altered_entry_is_found_and_named(
    sealed: list[Entry], verify: Verify, sql: Sql, column: str, value: object
) -> None:
    victim = sealed[5].pk
    sql(f"UPDATE audit_entry SET {column} = %s WHERE id = %s", value, victim)  # noqa: S608
    assert found(verify) == [f"Batch 2, entry {victim}: altered."]


def test_removed_entry_is_found_and_named(sealed: list[Entry], verify: Verify, sql: Sql) -> None:
    victim = sealed[5].pk
    sql("DELETE FROM audit_entry WHERE id = %s", victim)
    assert found(verify) == [f"Batch 2, entry {victim}: removed."]


def test_entry_inserted_into_what_is_sealed_is_found(sealed: list[Entry], verify: Verify, sql: Sql) -> None:
    sql(
        "INSERT INTO audit_entry (id, at, kind, who, via, machine_name, detail, batch) "
        "SELECT 9000000001, at, kind, 'forger', via, machine_name, detail, batch FROM audit_entry WHERE id = %s",
        sealed[5].pk,
    )
    assert found(verify) == ["Batch 2, entry 9000000001: inserted after the batch was sealed."]


def test_two_swapped_entries_are_found(sealed: list[Entry], verify: Verify, sql: Sql) -> None:
    one, other = sealed[4].pk, sealed[6].pk
    for before, after in ((one, 9000000009), (other, one), (9000000009, other)):
        sql("UPDATE audit_entry SET id = %s WHERE id = %s", after, before)
    assert found(verify) == [f"Batch 2, entry {one}: altered.", f"Batch 2, entry {other}: altered."]


def test_entries_swapped_between_batches_are_found(sealed: list[Entry], verify: Verify, sql: Sql) -> None:
    one, other = sealed[1].pk, sealed[9].pk
    sql("UPDATE audit_entry SET batch = 3 WHERE id = %s", one)
    sql("UPDATE audit_entry SET batch = 1 WHERE id = %s", other)
    assert set(found(verify)) == {
        f"Batch 1, entry {other}: inserted after the batch was sealed.",
        f"Batch 1, entry {one}: removed.",
        f"Batch 3, entry {one}: inserted after the batch was sealed.",
        f"Batch 3, entry {other}: removed.",
    }


def test_entry_taken_out_of_its_batch_is_found(sealed: list[Entry], verify: Verify, sql: Sql) -> None:
    sql("UPDATE audit_entry SET batch = NULL WHERE id = %s", sealed[5].pk)
    assert found(verify) == [f"Batch 2, entry {sealed[5].pk}: removed."]


def test_altered_entry_is_found_though_its_digest_was_altered_too(
    sealed: list[Entry], verify: Verify, sql: Sql
) -> None:
    victim, batch = sealed[5], Batch.objects.get(number=2)
    sql("UPDATE audit_entry SET who = 'forger' WHERE id = %s", victim.pk)
    before, after = canonical.digest(victim), canonical.digest(Entry.objects.get(pk=victim.pk))
    sql("UPDATE audit_batch SET leaves = %s WHERE number = 2", batch.leaves.replace(before, after))
    assert found(verify) == ["Batch 2: altered; its hash is another one."]


def test_chain_that_was_computed_anew_without_the_key_is_found(
    sealed: list[Entry], verify: Verify, sql: Sql, settings
) -> None:
    """Who may write everything in the database, and knows how it is done, still lacks the portal's key."""
    sql("UPDATE audit_entry SET who = 'forger' WHERE id = %s", sealed[9].pk)
    sql("DELETE FROM audit_batch WHERE number = 3")
    sql("UPDATE audit_entry SET batch = NULL WHERE batch = 3")
    settings.SECRET_KEY = "another secret that somebody made up for this"
    stranger = keys.public_half(keys.signing_key())
    assert sealing.seal_all() == 4
    settings.SECRET_KEY = "only for tests " * 4
    assert found(verify) == [f"Batch 3: signed by a key that is not trusted, {stranger}."]
    sql("UPDATE audit_batch SET key = %s WHERE number = 3", keys.public_half(keys.signing_key()))
    assert found(verify) == ["Batch 3: its signature is wrong."]


def test_removed_batch_is_found_with_its_entries(sealed: list[Entry], verify: Verify, sql: Sql) -> None:
    sql("DELETE FROM audit_batch WHERE number = 2")
    lost = [f"Entry {entry.pk}: of batch 2, which is missing." for entry in sealed[4:8]]
    assert found(verify) == ["Batch 2: missing; the next one there is 3.", *lost]
    sql("DELETE FROM audit_entry WHERE batch = 2")
    assert found(verify) == ["Batch 2: missing; the next one there is 3."]


def test_swapped_batches_are_found(sealed: list[Entry], verify: Verify, sql: Sql) -> None:
    for before, after in ((1, 99), (2, 1), (99, 2)):
        sql("UPDATE audit_batch SET number = %s WHERE number = %s", after, before)
        sql("UPDATE audit_entry SET batch = %s WHERE batch = %s", after, before)
    assert any("Batch 1: " in finding for finding in found(verify))
    assert any("Batch 2: " in finding for finding in found(verify))


def test_end_that_was_cut_off_is_found_by_who_knows_it(sealed: list[Entry], verify: Verify, sql: Sql) -> None:
    """The chain alone cannot know its end: the portal's log has each batch as it was sealed."""
    head = f"3:{Batch.objects.get(number=3).hash}"
    assert found(verify, "--expect", head) == []
    sql("DELETE FROM audit_entry WHERE batch = 3")
    sql("DELETE FROM audit_batch WHERE number = 3")
    assert found(verify) == []
    assert found(verify, "--expect", head) == ["Batch 3: missing; the last one there is 2."]
    trail.record("login.ok")
    sealing.seal_all()
    assert found(verify, "--expect", head) == ["Batch 3: not the one that was expected."]


def test_sealed_batch_is_logged_as_the_command_expects_it(db: None, caplog) -> None:
    trail.record("login.ok")
    with caplog.at_level("INFO", logger="audit.sealing"):
        batch = sealing.seal_next()
    assert f"{batch.number}:{batch.hash}" in caplog.text


def test_missing_guards_are_found(sealed: list[Entry], verify: Verify, sql: Sql) -> None:
    (finding,) = verify()
    assert finding.startswith(GUARDS_GONE)


def test_command_exits_with_1_and_names_the_head(sealed: list[Entry], sql: Sql, capsys) -> None:
    sql("DELETE FROM audit_entry WHERE id = %s", sealed[0].pk)
    with pytest.raises(CommandError) as failed:
        call_command("verifyaudit")
    assert failed.value.returncode == 1
    told = capsys.readouterr()
    assert f"Batch 1, entry {sealed[0].pk}: removed." in told.err
    assert f"3:{Batch.objects.get(number=3).hash}" in told.out


@pytest.mark.parametrize("nonsense", ["3", "x:y", "3:abc", f"-1:{'0' * 64}"])
def test_command_refuses_an_expectation_that_is_none(db: None, nonsense: str) -> None:
    with pytest.raises(CommandError, match="write a batch's number"):
        call_command("verifyaudit", f"--expect={nonsense}")


# Keys


def test_former_keys_are_believed_when_the_settings_name_them(sealed: list[Entry], verify: Verify, settings) -> None:
    former = keys.public_half(keys.signing_key())
    settings.SECRET_KEY = "a new secret key of this portal, long enough"
    assert len(verify()) == 3
    settings.AUDIT_TRUSTED_KEYS = (former,)
    trail.record("login.ok")
    sealing.seal_all()
    assert verify() == []
    assert Batch.objects.get(number=4).key != former


def test_key_of_a_file_signs(db: None, verify: Verify, settings, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    file = tmp_path / "audit.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    settings.AUDIT_KEY_FILE = str(file)
    trail.record("login.ok")
    assert sealing.seal_next().key == keys.public_half(key)
    assert verify() == []


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_bad_key_file_is_refused_in_words(settings, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "audit.pem"
    if content is not None:
        file.write_bytes(content)
    settings.AUDIT_KEY_FILE = str(file)
    with pytest.raises(ImproperlyConfigured, match="AUDIT_KEY_FILE"):
        keys.signing_key()


def test_secret_key_itself_is_nowhere_in_the_trail(sealed: list[Entry], settings) -> None:
    for batch in Batch.objects.all():
        assert settings.SECRET_KEY not in f"{batch.leaves}{batch.key}{batch.signature}"


# What is hashed


def test_digest_covers_everything_but_the_batch(sealed: list[Entry]) -> None:
    columns = {field.name for field in Entry._meta.local_concrete_fields} - {"batch"}
    entry = sealed[0]
    digest = canonical.digest(entry)
    entry.batch = 77
    assert canonical.digest(entry) == digest
    different = {
        "id": 12345,
        "at": sealed[1].at,
        "kind": "x",
        "who_id": 5,
        "who": "x",
        "via": "page",
        "address": "::1",
        "machine": "00000000-0000-0000-0000-000000000001",
        "machine_name": "x",
        "detail": {},
    }
    assert set(different) == columns
    for name, value in different.items():
        changed = Entry.objects.get(pk=entry.pk)
        setattr(changed, name, value)
        assert canonical.digest(changed) != digest, name


def test_digest_is_the_one_that_is_documented(db: None) -> None:
    """A fixed value: whoever changes the canonical form breaks every chain there is."""
    entry = Entry(
        pk=7, kind="login.ok", who="owner", who_id=3, via="page", address="192.0.2.1", detail={"b": 1, "a": "ü"}
    )
    entry.at = entry.at.replace(2026, 11, 26, 12, 0, 0, 5)
    assert canonical.digest(entry) == hashlib.sha256(DOCUMENTED).hexdigest()


DOCUMENTED = (
    rb'{"address":"192.0.2.1","at":"2026-11-26T12:00:00.000005+00:00","detail":{"a":"\u00fc","b":1},"id":7,'
    rb'"kind":"login.ok","machine":null,"machine_name":"","via":"page","who":"owner","who_id":3}'
)


# Guards


def refused(statement: str, *parameters: object) -> bool:
    """Whether the database refuses a statement with the words of the guards."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, parameters)
    except IntegrityError as error:
        assert guards.REFUSAL in str(error)
        return True
    return False


def test_database_refuses_every_change_of_what_is_sealed(sealed: list[Entry], verify: Verify) -> None:
    pk = sealed[0].pk
    assert refused("UPDATE audit_entry SET who = 'x' WHERE id = %s", pk)
    assert refused("UPDATE audit_entry SET batch = NULL WHERE id = %s", pk)
    assert refused("UPDATE audit_entry SET batch = 2 WHERE id = %s", pk)
    assert refused("DELETE FROM audit_entry WHERE id = %s", pk)
    assert refused("UPDATE audit_batch SET hash = 'x' WHERE number = 1")
    assert refused("DELETE FROM audit_batch WHERE number = 3")
    assert verify() == []


def test_database_refuses_to_change_what_is_not_sealed_yet(db: None) -> None:
    trail.record("login.ok")
    pk = Entry.objects.get().pk
    assert refused("UPDATE audit_entry SET who = 'x' WHERE id = %s", pk)
    assert refused("UPDATE audit_entry SET who = 'x', batch = 1 WHERE id = %s", pk)
    assert sealing.seal_next().count == 1


def test_guards_are_made_again_where_they_are_missing(db: None) -> None:
    guards.remove(connection)
    assert guards.missing(connection)
    guards.install(connection)
    guards.install(connection)
    assert not guards.missing(connection)
