"""The console proxy's process with doors for virt-viewer: where it listens, what it logs, what stops its start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from consoles.proxy.doorstep import ViewerServer
from consoles.proxy.visits import Desk
from demo.servers import RedisServer, free_port
from kvmportal.environment import ROOT
from tests.consoles import viewers
from tests.consoles.peers import eventually, receive_exactly
from tests.consoles.viewers import connect, issue


@contextmanager
def running(redis: RedisServer, log: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m consoles.proxy` with these settings."""
    environment = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": redis.url,
        "CONSOLE_LISTEN": f"127.0.0.1:{free_port()}",
        "LOG_LEVEL": "DEBUG",
    }
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "consoles.proxy"], cwd=ROOT, env=environment | settings, stdout=file, stderr=file
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_doors_are_where_the_settings_say_and_no_secret_is_logged(
    redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> None:
    chain, key = viewers.make_certificate(tmp_path)
    spice, vnc, log = free_port(), free_port(), tmp_path / "log"
    settings = {
        "CONSOLE_SPICE_PUBLIC": f"https://localhost:{spice}",
        "CONSOLE_SPICE_LISTEN": f"127.0.0.1:{spice}",
        "CONSOLE_VNC_PUBLIC": f"localhost:{vnc}",
        "CONSOLE_VNC_LISTEN": f"127.0.0.1:{vnc}",
        "CONSOLE_VIEWER_CERT": str(chain),
        "CONSOLE_VIEWER_KEY": str(key),
    }
    with running(redis_server, log, **settings) as process:
        eventually(lambda: answers(spice) and answers(vnc), within=30)
        of_spice, of_vnc = issue(redis, "spice"), issue(redis, "vnc")
        tls = viewers.trusting(chain)
        for secret, expected in ((of_spice.secret, 200), ("A" * 43, 403), (of_vnc.secret, 403)):
            client, status = connect(("127.0.0.1", spice), of_spice, secret=secret, tls=tls)
            assert status == expected
            client.close()
        with socket.create_connection(("127.0.0.1", vnc), timeout=5) as client:
            assert receive_exactly(client, 12) == b"RFB 003.008\n"
        for secret in (of_vnc.secret, of_spice.secret):  # test:///default has no such machine
            try:
                viewers.open_vnc(("127.0.0.1", vnc), secret, tls=tls)
            except viewers.Refused:
                continue
            raise AssertionError("it was let in")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
        words = log.read_text()
    assert "virt-viewer is served SPICE" in words
    assert "virt-viewer is served VNC" in words
    assert not any(secret in words for secret in (of_spice.secret, of_vnc.secret, viewers.basic(of_spice.secret)[6:]))


def test_proxy_without_public_addresses_has_no_doors(redis_server: RedisServer, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    with running(redis_server, log, CONSOLE_SPICE_LISTEN=f"127.0.0.1:{port}") as _process:
        eventually(lambda: "consoles are served" in log.read_text(), within=30)
        assert not answers(port)


def test_certificate_that_cannot_be_used_is_said_at_the_start(redis_server: RedisServer, tmp_path: Path) -> None:
    chain, key = viewers.make_certificate(tmp_path)
    key.write_text("no key")
    settings = {
        "CONSOLE_VNC_PUBLIC": "localhost:5999",
        "CONSOLE_VIEWER_CERT": str(chain),
        "CONSOLE_VIEWER_KEY": str(key),
    }
    with running(redis_server, tmp_path / "log", **settings) as process:
        assert process.wait(timeout=30) == 1
    assert "CONSOLE_VIEWER_CERT and CONSOLE_VIEWER_KEY cannot be used" in (tmp_path / "log").read_text()


def test_a_door_that_does_not_say_whom_it_lets_in_cannot_be_made(desk: Desk) -> None:
    class Silent(ViewerServer):
        pass

    with pytest.raises(TypeError, match="welcome"):
        Silent("127.0.0.1:0", desk)
