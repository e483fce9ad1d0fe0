"""What all dashboards have in common: variables, links, time range, and the file that they become."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from dashboards.generator.kit import SOURCE, Panel
from dashboards.generator.promql import own

TAG = "pd-autoscaler"
DOCS_URL = "https://github.com/pd-autoscaler/pd-autoscaler/blob/main/docs"
Section = tuple[str, list[Panel]]

# What the SDK fills in for every kind of variable: an id that is the same for all, and what only intervals have. Like
# the style of a dashboard and the footer of a table, later versions of Grafana know it no more.
_OF_OTHER_VARIABLES = ("id", "auto", "auto_min", "auto_count")
# A result is given as `{labels} value time`.
_WHOLE_VALUE = r"/\} (\d+)/"
_LEAST_WINDOW_S = 300
_LINKS = (
    ("Fleet", "pd-autoscaler-fleet"),
    ("Service", "pd-autoscaler-service"),
    ("Autoscaler health", "pd-autoscaler-health"),
)


def service_url(namespace: str, service: str) -> str:
    """Address of the Service dashboard for a row of a table."""
    query = f"var-datasource=${{datasource}}&var-namespace={namespace}&var-service={service}&${{__url_time_range}}"
    return f"/d/pd-autoscaler-service?{query}"


def frame(uid: str, title: str, description: str, *, runbook: str) -> dashboards.Dashboard:
    """A dashboard without variables of its own and panels.

    Args:
        uid: Of the dashboard; data sources have none here.
        title: Its name.
        description: What it answers.
        runbook: Page of the documentation to go to in trouble.
    """
    made = (
        dashboards.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboards.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for name, other in _LINKS:
        if other != uid:
            made.link(
                dashboards.DashboardLink(name)
                .type(models.DashboardLinkType.LINK)
                .url(f"/d/{other}")
                .keep_time(True)
                .include_vars(True)
            )
    return made.link(
        dashboards.DashboardLink("Runbook")
        .type(models.DashboardLinkType.LINK)
        .url(f"{DOCS_URL}/{runbook}")
        .target_blank(True)
    )


def choice(name: str, label: str, query: str, *, many: bool) -> dashboards.QueryVariable:
    """A variable that is chosen from label values."""
    made = (
        dashboards.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(SOURCE)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    if many:
        everything = models.VariableOption(selected=True, text="All", value="$__all")
        made.multi(True).include_all(True).all_value(".*").current(everything)
    return made


def window(where: str) -> dashboards.QueryVariable:
    """The variable that `promql.WINDOW` is made of: seconds that hold three ticks of the slowest service in view.

    Args:
        where: Matchers of the services, as they stand between braces.
    """
    slowest = f"clamp_min(3 * max({own(where, 'interval_seconds')}), {_LEAST_WINDOW_S}) or vector({_LEAST_WINDOW_S})"
    shortest = models.VariableOption(text=str(_LEAST_WINDOW_S), value=str(_LEAST_WINDOW_S))
    return (
        dashboards.QueryVariable("window")
        .hide(models.VariableHide.HIDE_VARIABLE)
        .query(f"query_result({slowest})")
        .regex(_WHOLE_VALUE)
        .datasource(SOURCE)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .current(shortest)
    )


def filled(made: dashboards.Dashboard, sections: Iterable[Section]) -> dict[str, Any]:
    """The dashboard with its panels, as plain data."""
    for title, panels in sections:
        made.with_row(dashboards.Row(title))
        for panel in panels:
            made.with_panel(panel)
    plain = dict(json.loads(json.dumps(made.build(), cls=JSONEncoder)))
    del plain["style"]
    for variable in plain["templating"]["list"]:
        for name in _OF_OTHER_VARIABLES:
            variable.pop(name, None)
        variable["skipUrlSync"] = variable.get("hide") == models.VariableHide.HIDE_VARIABLE
    for panel in plain["panels"]:
        if panel["type"] == "table":
            del panel["options"]["footer"]
    return plain


def text(dashboard: dict[str, Any]) -> str:
    """The file of a dashboard."""
    return json.dumps(dashboard, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
