"""Bounds that hold at certain hours: by weekday and by the clock on the wall of some time zone.

Only the wall clock of the moment counts, so a change of summer time needs no rule of its own: an hour that is skipped
has no moment in it, an hour that comes twice holds twice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from itertools import product
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from autoscaler.config.base import Strict
from autoscaler.config.problems import nearest
from autoscaler.config.refusal import Conflicts, refuse
from autoscaler.config.values import Matching
from autoscaler.core import policy as plain

_DAY_MIN = 24 * 60
_WEEK_MIN = 7 * _DAY_MIN


class Day(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_WEEK = tuple(Day)


class TimeOfDay:
    """Marks minutes since midnight, written as `08:30`; `24:00` is the end of the day."""

    allowed = "00:00 to 24:00, in quotes"
    _pattern = r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00"

    def parse(self, value: object) -> int:
        """Minutes of a value from the document."""
        if not isinstance(value, str) or re.fullmatch(self._pattern, value) is None:
            raise refuse("is no time of day: write hours and minutes, such as '08:30'", allowed=self.allowed)
        hours, minutes = value.split(":")
        return int(hours) * 60 + int(minutes)

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        writer = core_schema.plain_serializer_function_ser_schema(_clock)
        return core_schema.no_info_plain_validator_function(self.parse, serialization=writer)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^({self._pattern})$", "examples": ["08:30"]}


class TimeZone:
    """Marks a text that is the name of a time zone in the IANA database."""

    def check(self, text: str) -> str:
        """Return the name if there is such a zone."""
        known = _zones()
        if text not in known:
            allowed = "a name of the IANA time zone database, such as Europe/Berlin or UTC"
            raise refuse("is no time zone", allowed=allowed, nearest=nearest(text, known))
        return text

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_+/-]*$", "maxLength": 64}


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime"})


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


class ScheduledBounds(Strict):
    """Bounds of one pool while a schedule holds."""

    min_replicas: Annotated[int, Field(ge=0, le=10_000)] | None = Field(
        default=None, alias="min", description="Never fewer replicas while it holds. Default: min of the pool."
    )
    max_replicas: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, alias="max", description="Never more replicas while it holds. Default: max of the pool."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        conflicts = Conflicts()
        if self.min_replicas is None and self.max_replicas is None:
            conflicts.add("min", message="and max are both missing: give one, or remove the pool from the schedule")
        conflicts.close()
        return self


class Schedule(Strict):
    """Other bounds for the pools at certain hours of certain days."""

    name: Annotated[str, Matching(r"[a-z0-9][a-z0-9-]*", "lower-case letters, digits and dashes", 63)] = Field(
        description="What to call it in decisions, such as office-hours. Required."
    )
    days: Annotated[tuple[Annotated[Day, Field(strict=False)], ...], Field(strict=False)] = Field(
        default=_WEEK, min_length=1, description="Days on which it begins: mon to sun. Default every day."
    )
    from_min: Annotated[int, TimeOfDay()] = Field(
        alias="from", description="When it begins, on the wall clock of timeZone, such as '08:00'. Required."
    )
    to_min: Annotated[int, TimeOfDay()] = Field(
        alias="to",
        description="When it ends; at or before `from` it ends on the next day, so '22:00' to '06:00' is a night. "
        "Required.",
    )
    time_zone: Annotated[str, TimeZone()] = Field(
        default="UTC",
        alias="timeZone",
        description="Zone of days and hours, such as Europe/Berlin; summer time is followed. Default UTC.",
    )
    prefill: ScheduledBounds | None = Field(
        default=None, description="Bounds of the prefill pool while it holds. Default: those of the pool."
    )
    decode: ScheduledBounds | None = Field(
        default=None, description="Bounds of the decode pool while it holds. Default: those of the pool."
    )

    @model_validator(mode="after")
    def _names_a_pool(self) -> Self:
        conflicts = Conflicts()
        if not self.by_role():
            conflicts.add("prefill", message="and decode are both missing: the schedule changes nothing")
        if self.from_min == _DAY_MIN:
            conflicts.add("from", message="is the end of a day", value="24:00", nearest="00:00")
        conflicts.close()
        return self

    def by_role(self) -> dict[plain.Role, ScheduledBounds]:
        """The bounds by role, of the pools that it names."""
        named = {plain.Role.PREFILL: self.prefill, plain.Role.DECODE: self.decode}
        return {role: bounds for role, bounds in named.items() if bounds is not None}

    def holds(self, now_s: float) -> bool:
        """Whether it holds at a moment (Unix time)."""
        local = datetime.fromtimestamp(now_s, UTC).astimezone(ZoneInfo(self.time_zone))
        return self.holds_in_week(local.weekday() * _DAY_MIN + local.hour * 60 + local.minute)

    def holds_in_week(self, minute: int) -> bool:
        """Whether it holds at a minute of the local week, which begins on Monday."""
        length = (self.to_min - self.from_min) % _DAY_MIN or _DAY_MIN
        starts = (_WEEK.index(day) * _DAY_MIN + self.from_min for day in self.days)
        return any((minute - start) % _WEEK_MIN < length for start in starts)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of a pool, and the schedule that they come from; empty for those of the pool itself."""

    min_replicas: int
    max_replicas: int
    schedule: str = ""


def scheduled(schedules: Sequence[Schedule], policy: plain.ServicePolicy, now_s: float) -> plain.ServicePolicy:
    """A policy with the bounds that hold at a moment.

    Of several schedules that hold, the last one in the list that names a pool sets its bounds.
    """
    winners = _winners([schedule for schedule in schedules if schedule.holds(now_s)])
    roles = dict(policy.roles)
    for role, schedule in winners.items():
        found = bounds_of(schedule, role, roles[role].min_replicas, roles[role].max_replicas)
        roles[role] = replace(
            roles[role],
            min_replicas=found.min_replicas,
            max_replicas=found.max_replicas,
            schedule=found.schedule,
        )
    return replace(policy, roles=roles) if winners else policy


def bounds_of(schedule: Schedule | None, role: plain.Role, min_replicas: int, max_replicas: int) -> Bounds:
    """Bounds of a pool under a schedule; what that leaves out is the pool's own."""
    if schedule is None:
        return Bounds(min_replicas, max_replicas)
    found = schedule.by_role()[role]
    return Bounds(
        found.min_replicas if found.min_replicas is not None else min_replicas,
        found.max_replicas if found.max_replicas is not None else max_replicas,
        schedule.name,
    )


def possible_winners(schedules: Sequence[Schedule]) -> set[tuple[Schedule | None, Schedule | None]]:
    """Which schedules can set the bounds of prefill and of decode at the same time.

    Exact where all share a time zone; else any that name the pools, as zones move against each other.
    """
    if len({schedule.time_zone for schedule in schedules}) > 1:
        prefill, decode = (
            [None, *(item for item in schedules if role in item.by_role())]
            for role in (plain.Role.PREFILL, plain.Role.DECODE)
        )
        return set(product(prefill, decode))
    edges = {0} | {
        (_WEEK.index(day) * _DAY_MIN + minute) % _WEEK_MIN
        for schedule in schedules
        for day in _WEEK
        for minute in (schedule.from_min, schedule.to_min)
    }
    weeks = (_winners([item for item in schedules if item.holds_in_week(edge)]) for edge in edges)
    return {(winners.get(plain.Role.PREFILL), winners.get(plain.Role.DECODE)) for winners in weeks}


def _winners(active: Sequence[Schedule]) -> dict[plain.Role, Schedule]:
    return {role: schedule for schedule in active for role in schedule.by_role()}
