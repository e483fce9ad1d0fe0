from __future__ import annotations

import io
import math
import re
from typing import Any

import pytest

from autoscaler.report.replay import print_replay

ROW = {
    "policy": "chat[tight]",
    "attainment": 0.99,
    "ttft_p95_s": 0.4,
    "tpot_p95_s": 0.03,
    "gpu_hours": 12.0,
    "bound_gpu_hours": 10.0,
    "actions": 3,
    "reversals_per_hour": 0.0,
    "worst_5min": 0.97,
}


def test_names_of_files_and_remarks_are_printed_as_they_are() -> None:
    record = {
        "requests": 5,
        "trace": "day[prod]",
        "duration_s": 10.0,
        "rows": [ROW],
        "remarks": ["[/red] said the server :bug:"],
    }
    out = io.StringIO()
    print_replay(record, out)

    assert "5 requests of day[prod]" in out.getvalue()
    assert "chat[tight]" in out.getvalue()
    assert "[/red] said the server :bug:" in out.getvalue()


@pytest.mark.parametrize(
    ("requests", "duration_s", "said"),
    [
        (270_000, 86_400.0, "270000 requests of day in 24 h, 3.12 a second"),
        (3_000, 1_876_650.0, "3000 requests of day in 21.7 days, 0.0016 a second"),
        (3_000, 1_876.65, "3000 requests of day in 31.3 min, 1.6 a second"),
        (5, 10.0, "5 requests of day in 10 s, 0.5 a second"),
        (1, 0.0, "1 requests of day in 0 s"),
    ],
)
def test_how_long_a_load_is_gives_away_times_in_milliseconds(requests: int, duration_s: float, said: str) -> None:
    out = io.StringIO()
    print_replay({"requests": requests, "trace": "day", "duration_s": duration_s, "rows": [ROW]}, out)

    assert out.getvalue().splitlines()[0] == said


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(columns: int, monkeypatch: pytest.MonkeyPatch, *rows: dict[str, Any]) -> list[str]:
    """Lines of the table on a terminal of so many columns, without colour."""
    monkeypatch.setenv("COLUMNS", str(columns))
    out = Terminal()
    print_replay({"requests": 5, "trace": "day", "duration_s": 10.0, "rows": rows}, out)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()[1:]


RIVALS = [{**ROW, "policy": name} for name in ("chat", "hpa", "keda", "static-peak")]


def test_a_wide_terminal_has_a_line_for_each_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(120, monkeypatch, *RIVALS)

    assert lines[0].split()[:2] == ["POLICY", "ATTAINED"]
    assert [line.split()[0] for line in lines[2:]] == ["chat", "hpa", "keda", "static-peak"]


@pytest.mark.parametrize("columns", [30, 40, 80])
def test_a_narrow_terminal_has_a_column_for_each_policy_and_cuts_no_number(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(columns, monkeypatch, *RIVALS)
    words = " ".join(lines).split()

    assert max(len(line) for line in lines) <= columns
    assert "…" not in " ".join(lines)
    assert (words.count("99.00%"), words.count("1.20"), words.count("static-peak")) == (4, 4, 1)


def test_settings_of_a_sweep_stand_above_what_they_led_to(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(
        50, monkeypatch, {**ROW, "policy": "chat", "startup": "60s"}, {**ROW, "policy": "chat", "startup": "240s"}
    )

    assert [line.split() for line in lines[2:4]] == [["STARTUP", "60s", "240s"], ["ATTAINED", "99.00%", "99.00%"]]


def test_what_is_no_number_is_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(120, monkeypatch, {**ROW, "tpot_p95_s": math.nan})

    assert "nan" not in " ".join(lines)
    assert lines[2].split()[4] == "–"
