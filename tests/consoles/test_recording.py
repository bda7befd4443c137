"""Recordings: what the proxy writes, what the portal keeps of it, who may see it, and how it goes."""

from __future__ import annotations

import gzip
import os
import struct
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone
from redis import Redis

from consoles import recordings, reports, tasks
from consoles.models import ConsoleEvent, ConsolePolicy, ConsoleSession, EventKind, Mode, Protocol, Recording
from consoles.policies import is_recorded
from consoles.proxy import recorder, redis_names
from consoles.proxy.journal import Journal
from consoles.proxy.redis_client import redis_of
from consoles.proxy.sessions import Registry
from consoles.proxy.visits import Desk
from machines.models import Grant, Machine
from tests.consoles.peers import ORIGIN, Proxy, TcpDisplay, closed_with, eventually, issue, open_console, served

PICTURE = b"RFB 003.008\n" + os.urandom(200_000)


def records(tape: bytes) -> list[tuple[int, bytes]]:
    """Read a tape as docs and page do: milliseconds and bytes."""
    found, position = [], 0
    while position < len(tape):
        at, count = struct.unpack_from(">II", tape, position)
        found.append((at, tape[position + 8 : position + 8 + count]))
        position += 8 + count
    return found


@pytest.fixture
def tapes(tmp_path: Path) -> Path:
    return tmp_path / "tapes"


@pytest.fixture
def recording_proxy(redis: Redis, redis_server: object, display: TcpDisplay, tapes: Path) -> Iterator[Proxy]:
    client = redis_of(redis_server.url)  # type: ignore[attr-defined]
    desk = Desk(
        redis=client,
        origins=frozenset({ORIGIN}),
        registry=Registry(),
        journal=Journal(client),
        open_display=display.open,
        make_tee=recorder.recorder(tapes),
    )
    with served(desk) as proxy:
        yield proxy


def reported(redis: Redis) -> list[dict[str, str]]:
    return [fields for _, fields in redis.xrange(redis_names.EVENTS_STREAM) if fields["event"] == "recorded"]


def test_a_tape_holds_every_byte_of_the_display_with_its_time(
    recording_proxy: Proxy, redis: Redis, display: TcpDisplay, tapes: Path
):
    issued = issue(redis, record=True)
    with open_console(recording_proxy.url, issued) as console:
        peer = display.peer()
        peer.sendall(PICTURE)
        seen = b""
        while len(seen) < len(PICTURE):
            seen += console.recv(timeout=5)
        time.sleep(0.3)
        peer.sendall(b"later")
        assert console.recv(timeout=5) == b"later"
    [began, ended] = eventually(lambda: len(reported(redis)) == 2 and reported(redis))
    assert (began["bytes"], float(began["seconds"])) == ("0", 0)
    assert float(ended["seconds"]) >= 0.3
    tape = tapes / ended["file"]
    assert tape.name == f"{issued.session}.tape.gz"
    assert tape.stat().st_size == int(ended["bytes"])
    assert tape.stat().st_mode & 0o007 == 0
    content = records(gzip.decompress(tape.read_bytes()))
    assert b"".join(part for _, part in content) == PICTURE + b"later"
    assert content[-1][0] - content[0][0] >= 300


def test_what_is_not_to_be_recorded_leaves_no_tape(
    recording_proxy: Proxy, redis: Redis, display: TcpDisplay, tapes: Path
):
    with open_console(recording_proxy.url, issue(redis)) as console:
        display.peer().sendall(b"RFB")
        console.recv(timeout=5)
    assert not tapes.exists()
    assert reported(redis) == []


def test_a_console_that_cannot_be_recorded_is_not_opened(
    recording_proxy: Proxy, redis: Redis, display: TcpDisplay, tapes: Path
):
    tapes.write_text("no directory")
    with open_console(recording_proxy.url, issue(redis, record=True)) as console:
        display.peer().sendall(PICTURE)
        code, _ = closed_with(console)
    assert code == 4420


def test_a_full_tape_ends_the_session_so_that_the_next_one_begins(
    recording_proxy: Proxy, redis: Redis, display: TcpDisplay, tapes: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recorder, "MOST_BYTES", 100_000)
    with open_console(recording_proxy.url, issue(redis, record=True)) as console:
        display.peer().sendall(PICTURE)
        assert closed_with(console)[0] == 4421
    [tape] = tapes.iterdir()
    assert records(gzip.decompress(tape.read_bytes()))


@pytest.fixture
def session(machine: Machine, owner: User) -> ConsoleSession:
    now = timezone.now()
    return ConsoleSession.objects.create(
        machine=machine, user=owner, protocol=Protocol.VNC, mode=Mode.CONTROL, opened_at=now, recorded=True
    )


@pytest.fixture
def recording(session: ConsoleSession, settings: object, tapes: Path) -> Recording:
    settings.RECORDINGS_DIR = tapes  # type: ignore[attr-defined]
    tapes.mkdir()
    (tapes / "one.tape.gz").write_bytes(gzip.compress(struct.pack(">II", 0, 3) + b"RFB"))
    return Recording.objects.create(session=session, file="one.tape.gz", ended_at=timezone.now(), bytes=30, seconds=1)


