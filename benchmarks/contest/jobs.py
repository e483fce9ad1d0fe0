"""All that the contest plays, the most telling first: who plays which case with which settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from autoscaler.simulation.baselines.registry import BASELINES
from benchmarks.contest.cases import CALIBRATIONS, DAY_LOADS, OBJECTIVES, OTHER_SEEDS, SHARED_LOADS, STARTUPS_S, Case

OURS, BOUND, VERIFIED = "ours", "bound", "verified"
STATIC_PEAK, STATIC_BEST, AMPLE = "static-peak", "static-best", "ample"
SWITCHED = ("switch-auto", "switch-on", "switch-off")
OUR_OWN = (OURS, *SWITCHED)
STATICS = (STATIC_PEAK, STATIC_BEST, AMPLE)
HPA_OR_KEDA = ("hpa-rps", "keda", "hpa", "llm-d-slo", "llm-d-token")
DYNAMO = "dynamo"

DEFAULTS, CAPPED, FLOORED = "defaults", "capped", "floored"

# Rivals that are tuned in every case, the strongest of their kinds; the others are tuned where the claims are made.
_EVERYWHERE = ("hpa-rps", "keda", DYNAMO)
_VERIFIED_LOADS = ("azure-2023-hour", "azure-conv-day", "m-large-day")


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


@dataclass(frozen=True, slots=True)
class Search:
    """A rival's best settings for a case, to be found.

    Attributes:
        case: Service and load.
        contender: Name in the registry of baselines.
        thorough: Look for what our attainment takes besides what the objective takes, and try variants of what is
            found.
    """

    case: Case
    contender: str
    thorough: bool = False


def contest() -> Iterator[Job | Search]:
    """Everything once: days at normal objectives and 240 s first, then what varies from there."""
    return iter(dict.fromkeys(_ordered()))


def smoke() -> Iterator[Job | Search]:
    """Seconds of work that take every path."""
    for load in ("smoke-azure", "smoke-steps"):
        case = Case(load, startup_s=60.0)
        yield from (Job(case, contender) for contender in (BOUND, OURS, *STATICS))
        yield from (Job(case, name) for name in BASELINES)
        yield Search(case, "hpa-rps", thorough=True)
    yield from (Job(Case("smoke-steps", startup_s=60.0), contender) for contender in SWITCHED)


def _ordered() -> Iterator[Job | Search]:
    central = [Case(load) for load in (*DAY_LOADS, *SHARED_LOADS)]
    for case in central:
        yield from (Job(case, contender) for contender in (BOUND, OURS, STATIC_PEAK, AMPLE))
    yield from (Job(Case("constant"), contender) for contender in (BOUND, OURS))
    yield from _switches()
    for name in ("hpa-rps", "keda", DYNAMO, "hpa"):
        yield from (Search(case, name, thorough=True) for case in central)
    for name in ("llm-d-slo", "llm-d-token"):
        yield from (Search(Case(load), name, thorough=True) for load in DAY_LOADS)
    for case in central:
        yield from (Job(case, name) for name in BASELINES)
        yield Job(case, STATIC_BEST)
    for case in central:
        yield from (Search(case, name) for name in BASELINES)
    yield from (Job(Case(load), VERIFIED) for load in _VERIFIED_LOADS)
    for load, seed in product(DAY_LOADS, OTHER_SEEDS):
        yield from (Job(Case(load, seed=seed), contender) for contender in (BOUND, OURS))
    for case in _cases():
        yield from (Job(case, contender) for contender in (BOUND, OURS, STATIC_PEAK))
    for case in _cases():
        yield from (Search(case, name) for name in _EVERYWHERE)


def _cases() -> Iterator[Case]:
    for calibration, startup_s, objectives in product(CALIBRATIONS, STARTUPS_S, OBJECTIVES):
        for load in SHARED_LOADS:
            yield Case(load, calibration, startup_s, objectives)


def _switches() -> Iterator[Job]:
    for load in ("mixed-day", "documents-day"):
        case = Case(load, objectives="tight")
        yield Job(case, BOUND)
        yield from (Job(case, contender) for contender in SWITCHED)
