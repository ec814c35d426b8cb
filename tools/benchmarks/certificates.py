"""A certificate for servers that are measured over TLS, made anew each time."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
from pathlib import Path


def make_server_context() -> ssl.SSLContext:
    """A server's side of TLS, with a certificate signed by itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        certificate, key = str(Path(folder) / "certificate"), str(Path(folder) / "key")
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"),
                *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
                *("-keyout", key, "-out", certificate),
            ],
            check=True,
            capture_output=True,
        )
        context.load_cert_chain(certificate, key)
    return context
