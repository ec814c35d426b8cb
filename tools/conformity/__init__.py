"""CPython's own asyncio tests on our loop: what stands behind tools/conformance.

One noun per module:

- subjects: the interpreters under test, and what each needs
- testsuites: CPython's tests, for interpreters that have come without them
- selection: which test modules and classes are run, and why others are not
- skips: the tests that are left out (skips.toml), and whether the list is honest
- processes: one test module in a process of its own, with time limits
- results: what became of a test, a module, an interpreter
- campaign: all modules on all interpreters; those with failures again on stock asyncio
- tables: what is shown in the terminal
- inside/: what runs in the interpreter under test; it imports nothing of the others
"""
