"""How far back to look, as an option."""

from __future__ import annotations

from autoscaler.cli.exits import CliError
from autoscaler.config.values import parse_duration_s

_DAY_S = 86400.0


def parse_since_s(text: str, option: str = "--since") -> float:
    """Seconds of a duration such as `36h` or `7d`.

    Raises:
        CliError: It is none, or shorter than ten minutes.
    """
    number = text.removesuffix("d")
    seconds = float(number) * _DAY_S if number != text and number.isdigit() else parse_duration_s(text)
    if seconds is None or seconds < 600:  # noqa: PLR2004 - ten minutes: a handful of steps
        raise CliError(f"{option} {text}: wants a time of at least ten minutes, such as 36h or 7d")
    return seconds
