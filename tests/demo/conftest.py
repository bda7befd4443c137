"""What the tests of the demo share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory that other users may enter, and whose path leaves room for a socket's name."""
    directory = Path(tempfile.mkdtemp(prefix="kvmp-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)
