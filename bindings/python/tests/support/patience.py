"""How long a test waits for what has to come true, also on a slow or an emulated machine.

``UC_TEST_SLOWNESS`` says how much slower it is than one that people develop on. Limits grow with
it: they end what hangs, and cost nothing otherwise.
"""

from __future__ import annotations

import os

SLOWNESS = float(os.environ.get("UC_TEST_SLOWNESS", "1"))
PATIENCE = 20 * SLOWNESS
