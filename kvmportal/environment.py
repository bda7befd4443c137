"""The one reader of the environment. Plain Python: the Django-free console proxy reads it too."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kvmportal.services import Directory, Mail, Provider

ROOT = Path(__file__).resolve().parent.parent
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


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
    console_spice_public: str
    """Where virt-viewer's SPICE connections arrive, `http(s)://host:port`; empty: no such files are made."""
    console_spice_listen: str
    console_vnc_public: str
    """Where virt-viewer's VNC connections arrive, `host:port`; empty: no such files are made."""
    console_vnc_listen: str
    console_viewer_cert: str
    """Path of the certificate chain (PEM) that both show; empty where TLS ends in front, or where there is none."""
    console_viewer_key: str
    consoles_per_proxy: int
    """How many console sessions one proxy process serves at once."""
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
    consoles_per_user: int
    """How many consoles one person may have open at once."""
    console_idle_limit: int
    """Seconds without anything typed after which a console ends, 0 for never."""
    console_limit: int
    """Seconds after which a console ends in any case, 0 for never."""
    assist_policy: str
    """How the helpdesk comes to see a screen: consent, notify or off."""
    assist_limit: int
    """Seconds after which help that goes on ends by itself."""
    assist_wait_limit: int
    """Seconds after which a request for help that led to nothing ends by itself."""
    recordings_dir: Path
    """Where console proxies write recordings and web processes read them."""
    recordings_days: int
    """After how many days a recording is deleted."""
    notices_days: int
    """After how many days a notice is deleted."""
    audit_days: int
    """After how many days an entry of the audit trail is removed."""
    audit_key_file: str
    """The path of a private key (PEM, Ed25519) that signs the trail; empty: a key that the secret key gives."""
    audit_trusted_keys: tuple[str, ...]
    """Public halves, in hexadecimal, of keys that signed it before."""
    trusted_proxies: int
    """How many reverse proxies in a row stand in front and write X-Forwarded-For."""
    login_failures_per_address: int
    """Failed logins from one address within a minute, after which it waits."""
    login_failures_per_name: int
    """Failed logins under one name within five minutes, after which that name waits."""
    mail: Mail | None
    provider: Provider | None
    directory: Directory | None
    departed_machines: str
    """What becomes of the machines of somebody who is disabled or deleted: keep, project or save."""

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
    cert, key = _certificate(environ)
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
        console_spice_public=_spice_public(environ, "CONSOLE_SPICE_PUBLIC", portal_url),
        console_spice_listen=_tcp_listen(environ, "CONSOLE_SPICE_LISTEN", "127.0.0.1:6081"),
        console_vnc_public=_vnc_public(environ, "CONSOLE_VNC_PUBLIC", portal_url, cert),
        console_vnc_listen=_tcp_listen(environ, "CONSOLE_VNC_LISTEN", "127.0.0.1:6082"),
        console_viewer_cert=cert,
        console_viewer_key=key,
        consoles_per_proxy=_count(environ, "CONSOLES_PER_PROXY", 1000),
        allowed_hosts=_hosts(environ, "ALLOWED_HOSTS") or (parts.hostname or "localhost",),
        static_root=Path(environ.get("STATIC_ROOT") or ROOT / "var" / "static"),
        time_zone=_time_zone(environ, "TIME_ZONE", "UTC"),
        log_level=_log_level(environ, "LOG_LEVEL", "INFO"),
        idle_after=_seconds(environ, "IDLE_AFTER", 300),
        shutdown_limit=_seconds(environ, "SHUTDOWN_LIMIT", 120),
        saved_files_pool=_name(environ, "SAVED_FILES_POOL", "kvmportal-saved"),
        saved_files_dir=_absolute(environ, "SAVED_FILES_DIR", "/var/lib/libvirt/kvmportal-saved"),
        consoles_per_user=_count(environ, "CONSOLES_PER_USER", 20),
        console_idle_limit=_seconds(environ, "CONSOLE_IDLE_LIMIT", 0, least=0),
        console_limit=_seconds(environ, "CONSOLE_LIMIT", 43_200, least=0),
        assist_policy=_one_of(environ, "ASSIST_POLICY", ("consent", "notify", "off")),
        assist_limit=_seconds(environ, "ASSIST_LIMIT", 7200, least=60),
        assist_wait_limit=_seconds(environ, "ASSIST_WAIT_LIMIT", 28_800, least=60),
        recordings_dir=Path(environ.get("RECORDINGS_DIR") or ROOT / "var" / "recordings"),
        recordings_days=_count(environ, "RECORDINGS_DAYS", 30),
        notices_days=_count(environ, "NOTICES_DAYS", 90),
        audit_days=_count(environ, "AUDIT_DAYS", 730),
        audit_key_file=_absolute(environ, "AUDIT_KEY_FILE", "/") if environ.get("AUDIT_KEY_FILE") else "",
        audit_trusted_keys=_public_keys(environ, "AUDIT_TRUSTED_KEYS"),
        trusted_proxies=_number(environ, "TRUSTED_PROXIES", int(parts.scheme == "https"), 0, "a whole number"),
        login_failures_per_address=_count(environ, "LOGIN_FAILURES_PER_ADDRESS", 20),
        login_failures_per_name=_count(environ, "LOGIN_FAILURES_PER_NAME", 5),
        mail=_mail(environ),
        provider=_provider(environ),
        directory=_directory(environ),
        departed_machines=_one_of(environ, "DEPARTED_MACHINES", ("keep", "project", "save")),
    )


