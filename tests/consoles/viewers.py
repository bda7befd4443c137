"""Native viewers in bytes: a SPICE client behind HTTP CONNECT, and a VNC client that speaks VeNCrypt."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import ssl
import struct
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from redis import Redis

from consoles.proxy import redis_names
from consoles.proxy.doorstep import ViewerServer
from consoles.proxy.viewer_tickets import TICKET_SECONDS, target_of, ticket_of
from people.logins import login_digest
from tests.consoles.peers import SESSION_KEY, receive_exactly

MAIN, DISPLAY, INPUTS, CURSOR, PLAYBACK, RECORD, SMARTCARD, USBREDIR, WEBDAV = 1, 2, 3, 4, 5, 6, 8, 9, 11
Address = tuple[str, int]


@dataclass(frozen=True)
class Issued:
    """What a .vv file holds, and the session that it opens."""

    secret: str
    session: str
    machine: uuid.UUID

    @property
    def target(self) -> str:
        return target_of(self.machine)


def issue(
    redis: Redis, protocol: str, *, mode: str = "control", seconds: float = TICKET_SECONDS, **more: Any
) -> Issued:
    """Write ticket and lease as the portal does."""
    issued = Issued(secrets.token_urlsafe(32), str(uuid.uuid4()), uuid.uuid4())
    claim = {
        "session": issued.session,
        "machine": str(issued.machine),
        "uri": "test:///default",
        "protocol": protocol,
        "client": "viewer",
        "mode": mode,
        "login": login_digest(f"session:{SESSION_KEY}"),
        "by_token": False,
        "user": 1,
    } | more
    redis.set(redis_names.lease_key(issued.session), claim["mode"], ex=redis_names.LEASE_SECONDS)
    redis.set(redis_names.ticket_key(ticket_of(issued.secret)), json.dumps(claim), px=int(seconds * 1000))
    return issued


@contextmanager
def serving(server: ViewerServer) -> Iterator[Address]:
    """Serve at a door of this process."""
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_address
    finally:
        server.shutdown()
        server.server_close()


def make_certificate(directory: Path, name: str = "localhost") -> tuple[Path, Path]:
    """Make a certificate that signs itself, and its key."""
    chain, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(chain)),
        ],
        check=True,
        capture_output=True,
    )
    return chain, key


def trusting(chain: Path) -> ssl.SSLContext:
    """What a client verifies the server of `make_certificate` with."""
    return ssl.create_default_context(cafile=chain)


def basic(secret: str, user: str = "ticket") -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


def ask(address: Address, head: str, *, tls: ssl.SSLContext | None = None) -> tuple[socket.socket, int]:
    """Send a request's head; return the connection and the status of the answer."""
    client = socket.create_connection(address, timeout=5)
    if tls:
        client = tls.wrap_socket(client, server_hostname="localhost")
    client.sendall(head.encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        if not (more := client.recv(1)):
            raise ConnectionError(f"closed after {answer!r}")
        answer += more
    return client, int(answer.split()[1])


def connect(
    address: Address, issued: Issued, *, secret: str | None = None, target: str = "", tls: ssl.SSLContext | None = None
) -> tuple[socket.socket, int]:
    """Ask CONNECT as spice-gtk does."""
    target = target or issued.target
    lines = [
        f"CONNECT {target} HTTP/1.0",
        f"Host: {target}",
        "Proxy-Connection: keep-alive",
        f"Proxy-Authorization: {basic(issued.secret if secret is None else secret)}",
    ]
    return ask(address, "".join(f"{line}\r\n" for line in [*lines, ""]), tls=tls)


def link(channel: int, number: int = 0, session: int = 0) -> bytes:
    """The first message of a SPICE client on each connection."""
    return struct.pack("<4sIIIIBBIII", b"REDQ", 2, 2, 18, session, channel, number, 0, 0, 18)


def open_channel(address: Address, issued: Issued, channel: int, number: int = 0, **options: Any) -> socket.socket:
    """Connect and say which channel it is for."""
    client, status = connect(address, issued, **options)
    assert status == 200
    client.sendall(link(channel, number))
    return client


def link_error(client: socket.socket) -> int:
    """Read the error of the proxy's answer to a link message."""
    magic, _major, _minor, size = struct.unpack("<4sIII", receive_exactly(client, 16))
    assert (magic, size) == (b"REDQ", 178)
    (error,) = struct.unpack_from("<I", receive_exactly(client, size))
    return error


def closed(client: socket.socket) -> bool:
    """Say whether the other side ends this connection within 5 s; what it says before is not looked at."""
    client.settimeout(5)
    try:
        while client.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


class Refused(Exception):
    """The VNC server refused the password, with these words."""


def open_vnc(
    address: Address, secret: str, *, tls: ssl.SSLContext | None = None, user: str = "ticket"
) -> socket.socket:
    """Shake hands as gtk-vnc does, up to before ClientInit; without `tls` by TLS that has no certificate.

    Raises:
        Refused: the password was.
    """
    client = socket.create_connection(address, timeout=5)
    kind = struct.pack(">I", 262 if tls else 259)
    for expected, answer in (
        (b"RFB 003.008\n", b"RFB 003.008\n"),
        (b"\x01\x13", b"\x13"),
        (b"\x00\x02", b"\x00\x02"),
        (b"\x00\x01" + kind, kind),
        (b"\x01", b""),
    ):
        assert receive_exactly(client, len(expected)) == expected
        client.sendall(answer)
    client = (tls or _anonymous()).wrap_socket(client, server_hostname="localhost")
    client.sendall(struct.pack(">II", len(user), len(secret)) + user.encode() + secret.encode())
    (failed,) = struct.unpack(">I", receive_exactly(client, 4))
    if failed:
        (size,) = struct.unpack(">I", receive_exactly(client, 4))
        raise Refused(receive_exactly(client, size).decode())
    return client


def _anonymous() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ADH+AESGCM:@SECLEVEL=0")
    return context
