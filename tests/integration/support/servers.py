"""Fixtures: PostgreSQL, Redis and certificates, of the tests' own, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from programs import Program, free_port

INSTALL = "run: tools/setup --integration"


def need_program(name: str, *folders: Path) -> str:
    """Return the path of a program; fail with what to do where it is missing."""
    places = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    found = shutil.which(name, path=places)
    if found is None:
        pytest.fail(f"{name} is missing; {INSTALL}")
    return found


@dataclass(frozen=True)
class Certificates:
    """A server's certificate for localhost and 127.0.0.1, and who has signed it."""

    key: Path
    chain: Path
    authority: Path

    def server_context(self) -> ssl.SSLContext:
        """Make a context for a server."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.chain, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Make a context for a client, which trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.authority))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> Certificates:
    """Make a certificate for localhost and 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")
    found = Certificates(folder / "key.pem", folder / "chain.pem", folder / "authority.pem")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(found.key)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(found.chain, append=True)
    authority.cert_pem.write_to_path(found.authority)
    return found


@pytest.fixture(scope="session")
def data_folder():
    """Make folders for servers: with short paths, since a socket's must fit into 107 bytes."""
    made = []

    def make_folder() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="uc-")))
        return made[-1]

    yield make_folder
    for folder in made:
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Postgres:
    """Where a PostgreSQL server is, for its superuser without a password."""

    port: int
    folder: Path
    user: str = "tester"
    database: str = "postgres"


@pytest.fixture(scope="session")
def postgres(data_folder, certificates):
    """Start a PostgreSQL server: TCP with and without TLS, and a Unix socket in its folder."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
    initdb, server = (need_program(name, *versions[::-1]) for name in ("initdb", "postgres"))
    folder = data_folder()
    shutil.copy(certificates.key, folder / "key.pem")
    shutil.copy(certificates.chain, folder / "chain.pem")
    (folder / "key.pem").chmod(0o600)
    identity = {}
    if os.geteuid() == 0:  # the server refuses root
        account = pwd.getpwnam("postgres")
        for path in (folder, *folder.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    found = Postgres(free_port(), folder)
    made = subprocess.run(
        [initdb, "-D", folder / "data", "-U", found.user, "-A", "trust", "-E", "UTF8", "-N"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        **identity,
    )
    assert made.returncode == 0, made.stderr
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": found.port,
        "unix_socket_directories": folder,
        "ssl": "on",
        "ssl_key_file": folder / "key.pem",
        "ssl_cert_file": folder / "chain.pem",
        "fsync": "off",
        "shared_buffers": "16MB",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    program = Program(server, "-D", folder / "data", *options, cwd=folder, **identity)
    try:
        program.wait_for("database system is ready to accept connections")
        yield found
        assert program.stop(signal.SIGINT) == 0, program.output
    finally:
        program.kill()


@dataclass(frozen=True)
class Redis:
    """Where a Redis server is."""

    port: int
    unix_path: Path


@pytest.fixture(scope="session")
def redis_server(data_folder):
    """Start a Redis server that keeps nothing: TCP, and a Unix socket in its folder."""
    server = need_program("redis-server")
    folder = data_folder()
    found = Redis(free_port(), folder / "redis.sock")
    settings = {
        "bind": "127.0.0.1",
        "port": found.port,
        "unixsocket": found.unix_path,
        "dir": folder,
        "save": "",
        "appendonly": "no",
    }
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    program = Program(server, *options, cwd=folder)
    try:
        program.wait_for("[Rr]eady to accept connections")
        yield found
        assert program.stop() == 0, program.output
    finally:
        program.kill()
