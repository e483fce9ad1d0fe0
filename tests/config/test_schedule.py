from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.config.schedule import Day, Schedule
from autoscaler.core.decide import decide
from autoscaler.core.decision import StageName
from autoscaler.core.policy import Role, RolePolicy
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import State
from tests.config.builders import errors, policy

OFFICE: dict[str, Any] = {
    "name": "office-hours",
    "days": ["mon", "tue", "wed", "thu", "fri"],
    "from": "08:00",
    "to": "18:00",
    "timeZone": "Europe/Berlin",
    "prefill": {"min": 4},
}
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")


def schedule(**changes: Any) -> Schedule:
    return Schedule.model_validate({**OFFICE, **changes})


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def bounds_at(text: str, *schedules: dict[str, Any], role: Role = Role.PREFILL) -> RolePolicy:
    found = policy({"spec.schedules": list(schedules)})
    return found.at(found.core(), unix(text)).roles[role]


@pytest.mark.parametrize(
    ("at", "least"),
    [
        ("2026-11-20T07:59:59+01:00", 1),  # a Friday
        ("2026-11-20T08:00:00+01:00", 4),
        ("2026-11-20T17:59:59+01:00", 4),
        ("2026-11-20T18:00:00+01:00", 1),
        ("2026-11-21T12:00:00+01:00", 1),  # Saturday
        ("2026-07-20T08:00:00+02:00", 4),  # summer time
        ("2026-07-20T08:00:00+01:00", 4),
        ("2026-07-20T07:30:00+02:00", 1),
    ],
)
def test_a_schedule_holds_by_the_clock_on_the_wall_of_its_zone(at: str, least: int) -> None:
    assert bounds_at(at, OFFICE).min_replicas == least


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    night = {**OFFICE, "name": "night", "days": ["fri"], "from": "22:00", "to": "06:00", "timeZone": "UTC"}

    assert bounds_at("2026-11-20T23:00:00+00:00", night).schedule == "night"
    assert bounds_at("2026-11-21T05:59:00+00:00", night).schedule == "night"
    assert bounds_at("2026-11-20T05:00:00+00:00", night).schedule == ""


def test_a_schedule_from_midnight_to_midnight_is_the_whole_day_and_no_more() -> None:
    sunday = {**OFFICE, "days": ["sun"], "from": "00:00", "to": "24:00", "timeZone": "UTC"}

    assert bounds_at("2026-11-22T23:59:59+00:00", sunday).min_replicas == 4
    assert bounds_at("2026-11-23T00:00:00+00:00", sunday).min_replicas == 1
    assert bounds_at("2026-11-21T23:59:59+00:00", sunday).min_replicas == 1


def test_the_last_schedule_that_names_a_pool_sets_its_bounds() -> None:
    launch = {
        "name": "launch",
        "from": "12:00",
        "to": "13:00",
        "timeZone": "Europe/Berlin",
        "prefill": {"min": 6, "max": 7},
    }
    decode_only = {**launch, "name": "decode-only", "prefill": None, "decode": {"min": 3}}
    del decode_only["prefill"]
    noon = "2026-11-20T12:30:00+01:00"

    prefill = bounds_at(noon, OFFICE, launch, decode_only)
    decode = bounds_at(noon, OFFICE, launch, decode_only, role=Role.DECODE)

    assert (prefill.schedule, prefill.min_replicas, prefill.max_replicas) == ("launch", 6, 7)
    assert (decode.schedule, decode.min_replicas, decode.max_replicas) == ("decode-only", 3, 8)
    assert bounds_at(noon, launch, OFFICE).schedule == "office-hours"


def test_a_decision_names_the_schedule_that_bounds_it() -> None:
    now_s = unix("2026-11-20T12:00:00+01:00")
    found = policy({"spec.schedules": [OFFICE]})
    pools = {role: PoolState(1, 1) for role in (Role.PREFILL, Role.DECODE)}

    decision, _ = decide(found.at(found.core(), now_s), Snapshot("llama-70b", now_s, pools, {}, {}), State(), now_s)
    (stage,) = (stage for stage in decision.roles[Role.PREFILL].stages if stage.stage is StageName.BOUNDS)

    assert (stage.before, stage.after, stage.detail) == (1, 4, "schedule office-hours wants at least 4")


