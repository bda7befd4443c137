"""The one reader of the environment. Plain Python: the Django-free console proxy reads it too."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ROOT = Path(__file__).resolve().parent.parent


class BadEnvironment(ValueError):
    """A variable is missing or cannot be understood; the message says which and what to write."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Every variable kvmportal reads, checked. docs/settings.md describes each for operators."""

    secret_key: str
    """Empty where none is set: the console proxy needs none, Django's settings refuse to start without."""
    debug: bool
    database_url: str
    redis_url: str
    portal_url: str
    console_public_url: str
    console_listen: str
    console_origins: tuple[str, ...]
    allowed_hosts: tuple[str, ...]
    static_root: Path
    time_zone: str
    log_level: str
    idle_after: int
    """Seconds of next to no vCPU time after which a running machine is called idle."""
    shutdown_limit: int
    """Seconds a guest has to shut down or reboot; past them the wait has failed, and one shutting down is dying."""
    saved_files_pool: str
    """The libvirt storage pool, on each host, of machines saved to a named file."""
    saved_files_dir: str
    """Where a host that has no such pool gets it."""

    @property
    def secure(self) -> bool:
        """True where people reach the portal by https, so that cookies may be limited to it."""
        return self.portal_url.startswith("https://")


def read(environ: Mapping[str, str]) -> Environment:
    """Read and check every variable.

    Raises:
        BadEnvironment: naming the variable and what it should be.
    """
    portal_url = _origin("PORTAL_URL", environ.get("PORTAL_URL") or "http://localhost:8000")
    parts = urlsplit(portal_url)
    console_default = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}/console"
    database_default = f"sqlite:///{ROOT / 'var' / 'kvmportal.sqlite3'}"
    return Environment(
        secret_key=_secret(environ),
        debug=_flag(environ, "DEBUG"),
        database_url=_url(environ, "DATABASE_URL", database_default, ("sqlite", "postgres", "postgresql")),
        redis_url=_url(environ, "REDIS_URL", "redis://127.0.0.1:6379/0", ("redis", "rediss", "unix")),
        portal_url=portal_url,
        console_public_url=_url(environ, "CONSOLE_PUBLIC_URL", console_default, ("ws", "wss")),
        console_listen=_listen(environ, "CONSOLE_LISTEN", "127.0.0.1:6080"),
        console_origins=tuple(_origin("CONSOLE_ORIGINS", word) for word in _words(environ, "CONSOLE_ORIGINS"))
        or (portal_url,),
        allowed_hosts=_hosts(environ, "ALLOWED_HOSTS") or (parts.hostname or "localhost",),
        static_root=Path(environ.get("STATIC_ROOT") or ROOT / "var" / "static"),
        time_zone=_time_zone(environ, "TIME_ZONE", "UTC"),
        log_level=_log_level(environ, "LOG_LEVEL", "INFO"),
        idle_after=_seconds(environ, "IDLE_AFTER", 300),
        shutdown_limit=_seconds(environ, "SHUTDOWN_LIMIT", 120),
        saved_files_pool=_name(environ, "SAVED_FILES_POOL", "kvmportal-saved"),
        saved_files_dir=_absolute(environ, "SAVED_FILES_DIR", "/var/lib/libvirt/kvmportal-saved"),
    )


@cache
def environment() -> Environment:
    """Return this process's environment, read once."""
    return read(os.environ)


def _secret(environ: Mapping[str, str]) -> str:
    if key := environ.get("SECRET_KEY"):
        return _long_enough("SECRET_KEY", key)
    if not (path := environ.get("SECRET_KEY_FILE")):
        return ""
    try:
        return _long_enough("SECRET_KEY_FILE", Path(path).read_text().strip())
    except (OSError, UnicodeDecodeError) as error:
        raise BadEnvironment(f"SECRET_KEY_FILE names {path}, which cannot be read: {error}.") from error


def _long_enough(name: str, key: str) -> str:
    if len(key) < 32:
        raise BadEnvironment(f"{name} holds fewer than 32 characters; write at least 32 random ones.")
    return key


def _flag(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, "").lower()
    if value in {"", "0", "false", "no", "off"}:
        return False
    if value in {"1", "true", "yes", "on"}:
        return True
    raise BadEnvironment(f"{name} is {value!r}; write 1 or 0.")


def _seconds(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name) or str(default)
    if not (value.isascii() and value.isdigit()) or int(value) < 1:
        raise BadEnvironment(f"{name} is {value!r}; write a whole number of seconds, at least 1.")
    return int(value)


def _name(environ: Mapping[str, str], name: str, default: str) -> str:
    value = environ.get(name) or default
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        raise BadEnvironment(f"{name} is {value!r}; write at most 64 letters, digits, dots, dashes and underscores.")
    return value


def _absolute(environ: Mapping[str, str], name: str, default: str) -> str:
    value = environ.get(name) or default
    if not value.startswith("/"):
        raise BadEnvironment(f"{name} is {value!r}; write a path that begins with /.")
    return value


def _words(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in environ.get(name, "").split(",") if word.strip())


def _hosts(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    words = _words(environ, name)
    if wrong := [word for word in words if "/" in word]:
        raise BadEnvironment(f"{name} holds {wrong[0]!r}; write host names only, separated by commas.")
    return words


def _url(environ: Mapping[str, str], name: str, default: str, schemes: tuple[str, ...]) -> str:
    """Read a URL. It may hold a password, so no refusal repeats it."""
    value = (environ.get(name) or default).rstrip("/")
    scheme, separator, rest = value.partition("://")
    if scheme not in schemes or not separator or not rest:
        raise BadEnvironment(f"{name} cannot be used; write a URL that begins with {' or '.join(schemes)}://.")
    return value


def _origin(name: str, value: str) -> str:
    """Read a scheme, a host and perhaps a port, as browsers send it in the header Origin."""
    parts = urlsplit(value.rstrip("/"))
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.path
        or parts.query
        or not _port_fits(parts)
    ):
        raise BadEnvironment(f"{name} holds {value!r}; write http:// or https://, a host name and perhaps a port.")
    return f"{parts.scheme}://{parts.netloc}"


def _listen(environ: Mapping[str, str], name: str, default: str) -> str:
    value = environ.get(name) or default
    parts = urlsplit(f"tcp://{value}")
    fits = len(value) > len("unix:") if value.startswith("unix:") else parts.hostname and _port_fits(parts, needed=True)
    if not fits:
        raise BadEnvironment(f"{name} is {value!r}; write host:port, or unix: and the path of a socket.")
    return value


def _port_fits(parts: SplitResult, *, needed: bool = False) -> bool:
    try:
        return parts.port is not None or not needed
    except ValueError:
        return False


def _time_zone(environ: Mapping[str, str], name: str, default: str) -> str:
    value = environ.get(name) or default
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadEnvironment(f"{name} is {value!r}; write a name such as Europe/Berlin or UTC.") from error
    return value


def _log_level(environ: Mapping[str, str], name: str, default: str) -> str:
    value = (environ.get(name) or default).upper()
    if value not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
        raise BadEnvironment(f"{name} is {value!r}; write DEBUG, INFO, WARNING, ERROR or CRITICAL.")
    return value
