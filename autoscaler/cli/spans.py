"""How far back to look and when something begins, as options."""

from __future__ import annotations

from datetime import UTC, datetime

from autoscaler.cli.exits import CliError
from autoscaler.config.values import parse_duration_s

_DAY_S = 86400.0
_LEAST_S = 600.0  # a handful of steps of a history


def parse_since_s(text: str, option: str = "--since") -> float:
    """Seconds of a duration such as `36h` or `7d`.

    Raises:
        CliError: It is none, or shorter than ten minutes.
    """
    number = text.removesuffix("d")
    seconds = float(number) * _DAY_S if number != text and number.isdigit() else parse_duration_s(text)
    if seconds is None or seconds < _LEAST_S:
        raise CliError(f"{option} {text}: wants a time of at least ten minutes, such as 36h or 7d")
    return seconds


def parse_instant_s(text: str, option: str) -> float:
    """Unix time of an instant such as `2026-11-23T08:00+01:00`; in UTC where no zone is named.

    Raises:
        CliError: It is none.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(
            f"{option} {text}: wants a date and a time, such as 2026-11-23T08:00 (UTC) or 2026-11-23T08:00+01:00"
        ) from None
    return (instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)).timestamp()
