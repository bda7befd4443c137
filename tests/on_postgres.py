"""Runs pytest with a private PostgreSQL instead of SQLite: python -m tests.on_postgres [pytest's arguments]."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from demo.servers import PostgresServer

if __name__ == "__main__":
    directory = Path(tempfile.mkdtemp(prefix="kvmportal-postgres-", dir="/tmp"))
    with PostgresServer(directory, temporary=True) as server:
        os.environ["DATABASE_URL"] = server.url
        status = pytest.main(sys.argv[1:])
    sys.exit(status)
