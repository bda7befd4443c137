"""Django's settings as the tests run them: the portal's own, in an environment of this test run alone.

Nothing that the environment names is touched, but for DATABASE_URL: bin/test runs the tests on PostgreSQL by it.
Redis is started by the fixture `redis_server` at the port chosen here.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from demo.servers import RedisServer

RUN = Path(tempfile.mkdtemp(prefix="kvmportal-tests-", dir="/tmp"))
atexit.register(shutil.rmtree, RUN, ignore_errors=True)
REDIS = RedisServer(RUN / "redis", temporary=True)

(RUN / "static").mkdir()  # WhiteNoise warns of a missing one
_FAMILIES = ("AUDIT_", "CONSOLE_", "LDAP_", "LOGIN_", "MAIL_", "OIDC_", "TRUSTED_")
for _name in ("SECRET_KEY_FILE", "DEBUG", *(name for name in os.environ if name.startswith(_FAMILIES))):
    os.environ.pop(_name, None)
os.environ |= {
    "SECRET_KEY": "only for tests " * 4,
    "REDIS_URL": REDIS.url,
    "PORTAL_URL": "http://testserver",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "STATIC_ROOT": str(RUN / "static"),
    "TIME_ZONE": "UTC",
    "LOG_LEVEL": "INFO",
    "IDLE_AFTER": "300",
    "SHUTDOWN_LIMIT": "120",
    "SAVED_FILES_DIR": str(RUN / "saved"),
    "CONSOLES_PER_USER": "20",
    "CONSOLE_IDLE_LIMIT": "0",
    "CONSOLE_LIMIT": "43200",
    "AUDIT_DAYS": "730",
    "DEPARTED_MACHINES": "keep",
    "ASSIST_POLICY": "consent",
    "ASSIST_LIMIT": "7200",
    "ASSIST_WAIT_LIMIT": "28800",
}
os.environ.setdefault("DATABASE_URL", f"sqlite:///{RUN / 'never-used.sqlite3'}")

from kvmportal.settings import *  # noqa: E402, F403
from kvmportal.settings import DATABASES, INSTALLED_APPS, STORAGES  # noqa: E402

INSTALLED_APPS.append("allauth.socialaccount.providers.openid_connect")  # tests name one later

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["TEST"] = {"NAME": RUN / "tests.sqlite3"}  # a file, so that it behaves as the real one does
else:  # a test stands in a transaction for as long as a busy machine lets it
    DEPLOYED_OPTIONS = DATABASES["default"]["OPTIONS"]["options"]
    DATABASES["default"]["OPTIONS"]["options"] = "-c idle_in_transaction_session_timeout=60000"
STORAGES["staticfiles"] = {
    "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
}  # no collectstatic needed
