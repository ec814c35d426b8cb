"""The console, the bar and the tables of tools that run many tests."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

_WIDTH_OF_FILES = 120


def make_console() -> Console:
    """As wide as the terminal; of one width in a file."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)


def make_table(title: str, first_heading: str, headings: Iterable[str]) -> Table:
    """A table of one column of names, and one of figures under each of the headings."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column(first_heading, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def make_still_bar(console: Console) -> Progress:
    """A bar that is drawn only when it is told to: nothing else runs meanwhile."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
    )


class Bar:
    """How many parts are done and failed, and what the running one says.

    Without a terminal there is no bar, but a line for each part that is done.
    """

    def __init__(self, console: Console, total: int | None = None) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[failed]}{task.fields[says]}"),
            console=console,
            transient=True,
        )
        self._failed = 0
        self._task = self._bar.add_task("starting", total=total, failed="", says="")

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def begin_again(self, description: str, total: int) -> None:
        """Count other parts from now on; what failed stays."""
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(description, total=total, failed=self._red(), says="")

    def part_begins(self, description: str) -> None:
        """A part is next."""
        self._bar.update(self._task, description=description, says="")

    def say(self, text: str) -> None:
        """Show what the running part is doing."""
        self._bar.update(self._task, says=text)

    def part_ends(self, failed: int, line: str) -> None:
        """A part is done; an empty line is not printed."""
        self._failed += failed
        self._bar.update(self._task, advance=1, failed=self._red())
        if line and not self._console.is_terminal:
            self._console.print(line, highlight=False, markup=False)

    def _red(self) -> str:
        return f"[red]{self._failed} failed[/red] " if self._failed else ""
