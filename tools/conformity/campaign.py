"""All modules on all interpreters; those with failures once more on stock asyncio."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from conformity.processes import Job, Limits, run_module
from conformity.results import FAILED, OWN, InterpreterResult, ModuleResult
from conformity.selection import Module
from conformity.skips import Skip, patterns
from conformity.subjects import Subject, prepare
from conformity.testsuites import UnavailableError
from interpreters import Interpreter


@dataclass(frozen=True)
class Plan:
    """What is to be run, on which loop."""

    modules: Sequence[Module]
    skips: Sequence[Skip]
    loop: str
    keyword: str = ""
    list_only: bool = False
    all_on_stock: bool = False
    limits: Limits = field(default_factory=Limits)


class Watcher(Protocol):
    """Who is told how far things are."""

    def module_begins(self, interpreter: Interpreter, module: Module) -> None:
        """A module is next."""

    def hear(self, message: dict[str, Any]) -> None:
        """A test process has said something."""

    def module_ends(self, interpreter: Interpreter, result: ModuleResult) -> None:
        """All of a module has been run."""


def _run_on_stock(
    subject: Subject, plan: Plan, job: Job, result: ModuleResult, watcher: Watcher
) -> None:
    """A module in which something has failed on stock asyncio: whose fault is it?

    All of it, because a test may fail for want of what another one leaves behind.
    """
    if not result.count(FAILED) and not plan.all_on_stock:
        return
    stock = dataclasses.replace(job, loop=None)
    result.stock = run_module(subject, stock, plan.limits, watcher.hear).outcomes
    fails_there = {one.test for one in result.stock if one.outcome == FAILED}
    for one in result.outcomes:
        if one.outcome == FAILED and one.test in fails_there:
            one.outcome = OWN


def run_one(
    subject: Subject, interpreter: Interpreter, module: Module, plan: Plan, watcher: Watcher
) -> ModuleResult:
    """One module: on the loop under test, and on stock asyncio what needs to be."""
    left_out = patterns(plan.skips, interpreter)
    job = Job(module, plan.loop, left_out, plan.keyword, list_only=plan.list_only)
    result = run_module(subject, job, plan.limits, watcher.hear)
    if plan.list_only or result.absent:
        return result
    _run_on_stock(subject, plan, job, result, watcher)
    return result


def run(interpreter: Interpreter, plan: Plan, watcher: Watcher) -> InterpreterResult:
    """Everything on one interpreter."""
    result = InterpreterResult(interpreter)
    try:
        subject = prepare(interpreter, plan.loop)
    except UnavailableError as reason:
        result.unavailable = str(reason)
        return result
    for module in plan.modules:
        watcher.module_begins(interpreter, module)
        one = run_one(subject, interpreter, module, plan, watcher)
        if not one.absent:
            result.modules.append(one)
        watcher.module_ends(interpreter, one)
    return result
