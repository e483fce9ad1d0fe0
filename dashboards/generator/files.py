"""Which file holds which dashboard."""

from __future__ import annotations

from pathlib import Path

from autoscaler.stacks.load import stack_names
from dashboards.generator.fleet import fleet
from dashboards.generator.frame import text
from dashboards.generator.health import health
from dashboards.generator.service import service
from dashboards.generator.stack import stack_signals

ROOT = Path(__file__).parents[1]


def files() -> dict[Path, str]:
    """The text of every dashboard by its path."""
    made = {"fleet.json": fleet(), "service.json": service(), "health.json": health()}
    made |= {f"stacks/{name}.json": stack_signals(name) for name in stack_names()}
    return {ROOT / name: text(dashboard) for name, dashboard in made.items()}
