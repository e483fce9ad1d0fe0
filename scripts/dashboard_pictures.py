"""Draw the pictures of docs/dashboards.md: the queries of the committed dashboards on what the simulator exported.

No Grafana is at hand here, so the panels are drawn by matplotlib: same queries, same data, same colours, same places.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from autoscaler.simulation.traces.formats import bundled_trace
from autoscaler.simulation.traces.reshape import between, times
from tests.dashboards.panels import PanelQuery, load, queries
from tests.dashboards.recording import EPOCH_S, Part, record_together
from tests.support.prometheus import Prometheus, running_prometheus

PICTURES = Path(__file__).parents[1] / "docs" / "img"
# The part of a real morning in which load grows fastest, and a budget that its end does not fit into.
BEGIN_S, MINUTES = 5400.0, 120.0
BUDGET_GPUS = 80.0
# Copies of that morning, and the rank, of each service.
SERVICES = {"llama-70b": (6.0, 1), "llama-70b-eu": (4.0, 1), "llama-70b-batch": (4.0, 0)}
STEP_S = 30.0
# The first minutes have no full window of the queries behind them.
FROM_MINUTE = 5.0
# Grafana's grid: 24 columns, rows of about 38 pixels.
COLUMNS, COLUMN_IN, ROW_IN = 24, 0.58, 0.36
LINE_IN = 0.25
# Room that a name below a panel takes; a panel has room for so many lines of them.
LEGEND_KEY_IN, LEGEND_LETTER_IN, LEGEND_LINES = 0.55, 0.055, 2
DASHES = {True: (4, 3), False: (None, None)}
SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
SCALES = {"percentunit": (100.0, " %"), "s": (1.0, " s"), "short": (1.0, "")}


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a panel over time."""

    query: PanelQuery
    name: str
    minutes: list[float]
    values: list[float]


@dataclass(frozen=True, slots=True)
class Data:
    """Where a dashboard's numbers come from."""

    server: Prometheus
    until_s: float
    chosen: Mapping[str, str]

    def lines(self, query: PanelQuery) -> Iterator[Line]:
        """All series of a query."""
        span = {"start": str(EPOCH_S + FROM_MINUTE * 60.0), "end": str(self.until_s), "step": str(STEP_S)}
        for series in self.server.api("query_range", query=query.filled(self.chosen), **span)["result"]:
            name = query.legend
            for label, value in series["metric"].items():
                name = name.replace(f"{{{{{label}}}}}", value)
            minutes = [(float(at_s) - EPOCH_S) / 60.0 for at_s, _ in series["values"]]
            yield Line(query, name, minutes, [float(value) for _, value in series["values"]])

    def now(self, query: PanelQuery) -> list[tuple[dict[str, str], float]]:
        """The present values of a query."""
        found = self.server.query(query.filled(self.chosen), self.until_s)
        return found if isinstance(found, list) else []


def main() -> None:
    """Record, serve, draw."""
    morning = between(bundled_trace("azure2024_morning"), BEGIN_S, BEGIN_S + MINUTES * 60.0)
    parts = [
        Part(name, times(morning, copies, seed), priority)
        for seed, (name, (copies, priority)) in enumerate(SERVICES.items())
    ]
    together = record_together(parts, BUDGET_GPUS)
    PICTURES.mkdir(exist_ok=True)
    mpl.rcParams.update({"font.size": 7.5, "axes.spines.top": False, "axes.spines.right": False})
    with running_prometheus(openmetrics=together.openmetrics()) as server:
        everything = {"namespace": ".*", "service": ".*", "window": "300"}
        one = {"namespace": together.namespace, "service": next(iter(SERVICES))}
        for file, chosen in (("fleet", everything), ("service", one), ("health", everything)):
            draw(file, Data(server, together.until_s, chosen))


def draw(file: str, data: Data) -> None:
    """One picture of one dashboard."""
    dashboard = load(f"{file}.json")
    # One more, for the names below the last panels.
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) + 1
    width, height = COLUMNS * COLUMN_IN, rows * ROW_IN
    figure = plt.figure(figsize=(width, height))
    by_panel: dict[str, list[PanelQuery]] = {}
    for query in queries(dashboard):
        by_panel.setdefault(query.panel, []).append(query)
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        left, top = place["x"] / COLUMNS, 1.0 - place["y"] / rows
        if panel["type"] == "row":
            figure.text(0.005, top - 0.6 / rows, panel["title"], fontsize=10, fontweight="bold", va="center")
            continue
        margin_x, margin_top, margin_bottom = 0.9 / COLUMNS, 0.9 / rows, 1.5 / rows
        axes = figure.add_axes(
            (
                left + margin_x,
                top - place["h"] / rows + margin_bottom,
                place["w"] / COLUMNS - 1.4 * margin_x,
                place["h"] / rows - margin_top - margin_bottom,
            )
        )
        size = 7.0 if panel["type"] == "stat" else 8.5
        axes.set_title(textwrap.fill(panel["title"], 6 * place["w"]), fontsize=size, loc="left", fontweight="bold")
        PAINTERS[panel["type"]](axes, panel, by_panel[panel["title"]], data)
    figure.savefig(PICTURES / f"dashboard-{file}.png", dpi=90, pil_kwargs={"optimize": True})
    plt.close(figure)


