"""How many examples Hypothesis tries, and which: the same ones each time where CI=true.

``UC_TEST_EXAMPLES`` asks for another number for each test.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

examples = settings(
    max_examples=int(os.environ.get("UC_TEST_EXAMPLES", "100")),
    derandomize=os.environ.get("CI") == "true",
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
