"""Where reports for people are printed."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console

_PLAIN_WIDTH = 200  # no terminal to measure: wide enough that lines stay whole for grep


def console_on(file: TextIO) -> Console:
    """A console that shows every text as it is.

    Reasons quote servers, titles quote file names, and signals quote PromQL: square brackets in them are no markup, and
    names between colons no emoji.
    """
    width = None if file.isatty() else _PLAIN_WIDTH
    return Console(file=file, width=width, highlight=False, markup=False, emoji=False)
