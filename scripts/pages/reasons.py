"""The reference of reasons, stages and conditions: what each means, and what to do about it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from autoscaler.core.decision import StageName
from autoscaler.daemon.conditions import CONDITIONS
from autoscaler.daemon.notices import Topic
from scripts.pages.markdown import code, page, table

_REASONS = """
Every stage of a decision has one reason out of this list. They are in the table of `recommend`, in the JSON record, in
logs, in Events, and as labels in the metrics; `pd-autoscaler explain` tells them in the order in which they were met.
"""
_CONDITIONS = """
Conditions of a `ScalingPolicy` object under `run --watch-policies`, in `kubectl describe`. `Effective` is the one to
alert on: it is true while signals and counts are there to decide on, and not only while nothing fails.
"""
_EVENTS = """
On the workloads in mode enforce, and under `run --watch-policies` on the `ScalingPolicy` in any mode. One that repeats
is counted and not written again.
"""


@cache
def texts() -> dict[str, Any]:
    """What is written about each, by hand."""
    found: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("reasons.yaml").read_text(encoding="utf-8"))
    return found


def reasons_page() -> str:
    """The page of reasons and stages."""
    stages, reasons = texts()["stages"], texts()["reasons"]
    order = table(("stage", "what it does"), [(code(stage), stages[stage.value]) for stage in StageName])
    blocks: list[str | list[str]] = ["# Reasons", _REASONS.strip(), "## Stages, in order", order]
    for stage, group in reasons.items():
        rows = [(code(name), about["means"], about.get("do", "nothing")) for name, about in group.items()]
        blocks += [f"## {stage.capitalize()}", table(("reason", "means", "what to do"), rows)]
    return page(*blocks)


def conditions_page() -> str:
    """The page of conditions and Events."""
    conditions, events = texts()["conditions"], texts()["events"]
    blocks: list[str | list[str]] = ["# Conditions and Events", _CONDITIONS.strip()]
    for name in ("Ready", *CONDITIONS):
        about = conditions[name]
        rows = [(code(reason), text) for reason, text in about["reasons"].items()]
        blocks += [f"## {name}", about["means"], table(("reason", "means, and what to do"), rows)]
    told = [(code(topic), events[topic]["means"], events[topic]["do"]) for topic in Topic]
    blocks += ["## Events", _EVENTS.strip(), table(("reason", "means", "what to do"), told)]
    return page(*blocks)


def documented() -> set[str]:
    """Reasons that are written about."""
    return {name for group in texts()["reasons"].values() for name in group}
