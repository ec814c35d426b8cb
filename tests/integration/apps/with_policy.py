"""Run a module that takes its loop from the policy: with_policy.py MODULE ARGUMENT..."""

from __future__ import annotations

import asyncio
import runpy
import sys

import loops

if __name__ == "__main__":
    asyncio.set_event_loop_policy(loops.Policy())
    loops.report_closing()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
