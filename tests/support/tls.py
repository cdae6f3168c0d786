"""
TLS for tests: a certificate of the test's own, and clients that trust it.

`connect` gives streams. `blocking` gives a socket with small buffers, for clients whose pace is the
point: what streams have read ahead hides how slowly a test reads.
"""

from __future__ import annotations

import asyncio
import functools
import shutil
import socket
import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

NAME = "localhost"


@dataclass(frozen=True)
class Certificate:
    """Where a certificate and its key are."""

    certificate: Path
    key: Path

    @property
    def settings(self) -> dict[str, str]:
        """What makes a data plane speak TLS."""
        return {"tls_certificate": str(self.certificate), "tls_key": str(self.key)}

    @functools.cached_property
    def trust(self) -> ssl.SSLContext:
        """A client's context that trusts this certificate alone."""
        return ssl.create_default_context(cafile=str(self.certificate))

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open one connection."""
        return await asyncio.open_connection(
            "127.0.0.1", port, ssl=self.trust, server_hostname=NAME, limit=2**20
        )

    def blocking(self, port: int) -> ssl.SSLSocket:
        """Open one connection with a small receive buffer, to be used in a thread."""
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(20)
        raw.connect(("127.0.0.1", port))
        return self.trust.wrap_socket(raw, server_hostname=NAME, suppress_ragged_eofs=False)


def make_certificate(directory: Path) -> Certificate:
    """Make one that is its own authority; the calling test skips without openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    made = Certificate(directory / "certificate.pem", directory / "key.pem")
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-keyout", made.key, "-out", made.certificate, "-days", "2",
            "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
        ],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return made