@cache
def environment() -> Environment:
    """Return this process's environment, read once."""
    return read(os.environ)


def _secret(environ: Mapping[str, str]) -> str:
    name, key = _text_or_file(environ, "SECRET_KEY")
    return _long_enough(name, key) if key else ""


def _text_or_file(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return what a variable holds, or the file that `<name>_FILE` names, and which variable that was."""
    path = environ.get(f"{name}_FILE")
    if (text := environ.get(name)) or not path:
        return name, text or ""
    try:
        return f"{name}_FILE", Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadEnvironment(f"{name}_FILE names {path}, which cannot be read: {error}.") from error


def _long_enough(name: str, key: str) -> str:
    if len(key) < 32:
        raise BadEnvironment(f"{name} holds fewer than 32 characters; write at least 32 random ones.")
    return key


def _flag(environ: Mapping[str, str], name: str, default: str = "") -> bool:
    value = (environ.get(name) or default).lower()
    if value in {"", "0", "false", "no", "off"}:
        return False
    if value in {"1", "true", "yes", "on"}:
        return True
    raise BadEnvironment(f"{name} is {value!r}; write 1 or 0.")


def _seconds(environ: Mapping[str, str], name: str, default: int, *, least: int = 1) -> int:
    return _number(environ, name, default, least, "a whole number of seconds")


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    return _number(environ, name, default, 1, "a whole number")


def _number(environ: Mapping[str, str], name: str, default: int, least: int, what: str) -> int:
    value = environ.get(name) or str(default)
    if not (value.isascii() and value.isdigit()) or int(value) < least:
        raise BadEnvironment(f"{name} is {value!r}; write {what}, at least {least}.")
    return int(value)


def _name(environ: Mapping[str, str], name: str, default: str) -> str:
    value = environ.get(name) or default
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        raise BadEnvironment(f"{name} is {value!r}; write at most 64 letters, digits, dots, dashes and underscores.")
    return value


def _one_of(environ: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    """Read one of these words; the first is the default."""
    value = (environ.get(name) or words[0]).lower()
    if value not in words:
        raise BadEnvironment(f"{name} is {value!r}; write {', '.join(words[:-1])} or {words[-1]}.")
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


def _public_keys(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    words = _words(environ, name)
    if wrong := [word for word in words if not re.fullmatch(r"[0-9a-f]{64}", word)]:
        raise BadEnvironment(f"{name} holds {wrong[0]!r}; write keys as verifyaudit shows them, separated by commas.")
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


def _tcp_listen(environ: Mapping[str, str], name: str, default: str) -> str:
    value = _listen(environ, name, default)
    if value.startswith("unix:"):
        raise BadEnvironment(f"{name} is {value!r}; write host:port.")
    return value


def _certificate(environ: Mapping[str, str]) -> tuple[str, str]:
    """Read the paths of certificate and key: both or none. Whether they can be used is seen by who uses them."""
    names = ("CONSOLE_VIEWER_CERT", "CONSOLE_VIEWER_KEY")
    cert, key = (_absolute(environ, name, "/") if environ.get(name) else "" for name in names)
    if bool(cert) != bool(key):
        given, missing = names if cert else reversed(names)
        raise BadEnvironment(f"{given} is set without {missing}; set both, to the paths of PEM files.")
    return cert, key


def _spice_public(environ: Mapping[str, str], name: str, portal_url: str) -> str:
    if not (value := environ.get(name, "")):
        return ""
    origin = _origin(name, value)
    if urlsplit(origin).port is None:
        raise BadEnvironment(f"{name} is {value!r}; write its port too.")
    if portal_url.startswith("https:") and not origin.startswith("https:"):
        raise BadEnvironment(f"{name} is {value!r}; write https://, since PORTAL_URL is of https too.")
    return origin


def _vnc_public(environ: Mapping[str, str], name: str, portal_url: str, cert: str) -> str:
    if not (value := environ.get(name, "")):
        return ""
    if portal_url.startswith("https:") and not cert:
        raise BadEnvironment(f"{name} needs CONSOLE_VIEWER_CERT and CONSOLE_VIEWER_KEY, since PORTAL_URL is of https.")
    return _tcp_listen(environ, name, value)


def _mail(environ: Mapping[str, str]) -> Mail | None:
    """Read how mail is sent. The URL may hold a password, so no refusal repeats it."""
    url, sender = environ.get("MAIL_URL", ""), environ.get("MAIL_FROM", "")
    if not _both_or_none(environ, "MAIL_URL", "MAIL_FROM"):
        return None
    if not re.fullmatch(r"(?:[^<>@\r\n]* <)?[^\s<>@]+@[^\s<>@]+>?", sender) or ("<" in sender) != sender.endswith(">"):
        raise BadEnvironment(f"MAIL_FROM is {sender!r}; write portal@example.org, or Name <portal@example.org>.")
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return Mail(sender=sender, directory=parts.path)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path.strip("/") or not _port_fits(parts):
        raise BadEnvironment(
            "MAIL_URL cannot be used; write smtp:// (with STARTTLS), smtps:// or file:///directory; "
            "a user and password stand before the host, percent-encoded."
        )
    if parts.query not in {"", "starttls=0"}:
        raise BadEnvironment("MAIL_URL ends in something other than ?starttls=0, which is all that may stand there.")
    return Mail(
        sender=sender,
        host=parts.hostname,
        port=parts.port or (465 if parts.scheme == "smtps" else 587),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=parts.scheme == "smtps",
        starttls=parts.scheme == "smtp" and not parts.query,
    )


def _provider(environ: Mapping[str, str]) -> Provider | None:
    """Read the OpenID Connect provider. A malformed variable is refused also where no provider is meant."""
    issuer, (_, secret) = environ.get("OIDC_ISSUER", "").rstrip("/"), _text_or_file(environ, "OIDC_CLIENT_SECRET")
    provider = Provider(
        issuer=issuer,
        client_id=environ.get("OIDC_CLIENT_ID", ""),
        client_secret=secret,
        name=environ.get("OIDC_NAME") or "single sign-on",
        new_users=_flag(environ, "OIDC_NEW_USERS", default="1"),
        scopes=tuple((environ.get("OIDC_SCOPES") or "openid profile email").split()),
        groups_claim=environ.get("OIDC_GROUPS_CLAIM") or "groups",
        staff_group=environ.get("OIDC_STAFF_GROUP", ""),
        superuser_group=environ.get("OIDC_SUPERUSER_GROUP", ""),
        helpdesk_group=environ.get("OIDC_HELPDESK_GROUP", ""),
    )
    if "openid" not in provider.scopes:
        raise BadEnvironment("OIDC_SCOPES lacks openid; write such as: openid profile email groups.")
    if not _both_or_none(environ, "OIDC_ISSUER", "OIDC_CLIENT_ID"):
        return None
    parts = urlsplit(issuer)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not safe or not parts.hostname or parts.query or parts.fragment or not _port_fits(parts):
        raise BadEnvironment(f"OIDC_ISSUER is {issuer!r}; write the issuer, a URL that begins with https://.")
    if not secret:
        raise BadEnvironment("OIDC_CLIENT_SECRET is missing; set it or OIDC_CLIENT_SECRET_FILE, as OIDC_ISSUER is set.")
    return provider


def _directory(environ: Mapping[str, str]) -> Directory | None:
    """Read the LDAP directory. A malformed variable is refused also where no directory is meant."""
    _, password = _text_or_file(environ, "LDAP_BIND_PASSWORD")
    directory = Directory(
        url=environ.get("LDAP_URL", "").rstrip("/"),
        users=_dn(environ, "LDAP_USERS"),
        starttls=_flag(environ, "LDAP_STARTTLS", default="1"),
        ca_file=_absolute(environ, "LDAP_CA_FILE", "/") if environ.get("LDAP_CA_FILE") else "",
        bind_dn=_dn(environ, "LDAP_BIND_DN"),
        bind_password=password,
        user_filter=environ.get("LDAP_USER_FILTER") or "(uid=%(user)s)",
        groups=_dn(environ, "LDAP_GROUPS"),
        group_member=environ.get("LDAP_GROUP_MEMBER") or "member",
        required_group=_dn(environ, "LDAP_REQUIRED_GROUP"),
        staff_group=_dn(environ, "LDAP_STAFF_GROUP"),
        superuser_group=_dn(environ, "LDAP_SUPERUSER_GROUP"),
        helpdesk_group=_dn(environ, "LDAP_HELPDESK_GROUP"),
        mirrored_groups=_words(environ, "LDAP_MIRRORED_GROUPS"),
    )
    if not _both_or_none(environ, "LDAP_URL", "LDAP_USERS"):
        return None
    _check_directory(directory)
    return directory


def _check_directory(directory: Directory) -> None:
    parts = urlsplit(directory.url)
    if parts.scheme not in {"ldap", "ldaps"} or not parts.hostname or parts.path or not _port_fits(parts):
        raise BadEnvironment("LDAP_URL cannot be used; write ldaps:// or ldap://, a host and perhaps a port.")
    if bool(directory.bind_dn) != bool(directory.bind_password):
        raise BadEnvironment("LDAP_BIND_DN and LDAP_BIND_PASSWORD go together; set both, or none of them.")
    pattern = directory.user_filter
    if not re.fullmatch(r"\(.*\)", pattern) or pattern.count("%(user)s") != 1 or pattern.count("%") != 1:
        raise BadEnvironment(f"LDAP_USER_FILTER is {pattern!r}; write a filter such as (uid=%(user)s).")
    if directory.group_member not in {"member", "uniqueMember", "memberUid"}:
        found = directory.group_member
        raise BadEnvironment(f"LDAP_GROUP_MEMBER is {found!r}; write member, uniqueMember or memberUid.")
    if "helpdesk" in directory.mirrored_groups:
        raise BadEnvironment("LDAP_MIRRORED_GROUPS names helpdesk; say whose that is by LDAP_HELPDESK_GROUP.")
    groups = (
        directory.required_group,
        directory.staff_group,
        directory.superuser_group,
        directory.helpdesk_group,
        *directory.mirrored_groups,
    )
    if any(groups) and not directory.groups:
        raise BadEnvironment("LDAP_GROUPS is missing; write below which entry the groups are that others name.")


def _both_or_none(environ: Mapping[str, str], first: str, second: str) -> bool:
    """Return whether both variables are set; one without the other is refused."""
    one, other = bool(environ.get(first)), bool(environ.get(second))
    if one != other:
        given, missing = (first, second) if one else (second, first)
        raise BadEnvironment(f"{given} is set without {missing}; set both or none.")
    return one


def _dn(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if value and not re.fullmatch(r"[A-Za-z][\w.-]*=[^=].*", value):
        raise BadEnvironment(f"{name} is {value!r}; write a distinguished name such as ou=people,dc=example,dc=org.")
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
