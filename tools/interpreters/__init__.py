"""The Pythons of this machine, and an environment for each. Behind tools/pythons.

One noun per module:

- finding: which interpreters there are, and why others are no use
- environments: a virtual environment for an interpreter, made again only when something changed
- wheels: the package's wheel, built once for all of them
- suites: the package's tests in an environment, and their counts
- cli: the command line of tools/pythons

How another tool uses it (with tools/ on PYTHONPATH):

    interpreters, unusable = find_interpreters()
    wheel = build_wheel()
    for interpreter in interpreters:
        environment = make_environment(interpreter, TEST_REQUIREMENTS, wheel)
        subprocess.run([environment.python, ...])
"""

from interpreters.environments import (
    TEST_REQUIREMENTS,
    Environment,
    NoEnvironmentError,
    make_environment,
)
from interpreters.finding import Interpreter, Unusable, ask, find_interpreters
from interpreters.wheels import build_wheel

__all__ = [
    "TEST_REQUIREMENTS",
    "Environment",
    "Interpreter",
    "NoEnvironmentError",
    "Unusable",
    "ask",
    "build_wheel",
    "find_interpreters",
    "make_environment",
]
