"""Charts as SVG: pure functions from numbers to markup, legible at any width without a script."""

from autoscaler.report.charts.figure import Chart, draw
from autoscaler.report.charts.series import Mark, Series
from autoscaler.report.charts.timeline import Span, Timeline, draw_timeline, spans_of

__all__ = ["Chart", "Mark", "Series", "Span", "Timeline", "draw", "draw_timeline", "spans_of"]
