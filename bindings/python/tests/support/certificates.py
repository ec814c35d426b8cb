"""Certificates for the tests of TLS, made by the openssl command, and contexts with them."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from patience import SLOWNESS

NAME = "server.test"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Certificates:
    """An authority, a server's certificate for NAME and 127.0.0.1, and a client's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._openssl(
            *("req", "-x509", *_NEW_KEY, "-days", "2", "-subj", "/CN=authority"),
            *("-keyout", "authority.key", "-out", "authority.pem"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )
        self._issue("server", f"subjectAltName=DNS:{NAME},IP:127.0.0.1")
        self._issue("client", "subjectAltName=DNS:client.test")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments],
            cwd=self._folder,
            check=True,
            capture_output=True,
            timeout=50 * SLOWNESS,
        )

    def _issue(self, who: str, extensions: str) -> None:
        self._openssl(
            *("req", *_NEW_KEY, "-subj", f"/CN={who}"),
            *("-keyout", f"{who}.key", "-out", f"{who}.csr"),
        )
        (self._folder / "extensions").write_text(extensions)
        self._openssl(
            *("x509", "-req", "-days", "2", "-CAcreateserial", "-extfile", "extensions"),
            *("-in", f"{who}.csr", "-CA", "authority.pem", "-CAkey", "authority.key"),
            *("-out", f"{who}.pem"),
        )

    def _load(self, context: ssl.SSLContext, who: str) -> None:
        context.load_cert_chain(self._path(f"{who}.pem"), self._path(f"{who}.key"))

    def _path(self, name: str) -> str:
        return str(self._folder / name)  # PyPy's ssl module takes no Path

    def server(self, *, client_required: bool = False) -> ssl.SSLContext:
        """Make a context of the server's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load(context, "server")
        if client_required:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self._path("authority.pem"))
        return context

    def client(self, *, certificate: bool = False, trusting: bool = True) -> ssl.SSLContext:
        """Make a context of the client's, with a certificate to show and trust in the authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if trusting:
            context.load_verify_locations(self._path("authority.pem"))
        if certificate:
            self._load(context, "client")
        return context
