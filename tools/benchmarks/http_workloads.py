"""What is asked of HTTP servers, and where the libraries are that serve it."""

from __future__ import annotations

import importlib.metadata
import json

from benchmarks.processes import ROOT
from benchmarks.workloads import Workload

GREETING = b"Hello, World!"
MESSAGE = {"message": "Hello, World!"}

_JSON_BYTES = len(json.dumps(MESSAGE))


def _plain(name: str, server: str, connections: int) -> Workload:
    title = f"{server}, plain text, {connections} connections"
    return Workload(name, title, f"{server}-plain", connections, len(GREETING))


HTTP = (
    _plain("uvicorn-10", "uvicorn", 10),
    _plain("uvicorn-100", "uvicorn", 100),
    _plain("uvicorn-500", "uvicorn", 500),
    Workload(
        "uvicorn-json-100", "uvicorn, JSON, 100 connections", "uvicorn-json", 100, _JSON_BYTES
    ),
    _plain("aiohttp-100", "aiohttp", 100),
)

SERVICES = frozenset(workload.service for workload in HTTP)

_LIBRARIES = ("uvicorn", "httptools", "aiohttp")
_ENVIRONMENT = ROOT / "build-integration" / "venv"


def python_with_libraries() -> str | None:
    """The interpreter that can import the servers; None where nobody has installed them."""
    python = _ENVIRONMENT / "bin" / "python"
    return str(python) if python.exists() and len(versions()) == len(_LIBRARIES) else None


def versions() -> dict[str, str]:
    """The versions of the libraries that are installed for tests/integration."""
    folders = [str(folder) for folder in _ENVIRONMENT.glob("lib/python*/site-packages")]
    found = {}
    for name in _LIBRARIES:
        for distribution in importlib.metadata.distributions(name=name, path=folders):
            found[name] = distribution.version
    return found
