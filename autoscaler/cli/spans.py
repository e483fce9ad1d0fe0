"""The options --since and --from: how far back to look, and when something begins."""

from __future__ import annotations

from datetime import UTC, datetime

from autoscaler.cli.exits import CliError
from autoscaler.config.values import parse_duration_s

_DAY_S = 86400.0
_LEAST_S = 600.0  # a handful of steps of a history
_MOST_S = 366 * _DAY_S
_YEARS = range(1970, 9999)  # in every time zone


def parse_since_s(text: str) -> float:
    """Seconds of a duration such as `36h` or `7d`.

    Raises:
        CliError: It is none, shorter than ten minutes, or longer than a year.
    """
    number = text.removesuffix("d")
    seconds = float(number) * _DAY_S if number != text and number.isdecimal() else parse_duration_s(text)
    if seconds is None or not _LEAST_S <= seconds <= _MOST_S:
        raise CliError(f"--since {text}: wants a time of at least ten minutes and at most 366d, such as 36h or 7d")
    return seconds


def parse_instant_s(text: str) -> float:
    """Unix time of an instant such as `2026-11-23T08:00+01:00`; in UTC where no zone is named.

    Raises:
        CliError: It is none.
    """
    refusal = f"--from {text}: wants a date and a time, such as 2026-11-23T08:00 (UTC) or 2026-11-23T08:00+01:00"
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(refusal) from None
    if instant.year not in _YEARS:
        raise CliError(refusal)
    return (instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)).timestamp()
