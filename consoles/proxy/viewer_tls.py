"""TLS for native viewers, whose connections come here without a reverse proxy between."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path
from threading import Lock

FFDHE3072 = Path(__file__).with_name("ffdhe3072.pem")
"""The group of RFC 7919; OpenSSL has it, but Python hands DH parameters over as a file only."""


class Certificate:
    """A certificate chain and its key, read again when the files have changed, so that a renewal needs no restart."""

    def __init__(self, chain: Path, key: Path) -> None:
        """Read both.

        Raises:
            OSError: they cannot be read.
            ssl.SSLError: they are not a certificate and its key (an OSError too).
        """
        self._chain, self._key = chain, key
        self._lock = Lock()
        self._seen = self._times()
        self._context = self._read()

    def context(self) -> ssl.SSLContext:
        """Return what the next connection is to be served with; a pair that cannot be used leaves the last one."""
        with self._lock:
            try:
                if (times := self._times()) != self._seen:
                    self._context, self._seen = self._read(), times
            except OSError:  # in the middle of being renewed
                pass
            return self._context

    def _times(self) -> tuple[int, int]:
        return self._chain.stat().st_mtime_ns, self._key.stat().st_mtime_ns

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._chain, self._key)
        return context


@cache
def anonymous() -> ssl.SSLContext:
    """Return TLS without a certificate: nobody who only listens learns anything, but the server is not proven.

    It is what gtk-vnc accepts at least (it sends no password in the clear). OpenSSL calls these ciphers level 0 since
    they prove nobody; their keys are not weak.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 has no anonymous ciphers
    context.set_ciphers("ADH+AESGCM:@SECLEVEL=0")
    context.load_dh_params(str(FFDHE3072))
    return context
