"""All jobs of the contest, the most telling first: who plays which case with which settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from autoscaler.simulation.baselines.registry import BASELINES
from benchmarks.contest.cases import CALIBRATIONS, DAY_LOADS, OBJECTIVES, SHARED_LOADS, STARTUPS_S, Case

OURS, BOUND, VERIFIED = "ours", "bound", "verified"
STATIC_PEAK, STATIC_BEST, AMPLE = "static-peak", "static-best", "ample"
SWITCHED = ("switch-auto", "switch-on", "switch-off")
STATICS = (STATIC_PEAK, STATIC_BEST, AMPLE)
HPA_FAMILY = ("hpa-rps", "hpa", "keda")

DEFAULTS, CAPPED, FLOORED = "defaults", "capped", "floored"


@dataclass(frozen=True, slots=True)
class Job:
    """One run.

    Attributes:
        case: Service and load.
        contender: Who plays: ours, a fixed fleet, a bound, or a name in the registry of baselines.
        settings: Which of a baseline's settings, by what differs from its defaults.
        bounds: What else was chosen in hindsight: nothing; at most 1.5 times the static peak; and at least half of it.
    """

    case: Case
    contender: str
    settings: str = ""
    bounds: str = DEFAULTS

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Job:
        """Back from JSON."""
        return cls(Case(**plain["case"]), plain["contender"], plain["settings"], plain["bounds"])


def contest() -> Iterator[Job]:
    """Every job once: days at normal objectives and 240 s first, then what varies from there, then the rest."""
    seen = set()
    for job in _ordered():
        if job not in seen:
            seen.add(job)
            yield job


def smoke() -> Iterator[Job]:
    """Seconds of work that take every path."""
    for load in ("smoke-azure", "smoke-steps"):
        case = Case(load, startup_s=60.0)
        yield from (Job(case, contender) for contender in (BOUND, OURS, *STATICS))
        yield from (Job(case, name) for name in BASELINES)
        yield from _tuned(case, HPA_FAMILY[:1])
    yield from (Job(Case("smoke-steps", startup_s=60.0), contender) for contender in SWITCHED)


def _ordered() -> Iterator[Job]:
    central = [Case(load) for load in (*DAY_LOADS, *SHARED_LOADS)]
    for case in central:
        yield from (Job(case, contender) for contender in (BOUND, OURS, STATIC_PEAK))
    yield from (Job(Case("constant"), contender) for contender in (BOUND, OURS))
    yield from _switches()
    for case in central:
        yield from _tuned(case, ("hpa-rps",), (CAPPED,))
    for case in central:
        yield from (Job(case, contender) for contender in (AMPLE, STATIC_BEST))
        yield from (Job(case, name) for name in BASELINES)
    for case in _cases():
        yield from (Job(case, contender) for contender in (BOUND, OURS, STATIC_PEAK))
    for case in central:
        yield from _tuned(case, HPA_FAMILY)
        yield from _tuned(case, tuple(BASELINES))
    for case in central:
        yield Job(case, VERIFIED)
    for case in _cases():
        yield from _tuned(case, ("hpa-rps",))
        yield from (Job(case, name) for name in BASELINES)


def _cases() -> Iterator[Case]:
    for calibration, startup_s, objectives in product(CALIBRATIONS, STARTUPS_S, OBJECTIVES):
        for load in SHARED_LOADS:
            yield Case(load, calibration, startup_s, objectives)


def _switches() -> Iterator[Job]:
    for load in ("mixed-day", "documents-day"):
        case = Case(load, objectives="tight")
        yield Job(case, BOUND)
        yield from (Job(case, contender) for contender in SWITCHED)


def _tuned(case: Case, names: tuple[str, ...], bounds: tuple[str, ...] = (CAPPED, FLOORED)) -> Iterator[Job]:
    for name in names:
        baseline = BASELINES[name]
        for settings, hindsight in product(baseline.settings, bounds):
            if hindsight == CAPPED or name in HPA_FAMILY:
                yield Job(case, name, baseline.label(settings), hindsight)
