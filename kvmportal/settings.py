"""Django's settings; every value that differs between sites comes from kvmportal.environment."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from kvmportal.environment import ROOT, BadEnvironment, environment

ENV = environment()

if not (SECRET_KEY := ENV.secret_key):
    raise BadEnvironment("Set SECRET_KEY, or SECRET_KEY_FILE to a file that holds it (at least 32 characters).")
DEBUG = ENV.debug
ALLOWED_HOSTS = list(ENV.allowed_hosts)
CSRF_TRUSTED_ORIGINS = [ENV.portal_url]
BASE_DIR = ROOT

INSTALLED_APPS = [
    "kvmportal.apps.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "csp",
    "django_celery_beat",
    "people",
    "machines",
    "lifecycle",
    "consoles",
    "kvmportal.apps.PortalConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "kvmportal.errors.api_errors",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "kvmportal.one_thread.one_thread",  # innermost
]

ROOT_URLCONF = "kvmportal.urls"
ASGI_APPLICATION = "kvmportal.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def _database(url: str) -> dict[str, Any]:
    """SQLite with write-ahead log, immediate transactions and a busy time-out; PostgreSQL as its URL says.

    There a process that stands still in a transaction loses it after 5 s, and with it the locks that others wait for: a
    watcher's hosts can be taken over.
    """
    config: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=0))
    if config["ENGINE"] == "django.db.backends.sqlite3":
        config["OPTIONS"] = {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
    else:
        config.setdefault("OPTIONS", {}).setdefault("options", "-c idle_in_transaction_session_timeout=5000")
    return config


DATABASES = {"default": _database(ENV.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "people:login"
LOGIN_REDIRECT_URL = "lifecycle:machines"
LOGOUT_REDIRECT_URL = "people:login"

SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENV.secure
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.secure else None
SECURE_HSTS_SECONDS = 31_536_000 if ENV.secure else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "kvmportal.errors.csrf_failure"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # bytes; larger bodies get 413

_portal = urlsplit(ENV.portal_url)
_console = urlsplit(ENV.console_public_url)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [
            SELF,
            f"{'wss' if ENV.secure else 'ws'}://{_portal.netloc}",
            f"{_console.scheme}://{_console.netloc}",
        ],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    },
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
TIME_ZONE = ENV.time_zone
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = ENV.static_root
STATICFILES_DIRS: list[Any] = [
    ROOT / "static",
    ("vendor/novnc/core", ROOT / "node_modules/@novnc/novnc/core"),
    ("vendor/novnc/vendor", ROOT / "node_modules/@novnc/novnc/vendor"),
    ("vendor/tabler/css", ROOT / "node_modules/@tabler/core/dist/css"),
    ("vendor/htmx", ROOT / "node_modules/htmx.org/dist"),
]
STATICFILES_FINDERS = [
    "kvmportal.static.ServedFilesFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
]
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "kvmportal.static.ModuleManifestStorage"},
}

REDIS_URL = ENV.redis_url
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": ENV.redis_url}}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [ENV.redis_url], "prefix": "kvmportal"},
    },
}

CELERY_BROKER_URL = ENV.redis_url.replace("unix://", "redis+socket://", 1)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "quick"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker outlives any outage of Redis
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # LOGGING below speaks for every process
CELERY_TASK_PUBLISH_RETRY = False  # a row that could not be sent stays queued; beat sends it again
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
    "max_retries": 0,  # of publishing: a click does not wait for a broker that is down
}
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_TIMEZONE = "UTC"


def _every(seconds: float, task: str) -> dict[str, Any]:
    """Run a task so often; a round that nobody took expires before the next, so that no backlog piles up."""
    return {"task": task, "schedule": seconds, "options": {"queue": "quick", "expires": seconds}}


CELERY_BEAT_SCHEDULE = {
    "send queued operations again": _every(5.0, "lifecycle.resend_queued"),
    "end overdue shutdowns and reboots": _every(5.0, "lifecycle.expire_waiting"),
    "settle operations whose worker died": _every(10.0, "lifecycle.reconcile"),
    "end connection tests that nobody carries out": _every(10.0, "lifecycle.end_lost_host_tests"),
    "look at saved files": _every(180.0, "lifecycle.look_at_saved_files"),
}

IDLE_AFTER = ENV.idle_after
SHUTDOWN_LIMIT = ENV.shutdown_limit
SAVED_FILES_POOL = ENV.saved_files_pool
SAVED_FILES_DIR = ENV.saved_files_dir
PORTAL_URL = ENV.portal_url
CONSOLE_PUBLIC_URL = ENV.console_public_url

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": ENV.log_level},
    # each tells of every task, and beat has some every few seconds
    "loggers": {name: {"level": "WARNING"} for name in ("celery.app.trace", "celery.beat", "celery.worker.strategy")},
}
