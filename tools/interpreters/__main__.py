"""``python -m interpreters``."""

import sys

from interpreters.cli import main

sys.exit(main())
