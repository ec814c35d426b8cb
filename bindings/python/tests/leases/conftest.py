"""What several tests of leases need."""

from __future__ import annotations

import pytest
from certificates import Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Make certificates, once for all tests."""
    return Certificates(tmp_path_factory.mktemp("certificates"))
