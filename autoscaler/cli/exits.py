"""Exit codes that scripts may rely on."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0  # no change is needed
    UNWRITTEN = 1  # the output could not be written
    REFUSED = 2  # bad policy, bad usage, or something that cannot be opened at the start
    UNHEALTHY = 3  # signals or replica counts are unusable, and no healthy service wants a change
    CHANGE = 10  # a service with healthy signals should change


class CliError(Exception):
    """Ends a command with a message and without a traceback.

    Args:
        message: What is wrong, why, and what to do next.
        code: The exit code.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.REFUSED) -> None:
        super().__init__(message)
        self.code = code
