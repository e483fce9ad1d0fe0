"""The kinds of values in a policy: durations, ratios, percentiles, names. Each marks a field with `Annotated`.

A value with the wrong unit is refused with an example of the right one; nothing is guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from autoscaler.config.refusal import refuse

_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PIECE = r"[0-9]+(?:\.[0-9]+)?"
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>{_PIECE}){unit})?" for unit in _UNITS_S))
_DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(d|h|m|s|ms))+$"  # RE2 too, for the CRD
_LONGEST_TEXT = 64  # of a number; longer ones are accidents, and Python refuses to convert some of them
_LARGEST_NUMBER = 1e9  # Python refuses to make floats of huge integers
_PER_CENT = 100.0
_UNIT_WORDS = {
    "ms": ("msec", "msecs", "millis", "millisecond", "milliseconds"),
    "s": ("sec", "secs", "second", "seconds"),
    "m": ("min", "mins", "minute", "minutes"),
    "h": ("hr", "hrs", "hour", "hours"),
    "d": ("day", "days"),
}
_UNIT_OF_WORD = {word: unit for unit, words in _UNIT_WORDS.items() for word in (*words, unit)}


def parse_duration_s(text: str) -> float | None:
    """Seconds of a duration such as `50ms`, `2s` or `1h30m`; None when it is none."""
    found = _DURATION.fullmatch(text) if text and len(text) <= _LONGEST_TEXT else None
    if found is None:
        return None
    return math.fsum(float(number) * _UNITS_S[unit] for unit, number in found.groupdict().items() if number)


def format_duration(seconds: float) -> str:
    """The shortest duration text with one unit, up to hours: 600 is `10m`, 0.05 is `50ms`."""
    for unit, size in (("h", 3_600), ("m", 60), ("s", 1)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{_number(seconds)}s" if seconds >= 1 or not seconds else f"{_number(seconds * 1000)}ms"


def _number(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _meant_duration(text: str) -> str | None:
    pieces = re.findall(rf"({_PIECE})\s*([a-zA-Z]+)", text[:_LONGEST_TEXT])
    meant = "".join(f"{number}{_UNIT_OF_WORD.get(word.lower(), '?')}" for number, word in pieces)
    return meant if meant and parse_duration_s(meant) is not None else None


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, written as a text with a unit.

    Attributes:
        min_s: Shortest that makes sense.
        max_s: Longest that makes sense.
        example: Shown in messages and in the schema.
        whole_seconds: Take and show plain whole seconds too, for the `...Seconds` keys of an HPA.
    """

    min_s: float
    max_s: float
    example: str
    whole_seconds: bool = False

    @property
    def allowed(self) -> str:
        """The range in words."""
        return f"{self._text(self.min_s)} to {self._text(self.max_s)}, such as {self.example}"

    def parse(self, value: object) -> float:
        """Seconds of a value from the document."""
        if self.whole_seconds and isinstance(value, int) and not isinstance(value, bool):
            return self._inside(value)
        if isinstance(value, str):
            seconds = parse_duration_s(value)
            if seconds is not None:
                return self._inside(seconds)
            message = "is no duration: write a number and a unit (ms, s, m, h, d), largest unit first"
            raise refuse(message, allowed=self.allowed, nearest=_meant_duration(value))
        if isinstance(value, int | float) and not isinstance(value, bool):
            message = f"is a number without a unit: write {self.example}, not a bare number"
            if self.whole_seconds:
                message = "takes whole seconds, or a duration with a unit"
            raise refuse(message, allowed=self.allowed)
        raise refuse("is no duration", allowed=self.allowed)

    def _inside(self, seconds: float) -> float:
        if not self.min_s <= seconds <= self.max_s:
            raise refuse("is out of range", allowed=self.allowed)
        return float(seconds)

    def _text(self, seconds: float) -> str:
        return f"{seconds:.0f}" if self.whole_seconds else format_duration(seconds)

    def _write(self, seconds: float) -> str | int:
        return int(seconds) if self.whole_seconds and seconds == int(seconds) else format_duration(seconds)

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        writer = core_schema.plain_serializer_function_ser_schema(self._write)
        return core_schema.no_info_plain_validator_function(self.parse, serialization=writer)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        text = {"type": "string", "pattern": _DURATION_PATTERN}
        if not self.whole_seconds:
            return {**text, "examples": [self.example]}
        whole = {"type": "integer", "minimum": self.min_s, "maximum": self.max_s}
        return {"anyOf": [whole, text], "examples": [int(self.example)]}