def paint_lines(axes: Axes, panel: Mapping[str, Any], asked: list[PanelQuery], data: Data) -> None:
    """Lines, steps or stacks over time."""
    factor, suffix = scale(asked[0].unit)
    custom = panel["fieldConfig"]["defaults"]["custom"]
    lines = [line for query in asked for line in data.lines(query)]
    minutes = sorted({minute for line in lines for minute in line.minutes})
    below = [0.0] * len(minutes)
    for place, line in enumerate(lines):
        color = line.query.color or SERIES[place % len(SERIES)]
        values = [value * factor for value in line.values]
        if "stacking" in custom:
            known = dict(zip(line.minutes, values, strict=True))
            above = [known.get(minute, 0.0) + base for minute, base in zip(minutes, below, strict=True)]
            axes.fill_between(minutes, below, above, color=color, alpha=0.6, label=line.name, linewidth=0)
            below = above
            continue
        style = "steps-post" if custom.get("lineInterpolation") == "stepAfter" else "default"
        axes.plot(
            line.minutes,
            values,
            color=color,
            drawstyle=style,
            linewidth=1.3,
            dashes=DASHES[line.query.dashed],
            label=line.name,
        )
    if "axisSoftMin" in custom:
        axes.set_ylim(bottom=min(custom["axisSoftMin"] * factor, axes.get_ylim()[0]))
    axes.yaxis.set_major_formatter(lambda value, _position: f"{value:g}")
    axes.set_title(suffix.strip(), fontsize=7, loc="right")
    axes.grid(axis="y", linewidth=0.3)
    legend(axes)


def paint_states(axes: Axes, panel: Mapping[str, Any], asked: list[PanelQuery], data: Data) -> None:
    """One bar per state, where it held."""
    lines = sorted((line for query in asked for line in data.lines(query)), key=lambda line: line.name, reverse=True)
    for place, line in enumerate(lines):
        bars = [(minute, STEP_S / 60.0) for minute in line.minutes]
        axes.broken_barh(bars, (place - 0.35, 0.7), color=panel["fieldConfig"]["defaults"]["color"]["fixedColor"])
    axes.set_yticks(range(len(lines)), [line.name for line in lines], fontsize=6)
    axes.tick_params(axis="y", direction="in", pad=-4)
    for label in axes.get_yticklabels():
        label.set_horizontalalignment("left")
    axes.set_xlim(FROM_MINUTE - MINUTES * 0.2, MINUTES)
    axes.set_xticks(list(range(0, int(MINUTES) + 1, 30)))
    axes.set_xlabel("minutes", fontsize=6)


def paint_number(axes: Axes, panel: Mapping[str, Any], asked: list[PanelQuery], data: Data) -> None:
    """One large number."""
    value, defaults = data.now(asked[0])[0][1], panel["fieldConfig"]["defaults"]
    axes.axis("off")
    color = threshold_color(defaults["thresholds"], value)
    axes.text(0.0, 0.35, worded(value, asked[0].unit), fontsize=17, color=color, va="center")


def paint_rows(axes: Axes, panel: Mapping[str, Any], asked: list[PanelQuery], data: Data) -> None:
    """A table, sorted as the panel says; labels first, then a column a query."""
    options = panel["transformations"][1]["options"]
    names = {**{label: label for label in options["indexByName"]}, **options["renameByName"]}
    columns = sorted(options["indexByName"], key=lambda name: int(options["indexByName"][name]))
    styles = {
        override["matcher"]["options"]: {item["id"]: item["value"] for item in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
    }
    cells: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for target, query in zip(panel["targets"], asked, strict=True):
        for labels, value in data.now(query):
            cells.setdefault(tuple(sorted(labels.items())), {})[f"Value #{target['refId']}"] = value
    by = next(name for name, shown in names.items() if shown == panel["options"]["sortBy"][0]["displayName"])
    ordered = sorted(cells.items(), key=lambda item: -item[1].get(by, 0.0))
    axes.axis("off")
    line = LINE_IN / (axes.get_position().height * axes.figure.get_figheight())
    for place, column in enumerate(columns):
        left = place / len(columns)
        axes.text(left, 1.0 - line, names[column], fontweight="bold", va="center")
        for row, (labels, values) in enumerate(ordered, 2):
            text, color = dict(labels).get(column, ""), "black"
            if column in values:
                style = styles[names[column]]
                text = worded(values[column], style["unit"])
                if style.get("color", {}).get("mode") == "thresholds":
                    color = threshold_color(style["thresholds"], values[column])
            axes.text(left, 1.0 - row * line, text, color=color, va="center")
    for row in range(len(ordered) + 1):
        axes.axhline(1.0 - (row + 1.5) * line, color="#cccccc", linewidth=0.5)
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(0.0, 1.0)


def threshold_color(thresholds: Mapping[str, Any], value: float) -> str:
    """Colour of the highest step that the value has reached."""
    steps = [step for step in thresholds["steps"] if step["value"] is None or value >= step["value"]]
    return str(steps[-1]["color"])


def worded(value: float, unit: str) -> str:
    """A number as Grafana would show it, with two digits behind the point at most."""
    factor, suffix = scale(unit)
    return f"{round(value * factor, 2):g}{suffix}"


def scale(unit: str) -> tuple[float, str]:
    """Factor and suffix of a unit of Grafana."""
    return SCALES.get(unit, (1.0, f" {unit.removeprefix('suffix: ')}"))


def legend(axes: Axes) -> None:
    """Names below the panel, as many a line as fit."""
    handles, names = axes.get_legend_handles_labels()
    if names:
        width_in = axes.get_position().width * axes.figure.get_figwidth()
        fit = int(width_in / (LEGEND_KEY_IN + LEGEND_LETTER_IN * max(map(len, names))))
        most = max(fit, 1) * LEGEND_LINES
        axes.legend(
            handles[:most],
            names[:most],
            loc="upper left",
            bbox_to_anchor=(-0.02, -0.12),
            ncols=max(fit, 1),
            fontsize=6.5,
            frameon=False,
        )
    axes.set_xlim(0.0, MINUTES)


PAINTERS = {"timeseries": paint_lines, "state-timeline": paint_states, "stat": paint_number, "table": paint_rows}

if __name__ == "__main__":
    main()
