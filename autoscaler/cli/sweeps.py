"""`--sweep key=a,b`: every combination of settings, written into the policies as a user would."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from autoscaler.cli.exits import CliError
from autoscaler.config import PolicyError, ScalingPolicy
from autoscaler.config.files import PolicyFiles
from autoscaler.config.load import parse
from autoscaler.config.problems import meant
from autoscaler.simulation.sweep import Case
from autoscaler.simulation.wall_clock import OnSchedule

KEYS: Mapping[str, str] = {
    "ttft": "TTFT target",
    "tpot": "TPOT target",
    "attainment": "share of requests to be in time",
    "startup": "startup time of a replica",
    "rate": "times the rate",
    "seed": "of everything random",
}

_COLUMNS = {"attainment": "goal"}  # of a row, the share that was attained has that name

MOST_RATE = 10_000.0
"""More than any recording has to be multiplied by; beyond it memory ends."""


def parse_sweeps(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Values by key.

    Raises:
        CliError: A sweep has another form, a key is not known, or it or one of its values is given twice.
    """
    sweeps: dict[str, tuple[str, ...]] = {}
    for text in given:
        key, equals, values = text.partition("=")
        found = tuple(value.strip() for value in values.split(",") if value.strip())
        if not equals or not found:
            raise CliError(f"--sweep {text}: wants KEY=VALUE,VALUE, such as startup=60s,240s")
        if key not in KEYS:
            raise CliError(f"--sweep {key}: no such setting; there are {', '.join(KEYS)}{meant(key, KEYS)}")
        if key in sweeps:
            raise CliError(f"--sweep {key}: given twice; name all its values at once, as in {key}=a,b")
        refuse_twice(f"--sweep {key}: {{}} is named twice, and would be played twice: leave one out", found)
        sweeps[key] = found
    return sweeps


def column_of(key: str) -> str:
    """What a setting is called in the rows of a sweep."""
    return _COLUMNS.get(key, key)


def refuse_twice(refusal: str, names: Iterable[str]) -> None:
    """Refuse a list that has one name twice.

    Args:
        refusal: What is said of it, with a place for the name.
        names: The list.

    Raises:
        CliError: It has one.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise CliError(refusal.format(name))
        seen.add(name)


def cases_of(
    policies: Mapping[str, ScalingPolicy], sweeps: Mapping[str, Sequence[str]], rate: float, seed: int, begins_s: float
) -> list[Case]:
    """A case for every combination of values, in the order in which they were given.

    Args:
        policies: What to vary, by name.
        sweeps: The values by key.
        rate: Times the rate, where that is not varied.
        seed: Of everything random, where that is not varied.
        begins_s: Unix time at which the load begins, for schedules.

    Raises:
        CliError: A value is no number where one is meant.
        PolicyError: A policy does not take a value.
    """
    cases = []
    for values in product(*sweeps.values()):
        settings = dict(zip(sweeps, values, strict=True))
        varied = {name: with_settings(policy, settings) for name, policy in policies.items()}
        cases.append(
            Case(
                {column_of(key): value for key, value in settings.items()},
                {name: policy.core() for name, policy in varied.items()},
                _rate(settings["rate"]) if "rate" in settings else rate,
                _seed(settings["seed"]) if "seed" in settings else seed,
                {name: OnSchedule(policy, begins_s) for name, policy in varied.items()},
            )
        )
    return cases


def with_settings(policy: ScalingPolicy, settings: Mapping[str, str]) -> ScalingPolicy:
    """The policy with other settings, refused in the words that a file with them would be.

    Raises:
        PolicyError: It does not take them.
    """
    document = plain(policy)
    spec: dict[str, Any] = document["spec"]
    for key, value in settings.items():
        match key:
            case "ttft" | "tpot":
                spec["objectives"][key]["target"] = value
            case "attainment":
                spec["objectives"]["attainment"] = value
            case "startup":
                for role in spec["roles"].values():
                    role["startupTime"] = value
    return checked(document, "--sweep", policy.spec.files)


def plain(policy: ScalingPolicy) -> dict[str, Any]:
    """A policy as the document that a user would have written; only what was given, no default."""
    document: dict[str, Any] = policy.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return document


def checked(document: Mapping[str, Any], source: str, files: PolicyFiles | None = None) -> ScalingPolicy:
    """A document as a policy, refused in the words that a file would be.

    Args:
        document: The policy.
        source: What to call it in messages.
        files: What files it may name; None for any, from the working directory.

    Raises:
        PolicyError: It is no good policy.
    """
    report = parse(json.dumps(document).encode(), Path(source), files)
    if report.errors:
        raise PolicyError(replace(problem, line=None) for problem in report.errors)  # nobody wrote these lines
    return report.policies[0].policy


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise CliError(f"--sweep rate={text}: is no number") from None
    if not 0 < value <= MOST_RATE:
        raise CliError(f"--sweep rate={text}: must be above 0 and at most {MOST_RATE:g}")
    return value


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise CliError(f"--sweep seed={text}: is no whole number from 0 on")
    return int(text)