def report(session: ConsoleSession, *, size: int, seconds: float) -> None:
    fields = {"session": str(session.pk), "event": "recorded", "at": str(time.time()), "to_client": "0"}
    fields |= {"from_client": "0", "reason": "", "file": "a/../one.tape.gz", "bytes": str(size)}
    reports.write(fields | {"seconds": str(seconds)})


def test_reports_of_a_tape_become_one_row_in_any_order_and_number(session: ConsoleSession):
    report(session, size=0, seconds=0)
    assert Recording.objects.get().ended_at is None
    for _ in range(2):
        report(session, size=77, seconds=5)
    report(session, size=0, seconds=0)
    row = Recording.objects.get()
    assert (row.file, row.bytes, row.seconds) == ("one.tape.gz", 77, 5)
    assert row.ended_at


def test_a_tape_whose_proxy_died_is_settled_by_its_file(recording: Recording):
    Recording.objects.update(ended_at=None, bytes=0, seconds=0, started_at=timezone.now() - timedelta(seconds=9))
    assert recordings.settle() == 0, "its session is open"
    ConsoleSession.objects.update(ended_at=timezone.now())
    assert recordings.settle() == 1
    recording.refresh_from_db()
    assert recording.bytes == recordings.tape(recording).stat().st_size
    assert 8 < recording.seconds < 12


def test_retention_deletes_tape_and_row(recording: Recording, settings: object, tapes: Path):
    settings.RECORDINGS_DAYS = 3  # type: ignore[attr-defined]
    tasks.delete_old_recordings()
    assert Recording.objects.count() == 1
    Recording.objects.update(started_at=timezone.now() - timedelta(days=4))
    tasks.delete_old_recordings()
    assert Recording.objects.count() == 0
    assert list(tapes.iterdir()) == []
    assert ConsoleSession.objects.count() == 1, "the audit stays"


@pytest.mark.parametrize("part", ["", "tape/"])
def test_recordings_are_for_owners_and_administrators(
    recording, client_of, owner, viewer, stranger, helpdesk, admin, client, part: str
):
    url = f"/recordings/{recording.pk}/{part}"
    answers = {person: client_of(person).get(url).status_code for person in (owner, admin, viewer, helpdesk, stranger)}
    assert answers == {owner: 200, admin: 200, viewer: 403, helpdesk: 403, stranger: 404}
    assert client.get(url).status_code == 302
    assert client_of(owner).post(url).status_code == 405
    assert client_of(owner).get(f"/recordings/{recording.pk + 1}/{part}").status_code == 404


def test_that_a_recording_is_watched_is_kept(recording, client_of, admin):
    client_of(admin).get(f"/recordings/{recording.pk}/")
    event = ConsoleEvent.objects.get()
    assert (event.kind, event.by) == (EventKind.WATCHED, admin)


def test_a_tape_that_is_gone_is_said_so(recording, client_of, owner, tapes: Path):
    (tapes / "one.tape.gz").unlink()
    assert client_of(owner).get(f"/recordings/{recording.pk}/tape/").status_code == 404


def test_policies_of_machine_and_groups_decide_what_is_recorded(machine, owner, viewer):
    group = Group.objects.create(name="lab")
    assert not is_recorded(machine, owner, Protocol.VNC)
    policy = ConsolePolicy.objects.create(machine=machine, record=True)
    assert is_recorded(machine, owner, Protocol.VNC)
    policy.delete()
    ConsolePolicy.objects.create(group=group, record=True)
    assert not is_recorded(machine, viewer, Protocol.VNC)
    viewer.groups.add(group)
    assert is_recorded(machine, viewer, Protocol.VNC)
    assert not is_recorded(machine, owner, Protocol.VNC)
    Grant.objects.create(machine=machine, group=group)
    assert is_recorded(machine, owner, Protocol.VNC)


def test_the_consoles_page_shows_everybody_to_the_owner_and_others_themselves(
    machine, session, recording, client_of, owner, viewer, stranger, helpdesk
):
    url = f"/machines/{machine.uuid}/consoles/"
    ConsoleSession.objects.create(
        machine=machine, user=viewer, protocol=Protocol.VNC, mode=Mode.VIEW, opened_at=timezone.now()
    )
    page = client_of(owner).get(url).content.decode()
    assert page.count("data-console-session=") == 2
    assert f"/recordings/{recording.pk}/" in page
    page = client_of(viewer).get(url).content.decode()
    assert page.count("data-console-session=") == 1
    assert "/recordings/" not in page
    assert client_of(helpdesk).get(url).status_code == 403, "the helpdesk sees states, not screens"
    assert client_of(stranger).get(url).status_code == 404
    assert client_of(owner).get(f"/machines/{uuid.uuid4()}/consoles/").status_code == 404
