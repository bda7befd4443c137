"""The environment: what is read, what is refused, and that every variable is described for operators."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from kvmportal.environment import ROOT, BadEnvironment, read

SECRET = "s" * 40
SETTINGS_PAGE = ROOT / "docs" / "settings.md"


class Recorder(Mapping[str, str]):
    """An empty environment that remembers what was asked of it."""

    def __init__(self, **values: str) -> None:
        self.values_by_name = values
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


def test_defaults_serve_a_portal_on_this_machine() -> None:
    environment = read({"SECRET_KEY": SECRET})
    assert environment.portal_url == "http://localhost:8000"
    assert environment.console_public_url == "ws://localhost:8000/console"
    assert environment.console_origins == ("http://localhost:8000",)
    assert environment.allowed_hosts == ("localhost",)
    assert environment.debug is False
    assert environment.secure is False


def test_https_portal_derives_secure_addresses_from_its_url() -> None:
    environment = read({"SECRET_KEY": SECRET, "PORTAL_URL": "https://vm.example.org/"})
    assert environment.portal_url == "https://vm.example.org"
    assert environment.console_public_url == "wss://vm.example.org/console"
    assert environment.console_origins == ("https://vm.example.org",)
    assert environment.allowed_hosts == ("vm.example.org",)
    assert environment.secure is True


def test_secret_key_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{SECRET}\n")
    assert read({"SECRET_KEY_FILE": str(tmp_path / "key")}).secret_key == SECRET


def test_console_proxy_needs_no_secret_key() -> None:
    assert read({}).secret_key == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short"),
        ("SECRET_KEY_FILE", "/nowhere/at/all"),
        ("DEBUG", "perhaps"),
        ("DATABASE_URL", "mysteriousdb://localhost/portal"),
        ("DATABASE_URL", "portal.sqlite3"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "http://localhost:6379"),
        ("PORTAL_URL", "portal.example.org"),
        ("PORTAL_URL", "ftp://portal.example.org"),
        ("PORTAL_URL", "https://portal.example.org/vms"),
        ("PORTAL_URL", "https://portal.example.org:notaport"),
        ("CONSOLE_PUBLIC_URL", "https://portal.example.org/console"),
        ("CONSOLE_LISTEN", "6080"),
        ("CONSOLE_LISTEN", "127.0.0.1:http"),
        ("CONSOLE_LISTEN", "127.0.0.1:70000"),
        ("CONSOLE_LISTEN", "unix:"),
        ("CONSOLE_ORIGINS", "portal.example.org"),
        ("CONSOLE_ORIGINS", "https://portal.example.org/, https://two.example.org/path"),
        ("ALLOWED_HOSTS", "https://portal.example.org"),
        ("TIME_ZONE", "Middle/Earth"),
        ("LOG_LEVEL", "chatty"),
        ("DEPARTED_MACHINES", "burn"),
        ("ASSIST_POLICY", "perhaps"),
        ("ASSIST_LIMIT", "59"),
        ("ASSIST_WAIT_LIMIT", "never"),
        ("IDLE_AFTER", "0"),
        ("IDLE_AFTER", "5 minutes"),
        ("SHUTDOWN_LIMIT", "-1"),
        ("SHUTDOWN_LIMIT", "²"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "10.0.0.1"),
        ("LOGIN_FAILURES_PER_ADDRESS", "0"),
        ("LOGIN_FAILURES_PER_NAME", "many"),
        ("MAIL_URL", "smtp://mail.example.org"),
        ("MAIL_FROM", "portal@example.org"),
        ("OIDC_ISSUER", "https://id.example.org"),
        ("OIDC_CLIENT_ID", "portal"),
        ("OIDC_NEW_USERS", "perhaps"),
        ("LDAP_URL", "ldaps://ldap.example.org"),
        ("LDAP_USERS", "people"),
        ("LDAP_USERS", "ou=people,dc=example,dc=org"),
        ("LDAP_STARTTLS", "perhaps"),
        ("LDAP_CA_FILE", "ca.pem"),
        ("LDAP_BIND_DN", "portal"),
        ("LDAP_GROUPS", "groups"),
    ],
)
def test_bad_value_is_refused_with_a_sentence_that_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(BadEnvironment) as refusal:
        read({"SECRET_KEY": SECRET, name: value} if name != "SECRET_KEY_FILE" else {name: value})
    sentence = str(refusal.value)
    assert sentence.startswith(name)
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "unix:///run/redis.sock?db=1"),
        ("REDIS_URL", "rediss://:secret@redis.example.org:6380/2"),
        ("DATABASE_URL", "postgres://portal:secret@db.example.org/portal"),
        ("DATABASE_URL", "sqlite:////srv/portal.sqlite3"),
        ("CONSOLE_LISTEN", "unix:/run/kvmportal/console.sock"),
        ("CONSOLE_LISTEN", "[::1]:6080"),
        ("TIME_ZONE", "Asia/Taipei"),
        ("LOG_LEVEL", "debug"),
        ("ASSIST_POLICY", "notify"),
        ("DEBUG", "on"),
    ],
)
def test_good_values_are_taken(name: str, value: str) -> None:
    read({"SECRET_KEY": SECRET, name: value})


def test_short_secret_file_is_refused_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hunter2")
    with pytest.raises(BadEnvironment) as refusal:
        read({"SECRET_KEY_FILE": str(tmp_path / "key")})
    assert "hunter2" not in str(refusal.value)


MAIL = {"MAIL_URL": "smtp://mail.example.org", "MAIL_FROM": "portal@example.org"}
PROVIDER = {
    "OIDC_ISSUER": "https://id.example.org/",
    "OIDC_CLIENT_ID": "portal",
    "OIDC_CLIENT_SECRET": "a secret of the provider",
}
DIRECTORY = {"LDAP_URL": "ldaps://ldap.example.org", "LDAP_USERS": "ou=people,dc=example,dc=org"}


def test_mail_directory_and_provider_are_off_unless_they_are_set() -> None:
    environment = read({"SECRET_KEY": SECRET})
    assert (environment.mail, environment.directory, environment.provider) == (None, None, None)
    assert environment.trusted_proxies == 0


def test_portal_of_https_stands_behind_one_proxy() -> None:
    assert read({"SECRET_KEY": SECRET, "PORTAL_URL": "https://vm.example.org"}).trusted_proxies == 1


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("smtp://mail.example.org", ("mail.example.org", 587, "", "", True, False, "")),
        ("smtp://mail.example.org:25?starttls=0", ("mail.example.org", 25, "", "", False, False, "")),
        (
            "smtps://me%40example.org:p%2Fw@mail.example.org",
            ("mail.example.org", 465, "me@example.org", "p/w", False, True, ""),
        ),
        ("file:///var/mails", ("", 0, "", "", False, False, "/var/mails")),
    ],
)
def test_mail_goes_where_its_url_says(url: str, place: tuple) -> None:
    mail = read(MAIL | {"MAIL_URL": url, "MAIL_FROM": "Machines <portal@example.org>"}).mail
    found = (mail.host, mail.port, mail.user, mail.password, mail.starttls, mail.tls, mail.directory)
    assert found == place
    assert mail.sender == "Machines <portal@example.org>"


def test_provider_and_directory_are_read_with_secrets_from_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    files = {"OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret"), "LDAP_BIND_PASSWORD_FILE": str(tmp_path / "secret")}
    environment = read(
        PROVIDER | DIRECTORY | files | {"OIDC_CLIENT_SECRET": "", "LDAP_BIND_DN": "cn=portal,dc=example,dc=org"}
    )
    assert environment.provider.client_secret == environment.directory.bind_password == "from a file"
    assert environment.provider.issuer == "https://id.example.org"
    assert environment.provider.new_users
    assert not environment.provider.gives_roles
    assert environment.directory.user_filter == "(uid=%(user)s)"


@pytest.mark.parametrize(
    ("whole", "name", "value"),
    [
        (MAIL, "MAIL_URL", "mail.example.org"),
        (MAIL, "MAIL_URL", "smtp://mail.example.org/inbox"),
        (MAIL, "MAIL_URL", "smtp://mail.example.org?tls=1"),
        (MAIL, "MAIL_URL", "file://relative"),
        (MAIL, "MAIL_FROM", "portal"),
        (MAIL, "MAIL_FROM", "portal@example.org\nBcc: all@example.org"),
        (PROVIDER, "OIDC_ISSUER", "http://id.example.org"),
        (PROVIDER, "OIDC_ISSUER", "id.example.org"),
        (PROVIDER, "OIDC_CLIENT_SECRET", ""),
        (PROVIDER, "OIDC_SCOPES", "profile groups"),
        (DIRECTORY, "LDAP_URL", "http://ldap.example.org"),
        (DIRECTORY, "LDAP_URL", "ldap://ldap.example.org/ou=people"),
        (DIRECTORY, "LDAP_BIND_PASSWORD_FILE", "/nowhere/at/all"),
        (DIRECTORY, "LDAP_BIND_DN", "cn=portal,dc=example,dc=org"),
        (DIRECTORY, "LDAP_USER_FILTER", "(uid=bob)"),
        (DIRECTORY, "LDAP_USER_FILTER", "uid=%(user)s"),
        (DIRECTORY, "LDAP_USER_FILTER", "(uid=%(user)s%s)"),
        (DIRECTORY | {"LDAP_GROUPS": "ou=groups,dc=example,dc=org"}, "LDAP_GROUP_MEMBER", "members"),
        (DIRECTORY | {"LDAP_GROUPS": "ou=groups,dc=example,dc=org"}, "LDAP_MIRRORED_GROUPS", "staff, helpdesk"),
    ],
)
def test_bad_value_beside_good_ones_is_refused_by_its_name(whole: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(BadEnvironment) as refusal:
        read({"SECRET_KEY": SECRET, **whole, name: value})
    assert str(refusal.value).startswith(name)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize("name", ["LDAP_STAFF_GROUP", "LDAP_REQUIRED_GROUP", "LDAP_SUPERUSER_GROUP"])
def test_group_of_nowhere_is_refused(name: str) -> None:
    with pytest.raises(BadEnvironment, match=r"^LDAP_GROUPS is missing"):
        read(DIRECTORY | {name: "cn=some,dc=example,dc=org"})


def test_refusal_of_mail_does_not_repeat_its_password() -> None:
    with pytest.raises(BadEnvironment) as refusal:
        read(MAIL | {"MAIL_URL": "imap://portal:hunter2@mail.example.org"})
    assert "hunter2" not in str(refusal.value)


def test_refusal_does_not_repeat_a_password_in_a_url() -> None:
    for name in ("REDIS_URL", "DATABASE_URL"):
        with pytest.raises(BadEnvironment) as refusal:
            read({"SECRET_KEY": SECRET, name: "nosuch://portal:hunter2@localhost/1"})
        assert "hunter2" not in str(refusal.value)


def test_every_variable_that_is_read_is_described_and_no_other() -> None:
    recorder = Recorder()
    read(recorder)
    described = set(re.findall(r"^\| `([A-Z_]+)` \|", SETTINGS_PAGE.read_text(), re.MULTILINE))
    assert described == recorder.asked