@dataclass(frozen=True, slots=True)
class Ratio:
    """A share, written as `15%` or `0.15`; always below 1.

    Attributes:
        zero: Whether nothing at all is a sensible share.
        milli: Take Kubernetes milli-units too (`50m` is 0.05), which is how an API server prints an HPA's tolerance.
        example: Shown in messages and in the schema.
    """

    example: str
    zero: bool = False
    milli: bool = False

    @property
    def allowed(self) -> str:
        """The range in words."""
        return f"{'0' if self.zero else 'more than 0'} to less than 100%, such as {self.example}"

    def parse(self, value: object) -> float:
        """The share of a value from the document."""
        number = _number_of(value, {"%": 100.0, "m": 1000.0} if self.milli else {"%": 100.0})
        if number is None:
            raise refuse("is no share: write a percentage or a fraction", allowed=self.allowed)
        if self.zero and number == 0:
            return 0.0
        if not 0 < number < 1:
            is_bare = isinstance(value, int | float) and 1 < number < _PER_CENT
            meant = f"{_number(number)}%" if is_bare else None
            raise refuse("is out of range", allowed=self.allowed, nearest=meant)
        return number

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        writer = core_schema.plain_serializer_function_ser_schema(_percent)
        return core_schema.no_info_plain_validator_function(self.parse, serialization=writer)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        low = {"minimum": 0} if self.zero else {"exclusiveMinimum": 0}
        number = {"type": "number", **low, "exclusiveMaximum": 1}
        units = "%|m" if self.milli else "%"
        text = {"type": "string", "pattern": rf"^[0-9]+(\.[0-9]+)?\s?({units})?$"}
        return {"anyOf": [number, text], "examples": [self.example]}


class Percentile:
    """A percentile, written as `p95`, `95`, `0.95` or `95%`; the value is the share below it, 0.95."""

    allowed = "at least p1 and below p100, such as p95"

    def parse(self, value: object) -> float:
        """The share of a value from the document."""
        named = isinstance(value, str) and value[:1] in ("p", "P")
        number = _number_of(value[1:] if isinstance(value, str) and named else value, {"%": 1.0})
        if number is None:
            raise refuse("is no percentile: write p95, 95, 95% or 0.95", allowed=self.allowed)
        is_percent = named or (isinstance(value, str) and value.endswith("%"))
        if number == 1 and not is_percent:
            raise refuse("is no percentile: 1 could be one per cent or all", allowed=self.allowed)
        share = number if number < 1 and not is_percent else number / 100
        if not 1 / _PER_CENT <= share < 1:
            meant = f"p{_number(number * 100)}" if 0 < number < 1 else None
            raise refuse("is no percentile", allowed=self.allowed, nearest=meant)
        return share

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        writer = core_schema.plain_serializer_function_ser_schema(format_percentile)
        return core_schema.no_info_plain_validator_function(self.parse, serialization=writer)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        number = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100}
        text = {"type": "string", "pattern": r"^[pP]?[0-9]+(\.[0-9]+)?\s?%?$"}
        return {"anyOf": [text, number], "examples": ["p95"]}


def format_percentile(share: float) -> str:
    """The usual name of a percentile: 0.95 is `p95`."""
    return f"p{_number(share * 100)}"


def _percent(share: float) -> str | float:
    text = _number(share * 100)
    return f"{text}%" if float(text) / 100 == share else share


def _number_of(value: object, per_one: Mapping[str, float]) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if not isinstance(value, str):
        return float(value) if abs(value) <= _LARGEST_NUMBER else None
    found = re.fullmatch(rf"({_PIECE})\s?([a-zA-Z%]*)", value) if len(value) <= _LONGEST_TEXT else None
    size = {"": 1.0, **per_one}.get(found[2]) if found is not None else None
    return float(found[1]) / size if found is not None and size is not None else None


@dataclass(frozen=True, slots=True)
class Matching:
    """A text of a given form.

    Attributes:
        pattern: Regular expression that the whole text matches.
        what: The form in words, for messages.
        max_length: Most characters.
        repair: Makes the text that was probably meant of a wrong one.
    """

    pattern: str
    what: str
    max_length: int
    repair: Callable[[str], str] | None = None

    def check(self, text: str) -> str:
        """Return the text if it has the form."""
        if len(text) > self.max_length:
            raise refuse(f"is longer than {self.max_length} characters", allowed=self.what)
        if re.fullmatch(self.pattern, text) is None:
            meant = self.repair(text) if self.repair is not None else ""
            nearest = meant if re.fullmatch(self.pattern, meant) else None
            raise refuse("does not have the right form", allowed=self.what, nearest=nearest)
        return text

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{self.pattern}$", "maxLength": self.max_length}


def _lower_dashed(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")


def _prometheus_label(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", text)


_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
Namespace = Annotated[str, Matching(_LABEL, "lower-case letters, digits and inner dashes", 63, _lower_dashed)]
Name = Annotated[
    str, Matching(rf"{_LABEL}(\.{_LABEL})*", "lower-case letters, digits, inner dashes and dots", 253, _lower_dashed)
]
LabelName = Annotated[
    str,
    Matching(
        "[a-zA-Z_][a-zA-Z0-9_]*", "a Prometheus label name: letters, digits and underscores", 256, _prometheus_label
    ),
]
_LABEL_TEXT = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
KubeLabelName = Annotated[
    str,
    Matching(
        rf"({_LABEL}(\.{_LABEL})*/)?{_LABEL_TEXT}",
        "the name of a Kubernetes label: letters, digits, inner dashes, dots, underscores; a domain and / before it",
        317,
    ),
]
KubeLabelValue = Annotated[
    str,
    Matching(
        rf"({_LABEL_TEXT})?", "the value of a Kubernetes label: letters, digits, inner dashes, dots, underscores", 63
    ),
]
Text = Annotated[str, Matching(r"[^\x00-\x1f]+", "one line of text, not empty", 4096)]
