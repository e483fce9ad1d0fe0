"""How far a long piece of work has got: a bar on a terminal, nothing anywhere else."""

from __future__ import annotations

from typing import Self, TextIO

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from autoscaler.report.console import console_on


class ProgressBar:
    """One bar over several parts of the same weight.

    Args:
        parts: How many there are.
        file: Where to draw; only a terminal is drawn on.
    """

    def __init__(self, parts: int, file: TextIO) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("elapsed,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console_on(file),
            transient=True,
            disable=not file.isatty(),
        )
        self._task = self._progress.add_task("starting", total=parts)
        self._begun = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._progress.stop()

    def begins(self, what: str) -> None:
        """The next part begins."""
        self._progress.update(self._task, completed=self._begun, description=what)
        self._begun += 1

    def reached(self, share: float) -> None:
        """How much of the part that began last is done, from 0 to 1."""
        self._progress.update(self._task, completed=self._begun - 1 + share)

    def finished(self, what: str) -> None:
        """One more part is done, whichever it was."""
        self._begun += 1
        self._progress.update(self._task, completed=self._begun, description=what)
