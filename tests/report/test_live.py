from __future__ import annotations

import io

import pytest

from autoscaler.report.live import ChangeLines, LiveTable, Moment, clock, live_view
from tests.report.builders import OBJECTIVES, decision, growing, steady


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def changing(elapsed_s: float) -> Moment:
    return Moment(elapsed_s, (decision(prefill=growing(), decode=steady()),), "44 requests/s")


def calm(elapsed_s: float) -> Moment:
    return Moment(elapsed_s, (decision(prefill=steady(), decode=steady()),), "44 requests/s")


def lines_of(*moments: Moment, quiet_s: float = 300.0) -> list[str]:
    file = io.StringIO()
    view = live_view({"chat": OBJECTIVES}, file, quiet_s=quiet_s)
    for moment in moments:
        view.show(moment)
    view.close()
    return file.getvalue().splitlines()


def test_without_a_terminal_a_change_is_one_line_with_its_reason() -> None:
    assert lines_of(changing(75.0)) == [
        "00:01:15  prefill 2 -> 5  at max: the policy allows at most 5",
    ]


def test_without_a_terminal_calm_is_told_at_once_and_then_now_and_again() -> None:
    times = [line[:8] for line in lines_of(*(calm(minute * 60.0) for minute in range(12)))]

    assert times == ["00:00:00", "00:05:00", "00:10:00"]


def test_a_change_counts_as_a_sign_of_life() -> None:
    times = [line[:8] for line in lines_of(calm(0.0), changing(240.0), calm(300.0), calm(540.0))]

    assert times == ["00:00:00", "00:04:00", "00:09:00"]


def test_a_line_about_the_state_of_things_tells_load_pools_and_promises() -> None:
    (line,) = lines_of(calm(0.0))

    assert "44 requests/s" in line
    assert "prefill 3/3 (queue 40 requests" in line
    assert "TTFT p95 of 500 ms: missed (620 ms)" in line


def test_lines_carry_no_control_characters() -> None:
    assert all(line.isprintable() for line in lines_of(calm(0.0), changing(1.0)))


def test_a_terminal_shows_the_table_and_the_latest_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    file = Terminal()
    view = live_view({"chat": OBJECTIVES}, file, quiet_s=300.0)

    for second in range(12):
        view.show(calm(float(second)))
        view.show(changing(float(second)))
    view.close()

    assert isinstance(view, LiveTable)
    last = file.getvalue().rpartition("SERVICE")[2]
    assert "LATEST CHANGES" in last
    assert "00:00:11  prefill 2 -> 5" in last
    assert "00:00:03" not in last
    assert "1/2 -> 5" in last


def test_a_file_gets_lines() -> None:
    assert isinstance(live_view({}, io.StringIO(), quiet_s=1.0), ChangeLines)


@pytest.mark.parametrize(("elapsed_s", "text"), [(0.4, "00:00:00"), (59.9, "00:00:59"), (3723.0, "01:02:03")])
def test_time_is_shown_as_hours_minutes_and_seconds(elapsed_s: float, text: str) -> None:
    assert clock(elapsed_s) == text


def test_a_change_that_is_still_wanted_is_told_once() -> None:
    assert len(lines_of(*(changing(second * 15.0) for second in range(10)))) == 1


def test_several_services_are_told_apart() -> None:
    both = Moment(5.0, (decision("chat", prefill=growing()), decision("code", prefill=growing())), "2 services")

    assert [line.split()[1] for line in lines_of(both)] == ["chat", "code"]


def test_what_is_wrong_is_shown_below_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    view = live_view({"chat": OBJECTIVES}, file, quiet_s=300.0)

    view.show(Moment(0.0, (), "1 service", ("chat: Prometheus cannot be reached",)))
    view.close()

    assert "Prometheus cannot be reached" in file.getvalue()


def test_a_terminal_shows_words_of_servers_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    file = Terminal()
    view = live_view({"chat": OBJECTIVES}, file, quiet_s=300.0)
    view.show(Moment(0.0, (decision(prefill=growing("[/red] a :bug: [x]")),), "44 requests/s"))
    view.close()

    assert file.getvalue().rpartition("SERVICE")[2].count("[/red] a :bug: [x]") == 1