@given(
    zone=st.sampled_from(ZONES),
    day=st.integers(0, 3 * 366),
    minute=st.integers(0, 24 * 60 - 1),
    from_min=st.integers(0, 24 * 60 - 1),
    to_min=st.integers(0, 24 * 60),
)
def test_what_the_wall_clock_shows_is_all_that_counts(
    zone: str, day: int, minute: int, from_min: int, to_min: int
) -> None:
    found = schedule(
        **{
            "days": [day.value for day in Day],
            "from": f"{from_min // 60:02d}:{from_min % 60:02d}",
            "to": f"{to_min // 60:02d}:{to_min % 60:02d}",
            "timeZone": zone,
        }
    )
    at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=day, minutes=minute)
    wall = at.astimezone(ZoneInfo(zone))
    shown = wall.hour * 60 + wall.minute

    expected = from_min <= shown < to_min if from_min < to_min else shown >= from_min or shown < to_min

    assert found.holds(at.timestamp()) == expected


@pytest.mark.parametrize(
    ("day", "start", "end", "minutes"),
    [
        ("2026-03-28", "01:30", "03:30", 120),
        ("2026-03-29", "01:30", "03:30", 60),  # 02:00 becomes 03:00
        ("2026-03-29", "02:15", "02:45", 0),
        ("2026-10-25", "01:30", "03:30", 180),  # 03:00 becomes 02:00
        ("2026-10-25", "02:15", "02:45", 60),
        ("2026-10-25", "00:00", "24:00", 1500),
    ],
)
def test_a_skipped_hour_has_no_moment_and_a_doubled_one_holds_twice(
    day: str, start: str, end: str, minutes: int
) -> None:
    found = schedule(**{"days": [datetime.fromisoformat(day).strftime("%a").lower()], "from": start, "to": end})
    midnight_s = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()

    assert sum(found.holds(midnight_s + 60 * minute) for minute in range(26 * 60)) == minutes


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"timeZone": "Europe/Berln"}, "timeZone", "Europe/Berlin"),
        ({"timeZone": "../../etc/passwd"}, "timeZone", "no time zone"),
        ({"from": "8:00"}, "from", "no time of day"),
        ({"from": 480}, "from", "no time of day"),
        ({"to": "25:00"}, "to", "no time of day"),
        ({"from": "24:00"}, "from", "end of a day"),
        ({"days": ["monday"]}, "days[0]", "mon"),
        ({"days": []}, "days", "empty"),
        ({"prefill": {}}, "prefill.min", "both missing"),
        ({"prefill": {"min": 9}}, "prefill", "max 8"),
        ({"decode": {"min": 0}}, "decode.min", "nothing would be served"),
        ({"nights": True}, "nights", "no key of this place"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused(change: dict[str, Any], path: str, words: str) -> None:
    (problem,) = errors({"spec.schedules": [{**OFFICE, **change}]})

    assert problem.path == f"spec.schedules[0].{path}"
    assert words in str(problem)


def test_a_schedule_must_name_a_pool() -> None:
    (problem,) = errors({"spec.schedules": [{"name": "idle", "from": "00:00", "to": "06:00"}]})

    assert "changes nothing" in problem.message


def test_two_schedules_may_not_share_a_name() -> None:
    (problem,) = errors({"spec.schedules": [OFFICE, {**OFFICE, "days": ["sun"]}]})

    assert problem.path == "spec.schedules[1].name"


def test_a_schedule_whose_bounds_break_band_or_budget_is_refused() -> None:
    (band,) = errors({"spec.schedules": [OFFICE], "spec.ratio": {"max": 0.25}, "spec.roles.decode.max": 15})
    (budget,) = errors({"spec.schedules": [OFFICE], "spec.maxGpus": 4})

    assert (band.path, budget.path) == ("spec.schedules[0]", "spec.schedules[0]")
    assert "ratio leaves no pair" in band.message
    assert "5 GPUs of the smallest pools" in budget.message


def test_schedules_that_never_meet_may_contradict_each_other() -> None:
    morning = {**OFFICE, "name": "morning", "to": "12:00", "prefill": {"min": 6}}
    evening = {**OFFICE, "name": "evening", "from": "12:00", "prefill": {"max": 2}, "decode": {"min": 6}}

    assert errors({"spec.schedules": [morning, evening], "spec.maxGpus": 8}) == []


def test_schedules_of_two_zones_may_meet_at_any_hour() -> None:
    morning = {**OFFICE, "name": "morning", "to": "12:00", "prefill": {"min": 6}}
    evening = {**OFFICE, "name": "evening", "from": "12:00", "timeZone": "Asia/Tokyo", "prefill": {"max": 2}}
    evening |= {"decode": {"min": 6}}

    (problem,) = errors({"spec.schedules": [morning, evening], "spec.maxGpus": 8})

    assert problem.path == "spec.schedules[1]"
