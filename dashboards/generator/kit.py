"""Panels in the words of this project; the foundation SDK makes Grafana's JSON of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import common, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.generator import palette

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
WHOLE, HALF, THIRD, QUARTER = 24, 12, 8, 6
_HEIGHT = 8

Panel = timeseries.Panel | stat.Panel | table.Panel | statetimeline.Panel
P = TypeVar("P", timeseries.Panel, stat.Panel, table.Panel, statetimeline.Panel)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel.

    Attributes:
        expr: PromQL, with Grafana's variables.
        legend: What its series are called; `{{label}}` stands for a label.
        color: Of its series; None for shades, for where nobody knows how many there will be.
        dashed: Whether the line is a target or a limit, not a measurement.
    """

    expr: str
    legend: str
    color: str | None = None
    dashed: bool = False


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = HALF,
    steps: bool = False,
    stacked: bool = False,
    least: float | None = 0.0,
) -> timeseries.Panel:
    """Quantities over time; `steps` for counts that jump."""
    panel = (
        timeseries.Panel()
        .line_width(2.0)
        .fill_opacity(30.0 if stacked else 0.0)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
        .color_scheme(_shades())
    )
    if steps:
        panel.line_interpolation(common_models.LineInterpolation.STEP_AFTER)
    if stacked:
        panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
    if least is not None:
        panel.axis_soft_min(least)
    for ref, query in _lettered(queries):
        panel.with_target(_target(ref, query))
        panel.override_by_query(ref, _looks(query))
    return _described(panel, title, description, unit, width, _HEIGHT)


def number(
    title: str, description: str, unit: str, query: Query, *, steps: Sequence[tuple[float | None, str]] = ()
) -> stat.Panel:
    """One number, now; `steps` are colours from a value on, the first from minus infinity."""
    panel = (
        stat.Panel()
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .thresholds(_thresholds(steps or [(None, palette.BLUE)]))
        .with_target(_target("A", query))
    )
    return _described(panel, title, description, unit, QUARTER, 4)


def states(
    title: str, description: str, *queries: Query, width: int = HALF, height: int = _HEIGHT
) -> statetimeline.Panel:
    """What holds when: one row per series, filled where the value is 1."""
    panel = (
        statetimeline.Panel()
        .merge_values(True)
        .show_value(common_models.VisibilityMode.NEVER)
        .row_height(0.8)
        .fill_opacity(90)
        .color_scheme(_fixed(palette.BLUE))
    )
    for ref, query in _lettered(queries):
        panel.with_target(_target(ref, query))
        panel.override_by_query(ref, _looks(query))
    return _described(panel, title, description, "short", width, height)


@dataclass(frozen=True, slots=True)
class Column:
    """One number per row of a table.

    Attributes:
        name: Its heading.
        expr: PromQL; its labels are the rows.
        unit: Unit of its values.
        steps: Colours from a value on; none for plain text.
    """

    name: str
    expr: str
    unit: str
    steps: tuple[tuple[float | None, str], ...] = ()


def rows(
    title: str,
    description: str,
    columns: Sequence[Column],
    *,
    keys: Sequence[str],
    sort: str,
    links: Sequence[tuple[str, str]] = (),
    width: int = WHOLE,
    descending: bool = True,
) -> table.Panel:
    """A table with a row per combination of `keys`, worst first."""
    panel = table.Panel()
    hidden = {"Time": True}
    names: dict[str, str] = {}
    for ref, column in _lettered(columns):
        panel.with_target(_target(ref, Query(column.expr, "")).instant().format(PromQueryFormat.TABLE))
        names[f"Value #{ref}"] = column.name
        panel.override_by_name(column.name, _cell(column))
    panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    order = {name: place for place, name in enumerate([*keys, *names])}
    panel.with_transformation(
        models.DataTransformerConfig(
            id_val="organize", options={"excludeByName": hidden, "indexByName": order, "renameByName": names}
        )
    )
    panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(descending)])
    if links:
        panel.override_by_name(
            "service",
            [
                models.DynamicConfigValue(
                    id_val="links", value=[{"title": name, "url": url, "targetBlank": False} for name, url in links]
                )
            ],
        )
    panel.color_scheme(_fixed(palette.BLUE))
    return _described(panel, title, description, "short", width, 10)


def _described(panel: P, title: str, description: str, unit: str, width: int, height: int) -> P:
    panel.title(title)
    panel.description(description)
    panel.unit(unit)
    panel.datasource(SOURCE)
    panel.interval("1m")
    panel.span(width)
    panel.height(height)
    return panel


def _target(ref: str, query: Query) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(ref).expr(query.expr).legend_format(query.legend).datasource(SOURCE)


def _lettered(items: Sequence[T]) -> list[tuple[str, T]]:
    return [(chr(ord("A") + place), item) for place, item in enumerate(items)]


def _looks(query: Query) -> list[models.DynamicConfigValue]:
    looks = []
    if query.color is not None:
        looks.append(models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": query.color}))
    if query.dashed:
        looks.append(models.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 6]}))
    return looks


def _cell(column: Column) -> list[models.DynamicConfigValue]:
    looks = [models.DynamicConfigValue(id_val="unit", value=column.unit)]
    if column.steps:
        steps = [{"value": value, "color": color} for value, color in column.steps]
        looks += [
            models.DynamicConfigValue(id_val="thresholds", value={"mode": "absolute", "steps": steps}),
            models.DynamicConfigValue(id_val="color", value={"mode": "thresholds"}),
            models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
        ]
    return looks


def _thresholds(steps: Sequence[tuple[float | None, str]]) -> dashboards.ThresholdsConfig:
    return (
        dashboards.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in steps])
    )


def _shades() -> dashboards.FieldColor:
    return dashboards.FieldColor().mode(models.FieldColorModeId.SHADES).fixed_color(palette.BLUE)


def _fixed(color: str) -> dashboards.FieldColor:
    return dashboards.FieldColor().mode(models.FieldColorModeId.FIXED).fixed_color(color)
