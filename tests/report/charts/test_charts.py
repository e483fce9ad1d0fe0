from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from autoscaler.report.charts import Chart, Mark, Series, Span, Timeline, draw, draw_timeline

AT_S = np.arange(0.0, 600.0, 60.0)
RISING = np.linspace(0.0, 9.0, AT_S.size)


def chart(*series: Series, **changed: Any) -> str:
    return draw(Chart("How many?", AT_S, series, **changed))


def paths(drawn: str) -> list[tuple[str, str]]:
    tree = ET.fromstring(drawn)  # noqa: S314 - our own markup
    return [(found.get("class", ""), found.get("d", "")) for found in tree.iter("path")]


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


def test_a_line_runs_from_edge_to_edge_and_from_bottom_to_top() -> None:
    ((kind, path),) = paths(chart(Series("some", RISING), top=9.0))

    assert kind == "line k1"
    assert points(path)[0] == (0, 180)
    assert points(path)[-1] == (1000, 18)  # the axis ends at 10


def test_a_gap_breaks_a_line() -> None:
    broken = RISING.copy()
    broken[4] = np.nan

    ((_, path),) = paths(chart(Series("some", broken)))

    assert path.count("M") == 2
    assert "nan" not in path


def test_a_step_holds_its_value_until_the_next_time_and_the_last_to_the_edge() -> None:
    ((_, path),) = paths(chart(Series("some", RISING, Mark.STEPS), end_s=600.0))

    corners = points(path)
    assert len(corners) == 2 * AT_S.size
    assert corners[0][1] == corners[1][1]
    assert corners[-1][0] == 1000


def test_stacked_areas_stand_on_one_another() -> None:
    below, above = paths(chart(Series("a", RISING, Mark.AREA), Series("b", RISING, Mark.AREA, 2), stack=True))

    top_of_below = points(below[1])[: AT_S.size]
    floor_of_above = points(above[1])[AT_S.size :][::-1]
    assert top_of_below == floor_of_above


def test_a_band_lies_between_its_edges() -> None:
    ((_, path),) = paths(chart(Series("likely", RISING + 2, Mark.BAND, low=RISING)))

    assert path.endswith("Z")
    assert len(points(path)) == 2 * AT_S.size


def test_what_exceeds_the_plot_is_drawn_at_its_edge() -> None:
    ((_, path),) = paths(chart(Series("some", RISING * 100), top=5.0))

    assert min(y for _, y in points(path)) == 0


def test_a_chart_without_any_value_is_drawn_nevertheless() -> None:
    drawn = chart(Series("some", np.full(AT_S.size, np.nan)))

    assert paths(drawn) == [("line k1", "")]
    assert "no values" in drawn


def test_a_chart_says_what_it_shows_to_who_cannot_see_it() -> None:
    drawn = chart(Series("queue", RISING), Series("target", np.full(AT_S.size, 5.0), Mark.LEVEL), unit="requests")

    assert 'role="img"' in drawn
    assert "Over time in requests. queue: 0 to 9, 4.5 on average; target: 5" in drawn


def test_readings_hold_every_value_and_cannot_end_their_script() -> None:
    drawn = chart(Series("</script>", RISING))

    found = re.search(r'<script type="application/json">(.*?)</script>', drawn)
    assert found is not None
    readings = json.loads(found[1])
    assert readings["s"][0]["n"] == "</script>"
    assert len(readings["x"]) == len(readings["s"][0]["y"]) == AT_S.size


def test_series_can_be_told_apart_without_colour() -> None:
    drawn = chart(Series("a", RISING), Series("b", RISING, colour=2, dashed=True))

    assert [kind for kind, _ in paths(drawn)] == ["line k1", "line dashed k2"]
    assert "swatch line dashed k2" in drawn


def test_a_timeline_has_a_bar_per_stretch_as_long_as_it_lasted() -> None:
    spans = (Span(0.0, 300.0, "on"), Span(300.0, 400.0, "off"))
    drawn = draw_timeline(Timeline("Where?", {"switch": spans}, {"on": 1, "off": 0}, 0.0, 400.0))

    bars = list(ET.fromstring(drawn).iter("rect"))  # noqa: S314 - our own markup
    assert [(bar.get("x"), bar.get("width"), bar.get("class")) for bar in bars] == [
        ("0.000%", "75.000%", "bar k1"),
        ("75.000%", "25.000%", "bar k0"),
    ]
    assert "switch: on 75% of the time, off 25% of the time" in drawn
