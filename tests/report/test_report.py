from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest

from autoscaler.report.assessment import Ground, Price, Used, record_of
from autoscaler.report.html.report import report_page
from autoscaler.report.markdown import headline, markdown, print_report
from tests.report.assessments import assessment
from tests.report.html.views import HOSTILE


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_saved_is_what_was_used_less_what_the_best_policy_uses() -> None:
    made = assessment()

    assert made.saved_gpu_hours == pytest.approx(15_800 - 11_060)
    assert made.price.of(made.saved_gpu_hours) == pytest.approx(11_850)
    assert made.saved_per_month == pytest.approx(11_850 * 30 / 7)


def test_a_report_is_no_surer_than_its_weakest_ground() -> None:
    made = assessment()

    assert (made.confidence_ratio, made.confidence) == (0.72, "medium")
    assert replace(made, grounds=(Ground("span", 0.9, ""),)).confidence == "high"
    assert replace(made, grounds=()).confidence == "low"


@pytest.mark.parametrize(
    ("gpu_hours", "attainment", "words"),
    [
        (
            11_060.0,
            0.9961,
            "would have saved 4,740.0 GPU-hours (30%, 11,850 EUR) in 168 h while keeping",
        ),
        (11_060.0, 0.97, "and would still miss the promise"),
        (15_900.0, 0.9961, "would have cost 100.0 GPU-hours more (1%, 250.00 EUR)"),
    ],
)
def test_the_headline_says_what_it_comes_to(gpu_hours: float, attainment: float, words: str) -> None:
    made = assessment()
    best = replace(made.played[0], gpu_hours=gpu_hours, attainment_ratio=attainment)

    assert words in headline(replace(made, played=(best,)))


def test_what_costs_more_in_a_month_is_not_called_saved() -> None:
    made = assessment()
    dearer = replace(made, played=(replace(made.played[0], gpu_hours=15_870.0),))

    assert "saved in thirty days like these: 50,786 EUR" in markdown([made])
    assert "more to pay in thirty days like these: 750.00 EUR" in markdown([dearer])
    assert "more to pay, if they are like these" in report_page([dearer])
    assert "-750" not in report_page([dearer])


def test_without_a_replay_the_headline_promises_nothing() -> None:
    said = headline(assessment(replayed=False))

    assert said == "chat: 15,800.0 GPU-hours used in 168 h; what it should have been cannot be told."


def test_without_replica_counts_nothing_is_saved() -> None:
    made = replace(assessment(), used=Used(None, 0.0))

    assert made.saved_gpu_hours is None
    assert "no replica count is known" in headline(made)


def test_without_a_price_there_is_no_money() -> None:
    made = replace(assessment(), price=Price())

    assert made.saved_per_month is None
    assert "USD" not in markdown([made])


def test_the_json_form_is_finite_and_has_every_part() -> None:
    record = json.loads(json.dumps(record_of(assessment()), allow_nan=False))

    assert record.keys() >= {
        "service",
        "used",
        "risk",
        "policies",
        "saved_gpu_hours",
        "confidence",
        "recommended_policy",
    }
    assert record["used"]["cost"] == 39_500
    assert record["start"] == "2023-11-15T00:00:00.000Z"
    assert [one["name"] for one in record["policies"]] == ["recommended", "your policy"]
    assert "curves" not in record


@pytest.mark.parametrize("replayed", [True, False])
def test_markdown_table_and_page_tell_the_same(replayed: bool) -> None:
    made, out = assessment(replayed=replayed), io.StringIO()
    print_report([made], out)

    for rendered in (markdown([made]), out.getvalue(), report_page([made])):
        assert "15,800.0" in rendered
        assert ("11,060.0" in rendered) is replayed
        assert "2.0 of 161.3" in rendered


@pytest.mark.parametrize("columns", [40, 80])
def test_a_narrow_terminal_cuts_no_number_off(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = Terminal()
    print_report([assessment()], out)

    assert "…" not in out.getvalue()
    for number in ("15,800.0", "11,060.0", "2.0 of 161.3"):
        assert number in out.getvalue()


def test_names_with_square_brackets_are_printed_as_they_are() -> None:
    out = io.StringIO()
    made = assessment("chat[prod]")
    best = replace(made.played[0], name="day[prod] :smile: [/red]")
    print_report([replace(made, played=(best,))], out)

    assert "chat[prod]: the recommended" in out.getvalue()
    assert "day[prod] :smile: [/red], by replay" in out.getvalue()


def test_a_page_of_several_services_adds_up() -> None:
    page = report_page([assessment("chat"), assessment("code")])

    assert "2 services. The recommended policies would have saved 9,480 GPU-hours (23,700 EUR)." in page


def test_names_and_policies_cannot_break_out_of_the_page() -> None:
    page = report_page([replace(assessment(HOSTILE), recommended=HOSTILE, remarks=(HOSTILE,))])

    assert "<script>alert" not in page


def test_unknown_times_are_shown_as_unknown() -> None:
    made = assessment()

    assert np.isnan(made.curves.used_gpus).any()
    assert "not known" in report_page([made])
