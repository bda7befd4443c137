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
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    *(["allauth.socialaccount.providers.openid_connect"] if ENV.provider else []),  # 6 MB for each process
    "allauth.usersessions",
    "people",
    "maintenance",
    "machines",
    "audit",
    "lifecycle",
    "consoles",
    "sharing",
    "making",
    "assist",
    "notices",
    "fleet",
    "kvmportal.apps.PortalConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "kvmportal.behind_proxies.take_address",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "kvmportal.errors.api_errors",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "audit.asking.remember",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "kvmportal.indentation.leave_out",
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
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
DIRECTORY = ENV.directory
if DIRECTORY:
    AUTHENTICATION_BACKENDS.append("people.directory.DirectoryBackend")
PROVIDER = ENV.provider

LOGIN_URL = "people:login"
LOGIN_REDIRECT_URL = "lifecycle:machines"
LOGOUT_REDIRECT_URL = "people:login"

# django-allauth asks for passwords, second factors and providers; people/ says how (adapters.py) and draws the pages
ACCOUNT_ADAPTER = "people.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]  # nobody signs up; only what its checks want to see
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_UNIQUE_EMAIL = False  # two accounts of one person may share an address
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # no mail to whoever somebody names
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_SESSION_COOKIE_AGE = SESSION_COOKIE_AGE = 14 * 86_400  # seconds
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if ENV.secure else "http"
ACCOUNT_FORMS = {
    "reauthenticate": "people.forms.AgainForm",
    "reset_password": "people.forms.ForgottenForm",
    "reset_password_from_key": "people.forms.NewPasswordForm",
}
ACCOUNT_RATE_LIMITS = {
    "login": None,  # only failures count
    "login_failed": f"{ENV.login_failures_per_address}/m/ip,{ENV.login_failures_per_name}/5m/key",
}
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXIES = ENV.trusted_proxies
SOCIALACCOUNT_ADAPTER = "people.adapters.ProviderAdapter"
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True}}
SOCIALACCOUNT_STORE_TOKENS = False
MFA_ADAPTER = "people.adapters.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True  # an administrator wrote it down
MFA_TOTP_ISSUER = "kvmportal"
MFA_TOTP_TOLERANCE = 1  # a phone's clock may be half a minute off
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = urlsplit(ENV.portal_url).hostname == "localhost"  # as browsers do
MFA_FORMS = {
    "authenticate": "people.forms.CodeForm",
    "reauthenticate": "people.forms.CodeAgainForm",
    "activate_totp": "people.forms.ActivateAppForm",
    "add_webauthn": "people.forms.AddPasskeyForm",
    "login_webauthn": "people.forms.PasskeyForm",
}

PASSWORD_RESET_TIMEOUT = 3600  # seconds; addresses stand in logs
MAIL = ENV.mail
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
if MAIL:
    EMAIL_BACKEND = f"django.core.mail.backends.{'filebased' if MAIL.directory else 'smtp'}.EmailBackend"
    EMAIL_FILE_PATH = MAIL.directory
    EMAIL_HOST, EMAIL_PORT = MAIL.host, MAIL.port
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = MAIL.user, MAIL.password
    EMAIL_USE_TLS, EMAIL_USE_SSL = MAIL.starttls, MAIL.tls
    DEFAULT_FROM_EMAIL = SERVER_EMAIL = MAIL.sender
    EMAIL_TIMEOUT = 10  # seconds

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
        "media-src": [SELF, "blob:"],
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
    ("vendor/spice", "/usr/share/spice-html5"),
    ("vendor/xterm/lib", ROOT / "node_modules/@xterm/xterm/lib"),
    ("vendor/xterm/css", ROOT / "node_modules/@xterm/xterm/css"),
    ("vendor/xterm/fit", ROOT / "node_modules/@xterm/addon-fit/lib"),
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
    "look after help that goes on": _every(10.0, "assist.look_after"),
    "see to the machines of disabled users": _every(60.0, "sharing.see_off"),
    "delete old recordings": _every(3600.0, "consoles.delete_old_recordings"),
    "send mails that are due": _every(15.0, "notices.mail_due"),
    "delete old notices": _every(3600.0, "notices.delete_old"),
    "seal the audit trail": _every(10.0, "audit.seal"),
    "remove old entries of the audit trail": _every(3600.0, "audit.remove_old"),
}

IDLE_AFTER = ENV.idle_after
SHUTDOWN_LIMIT = ENV.shutdown_limit
SAVED_FILES_POOL = ENV.saved_files_pool
SAVED_FILES_DIR = ENV.saved_files_dir
PORTAL_URL = ENV.portal_url
CONSOLE_PUBLIC_URL = ENV.console_public_url
RECORDINGS_DIR = ENV.recordings_dir
RECORDINGS_DAYS = ENV.recordings_days
NOTICES_DAYS = ENV.notices_days
AUDIT_DAYS = ENV.audit_days
AUDIT_KEY_FILE = ENV.audit_key_file
AUDIT_TRUSTED_KEYS = ENV.audit_trusted_keys
DEPARTED_MACHINES = ENV.departed_machines
ASSIST_POLICY = ENV.assist_policy
ASSIST_LIMIT = ENV.assist_limit
ASSIST_WAIT_LIMIT = ENV.assist_wait_limit
CONSOLES_PER_USER = ENV.consoles_per_user
CONSOLE_IDLE_LIMIT = ENV.console_idle_limit
CONSOLE_LIMIT = ENV.console_limit
CONSOLE_SPICE_PUBLIC = ENV.console_spice_public
CONSOLE_VNC_PUBLIC = ENV.console_vnc_public

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": ENV.log_level},
    # each tells of every task, and beat has some every few seconds
    "loggers": {name: {"level": "WARNING"} for name in ("celery.app.trace", "celery.beat", "celery.worker.strategy")},
}
