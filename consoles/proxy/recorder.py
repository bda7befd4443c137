"""Keeps what a display sent, with times, in a compressed file: a tape that the portal's page replays.

A tape is gzip around records: milliseconds since it began and the count of bytes (unsigned, 4 bytes each, big endian),
then the bytes. It begins with the display's first byte, so a client that is fed all of it draws what the person saw.
"""

from __future__ import annotations

import gzip
import logging
import os
import struct
import time
from pathlib import Path
from typing import BinaryIO

from consoles.proxy.endings import Ending
from consoles.proxy.visits import MakeTee, Visit

logger = logging.getLogger(__name__)

MOST_BYTES = 256 * 1024 * 1024
"""Compressed bytes of one tape. A session that has filled it ends; its page comes back by itself, with a new tape."""
FLUSH_SECONDS = 1.0
"""What a proxy that is killed may lose of a tape."""
_RECORD = struct.Struct(">II")
_LEVEL = 1


class Recorder:
    """Writes one session's tape, in its pump's thread. A tape that cannot be written ends the session."""

    def __init__(self, visit: Visit, file: BinaryIO, name: str) -> None:
        self._visit = visit
        self._file = file
        self._name = name
        self._tape: gzip.GzipFile | None = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0)
        self._began = self._flushed = time.monotonic()

    def __call__(self, data: memoryview) -> None:
        """Keep bytes of the display."""
        if self._tape is None:
            return
        now = time.monotonic()
        try:
            self._tape.write(_RECORD.pack(int((now - self._began) * 1000), len(data)))
            self._tape.write(data)
            if now - self._flushed > FLUSH_SECONDS:
                self._flushed = now
                self._tape.flush()
            if self._file.tell() > MOST_BYTES:
                self._visit.session.end(Ending.TAPE_FULL)
        except OSError as error:
            logger.error("console session %s cannot be recorded: %s", self._visit.session.id, error)
            self._tape = None
            self._visit.session.end(Ending.UNRECORDED)

    def close(self) -> None:
        """Write what is left and report the tape."""
        tape, self._tape = self._tape, None
        try:
            if tape:
                tape.close()
        except OSError as error:
            logger.error("the tape of console session %s is cut off: %s", self._visit.session.id, error)
        seconds = time.monotonic() - self._began
        _report(self._visit, self._name, size=self._file.tell(), seconds=seconds)
        self._file.close()


def recorder(directory: Path) -> MakeTee:
    """Return what begins a session's tape in this directory; a session that cannot be recorded is ended, not opened."""

    def begin(visit: Visit) -> Recorder | None:
        name = f"{visit.session.id}.tape.gz"
        try:
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            handle = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        except OSError as error:
            logger.error("console session %s cannot be recorded: %s", visit.session.id, error)
            visit.session.end(Ending.UNRECORDED)
            return None
        _report(visit, name, size=0, seconds=0.0)
        return Recorder(visit, os.fdopen(handle, "wb"), name)

    return begin


def _report(visit: Visit, name: str, *, size: int, seconds: float) -> None:
    visit.desk.journal.report(visit.session, "recorded", file=name, bytes=size, seconds=round(seconds, 3))
