from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from autoscaler.report.html.replay import replay_page, verdict
from tests.report.html.views import HOSTILE, replay_view, row


def test_the_page_is_one_file_that_asks_nobody_for_anything() -> None:
    page = replay_page(replay_view())

    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert "src=" not in page


def test_names_cannot_break_out_of_the_page() -> None:
    page = replay_page(replay_view(policy=HOSTILE))

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


@pytest.mark.parametrize(
    ("attainment", "words"),
    [(0.9942, "keeps the goal: 99.42% of 271,828 requests"), (0.95, "misses the goal: 95.00% of 271,828 requests")],
)
def test_the_verdict_says_whether_the_goal_was_kept(attainment: float, words: str) -> None:
    assert words in verdict(replay_view(), [row(attainment=attainment)])


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([], ""),
        ([row("hpa", attainment=0.7)], "None of the others keeps the goal."),
        (
            [row("hpa", attainment=0.7, gpu_hours=1), row("static-peak", gpu_hours=1024.5)],
            "50% fewer GPU-hours than static-peak",
        ),
        ([row("keda", gpu_hours=256.125)], "100% more GPU-hours than keda"),
    ],
)
def test_the_verdict_compares_with_the_cheapest_that_keeps_the_goal(
    others: list[dict[str, object]], words: str
) -> None:
    said = verdict(replay_view(), [row(), *others])

    assert words in said if words else said.endswith("would need.")


def test_a_run_that_served_together_is_not_set_against_a_schedule_that_serves_apart_without_a_word() -> None:
    view, warning = replay_view(), "the lines do not compare"
    ours = view.timelines[0]
    apart = replace(ours, apart_ratio=np.where(np.isnan(ours.apart_ratio), np.nan, 1.0))

    assert warning in replay_page(view)
    assert warning not in replay_page(replace(view, timelines=(apart,)))


def test_a_run_below_the_foreseen_cost_is_not_called_out_of_reach() -> None:
    view = replay_view()
    page = replay_page(replace(view, record={**view.record, "rows": [row(gpu_hours=216.8)]}))

    assert "0.54 times what perfect foresight would need" in page
    assert "serves prefill and decode apart" in page
    assert "Nobody can reach" not in page


def test_a_load_that_has_no_tpot_has_a_page_too() -> None:
    view = replay_view()
    rows = [row(tpot_p95_s=float("nan"), bound_gpu_hours=0.0)]
    page = replay_page(replace(view, record={**view.record, "rows": rows}, timelines=view.timelines[:1], need={}))

    assert ">–<" in page
    assert "nan" not in page.lower().replace("finance", "")


def readings(page: str, label: str) -> list[str | None]:
    """The values of a series as they can be read off its chart."""
    charts = [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)]
    return next(series["y"] for chart in charts for series in chart["s"] if series["n"] == label)
