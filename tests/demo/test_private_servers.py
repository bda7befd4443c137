"""Private servers and their guests leave nothing behind, also when their owner is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from demo.libvirtd import PrivateLibvirtd
from demo.servers import PostgresServer, RedisServer
from kvmportal.environment import ROOT

OWNER = """
import sys, tempfile, time
from pathlib import Path
from demo import guest
from demo.libvirtd import PrivateLibvirtd
from demo.servers import PostgresServer, RedisServer
from tests.guest import Guest

directory = Path(sys.argv[1])
image = guest.build(Path(sys.argv[2]))
libvirtd = PrivateLibvirtd(directory / "l", temporary=True)
libvirtd.start()
made = Guest.define(libvirtd, "kvmportal-test-orphan", image)
made.virsh("start")
RedisServer(directory / "r", temporary=True).start()
PostgresServer(directory / "p", temporary=True).start()
print("ready", flush=True)
time.sleep(60)
"""


def processes_that_name(words: str) -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if words in line:
            found.append(line)
    return found


@pytest.mark.guest
def test_nothing_is_left_when_the_owner_is_killed(short_directory: Path, guest_image) -> None:
    cache = guest_image.kernel.parent.parent
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, short_directory, cache], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout.readline() == "ready\n"
    assert processes_that_name(f"{short_directory}/l")
    owner.send_signal(signal.SIGKILL)
    owner.communicate()

    until = time.monotonic() + 15
    while (
        left := [*short_directory.iterdir(), *processes_that_name(str(short_directory))]
    ) and time.monotonic() < until:
        time.sleep(0.05)
    assert left == []
    assert str(short_directory) not in Path("/proc/self/mounts").read_text()
    assert not processes_that_name("guest=kvmportal-test-orphan,")


def test_redis_comes_back_empty_on_the_same_port(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", temporary=True) as server, Redis.from_url(server.url) as client:
        client.set("a", "1")
        server.end()
        assert not server.answers()
        server.start()
        assert client.get("a") is None
    assert not (tmp_path / "redis").exists()


def test_redis_asks_for_its_password(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", temporary=True) as server:
        answer = subprocess.run(
            ["redis-cli", "-p", str(server.port), "ping"], capture_output=True, text=True, check=False
        )
    assert "NOAUTH" in answer.stdout + answer.stderr


def test_postgres_keeps_its_rows_over_a_restart(short_directory: Path) -> None:
    with PostgresServer(short_directory / "pg", temporary=True) as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept (word text)")
        server.end()
        server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_too_long_a_path_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="too long a path"):
        PrivateLibvirtd(Path("/tmp") / ("x" * 90))
