"""Both latencies over time against their targets, on the pages that show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from autoscaler.core.policy import Objectives
from autoscaler.report.charts import Chart, Mark, Series, draw
from autoscaler.report.charts.series import Floats
from autoscaler.report.markup import Markup

_CEILING = 4.0  # times the target; to show more would flatten the rest


def latency_charts(
    objectives: Objectives, ttft_s: Floats, tpot_s: Floats, *, label: str, cut: str, frame: Mapping[str, Any]
) -> Iterator[Markup]:
    """TTFT and TPOT; values far above a target run along the edge of the plot.

    Args:
        objectives: The targets.
        ttft_s: Time to first token.
        tpot_s: Time per output token.
        label: What the values are.
        cut: What to say where values run along the edge.
        frame: What all charts of the page have in common.
    """
    for title, values_s, target_s, scale, unit in (
        ("How long until the first token? (TTFT)", ttft_s, objectives.ttft.target_s, 1.0, "s"),
        ("How long between tokens? (TPOT)", tpot_s, objectives.tpot.target_s, 1e3, "ms"),
    ):
        known = values_s[np.isfinite(values_s)]
        is_cut = bool(known.size and known.max() > _CEILING * target_s)
        target = np.full(values_s.size, target_s * scale)
        series = (Series(label, values_s * scale, Mark.LINE, 1), Series("Target", target, Mark.LEVEL, 6))
        top, explanation = (_CEILING * target_s * scale, cut) if is_cut else (None, "")
        yield draw(Chart(title, series=series, unit=unit, explanation=explanation, top=top, **frame))
