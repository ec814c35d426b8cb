"""``python -m guests``."""

import signal
import sys

from guests.cli import main

# ended from outside, it takes its guest along, and tells what it has
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main())
