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
        ("IDLE_AFTER", "0"),
        ("IDLE_AFTER", "5 minutes"),
        ("SHUTDOWN_LIMIT", "-1"),
        ("SHUTDOWN_LIMIT", "²"),
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
