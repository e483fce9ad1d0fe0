"""Structured logs on stderr: JSON lines for machines, aligned lines for people, nothing secret in either."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import fields, is_dataclass, replace
from enum import Enum, StrEnum
from typing import Any, TextIO, TypeVar, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

Log = FilteringBoundLogger
T = TypeVar("T")

_SECRETS = (
    (re.compile(r"://[^/\s\"'<>]+@"), "://***@"),  # to the last @: one may stand in a password
    (re.compile(r"(\bbearer\s+|\bauthorization\b\W+\w+\s+)[^\s'\"]+", re.IGNORECASE), r"\1***"),
)

# What these libraries say, we say ourselves, once and with the remedy: a retry, a tick that was skipped.
_TALKATIVE = ("apscheduler", "urllib3", "kubernetes", "opentelemetry")


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least severe line that is shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LossyStream:
    """A stream whose lines may be lost: a full disk or a reader that is gone must not end who writes the log.

    Args:
        stream: Where lines go as long as they can.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, or lose it."""
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush what can be."""
        with suppress(OSError):
            self._stream.flush()


def configure(log_format: LogFormat, level: LogLevel, stream: TextIO) -> None:
    """Set up structlog, and route the standard library's logging the same way.

    Args:
        log_format: AUTO is JSON unless `stream` is a terminal.
        level: The least severe line that is shown.
        stream: Where lines go.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer, lossy = _renderer(log_format, stream), LossyStream(stream)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_secrets,
        _what_matters_first,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", lossy)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(lossy)
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[meta, renderer]))
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)


def get(**bound: object) -> Log:
    """A logger with these fields on each line."""
    log: Log = structlog.get_logger(**bound)
    return log


def deciding(decision_id: str) -> AbstractContextManager[None]:
    """Put the decision's id on every line of this thread that is said inside."""
    return structlog.contextvars.bound_contextvars(decision=decision_id)


def without_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank out credentials in URLs and headers, wherever in the line they stand."""
    return blanked_in(event)


def blanked(text: str) -> str:
    """A text without the credentials in its URLs and headers, for wherever it goes beside the log."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def blanked_in(value: T) -> T:
    """Plain data or a record, with every text in it blanked."""
    return cast("T", _blanked(value))


def _blanked(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, Enum):
        return blanked(value)
    if isinstance(value, Mapping):
        return {key: _blanked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = map(_blanked, value)
        return list(items) if isinstance(value, list) else tuple(items)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{item.name: _blanked(getattr(value, item.name)) for item in fields(value)})
    return value


def _what_matters_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = {name: event[name] for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def _renderer(log_format: LogFormat, stream: TextIO) -> Processor:
    as_json = log_format is LogFormat.JSON or (log_format is LogFormat.AUTO and not stream.isatty())
    if as_json:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    colors = stream.isatty() and not os.environ.get("NO_COLOR")
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
