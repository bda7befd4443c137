"""Django's settings of the provider of `tests.people.provider`; nothing of the portal is in them."""

from __future__ import annotations

import os
from pathlib import Path

DIRECTORY = Path(os.environ["PROVIDER_DIRECTORY"])
SECRET_KEY = "only for the provider of the tests " * 2
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DIRECTORY / "db.sqlite3"}}
SESSION_COOKIE_NAME = "provider"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "allauth",
    "allauth.account",
    "allauth.idp.oidc",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_EMAIL_VERIFICATION = "none"
LOGIN_URL = "account_login"
ROOT_URLCONF = "tests.people.provider_urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
IDP_OIDC_PRIVATE_KEY = (DIRECTORY / "key.pem").read_text()
IDP_OIDC_ADAPTER = "tests.people.provider_groups.NamesGroups"
ACCOUNT_RATE_LIMITS = False  # the tests log in more often than people do
