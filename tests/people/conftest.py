"""What several of these tests may ask for."""

from __future__ import annotations

import pytest
from django.contrib.auth.hashers import make_password

from tests import cast


@pytest.fixture
def quick_passwords(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords that cost no time, for tests that log in again and again. Ask for it before any person."""
    fast, slow = (f"django.contrib.auth.hashers.{name}PasswordHasher" for name in ("MD5", "PBKDF2"))
    settings.PASSWORD_HASHERS = [fast, slow]
    monkeypatch.setattr(cast, "_password_hash", lambda: make_password(cast.PASSWORD))
