from __future__ import annotations

import io

import pytest

from autoscaler.report.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_nothing_is_drawn() -> None:
    file = io.StringIO()
    with ProgressBar(2, file) as bar:
        bar.begins("hpa")
        bar.reached(0.5)

    assert file.getvalue() == ""


def test_a_terminal_shows_what_is_played_and_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    file = Terminal()
    with ProgressBar(4, file) as bar:
        bar.begins("playing chat")
        bar.begins("playing hpa")
        bar.reached(0.5)

    assert "playing hpa" in file.getvalue()
    assert "38 %" in file.getvalue()


def test_a_name_with_square_brackets_is_drawn_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    file = Terminal()
    with ProgressBar(1, file) as bar:
        bar.begins("playing day[prod] :smile: [/red]")

    assert "playing day[prod] :smile: [/red]" in file.getvalue()


def test_parts_that_end_in_any_order_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    file = Terminal()
    with ProgressBar(2, file) as bar:
        bar.finished("1 of 2 combinations")
        bar.finished("2 of 2 combinations")

    assert "2 of 2 combinations" in file.getvalue()
    assert "100 %" in file.getvalue()
