"""The queries of a committed dashboard, as Grafana would send them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.prometheus import Prometheus

DASHBOARDS = Path(__file__).parents[2] / "dashboards"


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One query.

    Attributes:
        panel: Title of its panel.
        expr: PromQL, with Grafana's variables.
        unit: Of the panel.
        legend: What its series are called.
        color: Of its series, where it has one.
        dashed: Whether it is a target or a limit.
        instant: Whether only the present value is asked for.
    """

    panel: str
    expr: str
    unit: str
    legend: str
    color: str | None
    dashed: bool
    instant: bool

    def __str__(self) -> str:
        return f"{self.panel} [{self.legend or self.expr[:40]}]"

    def filled(self, variables: Mapping[str, str]) -> str:
        """The expression with values for the variables."""
        return filled(self.expr, variables)


def filled(expr: str, variables: Mapping[str, str]) -> str:
    """An expression with values for Grafana's variables."""
    for name, value in variables.items():
        expr = expr.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return expr


def window_s(dashboard: Mapping[str, Any], server: Prometheus, variables: Mapping[str, str], at_s: float) -> str:
    """The variable `window`, asked for and taken out of the answer as Grafana does; empty where there is none."""
    found = [variable for variable in dashboard["templating"]["list"] if variable["name"] == "window"]
    if not found:
        return ""
    query = filled(found[0]["query"].removeprefix("query_result(").removesuffix(")"), variables)
    answer = server.query(query, at_s)
    assert isinstance(answer, list)
    ((labels, value),) = answer
    assert not labels
    told = re.search(found[0]["regex"].strip("/"), f"{{}} {value:g} {at_s * 1000:.0f}")
    assert told is not None
    return told[1]


def load(file: str) -> dict[str, Any]:
    """A dashboard."""
    return dict(json.loads((DASHBOARDS / file).read_text()))


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its panels without the rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: Mapping[str, Any]) -> Iterator[PanelQuery]:
    """All queries of all panels."""
    for panel in panels(dashboard):
        looks = {override["matcher"]["options"]: _looks(override) for override in panel["fieldConfig"]["overrides"]}
        for target in panel["targets"]:
            own = looks.get(target["refId"], {})
            yield PanelQuery(
                panel["title"],
                target["expr"],
                panel["fieldConfig"]["defaults"]["unit"],
                target["legendFormat"],
                own.get("color", {}).get("fixedColor"),
                "custom.lineStyle" in own,
                target.get("instant", False),
            )


def _looks(override: Mapping[str, Any]) -> dict[str, Any]:
    return {looks["id"]: looks.get("value") for looks in override["properties"]}
