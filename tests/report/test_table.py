from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from autoscaler.core.attribution import Attribution, Bottleneck
from autoscaler.core.decision import Decision
from autoscaler.core.policy import Role
from autoscaler.report.table import print_table
from tests.report.builders import OBJECTIVES, decision, growing


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def plain(*decisions: Decision) -> str:
    out = io.StringIO()
    print_table(decisions, {"chat": OBJECTIVES}, out)
    return out.getvalue()


def on_terminal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out = Terminal()
    print_table([decision()], {"chat": OBJECTIVES}, out)
    return out.getvalue()


@pytest.mark.parametrize(
    "text", ["[/red] boom [bold]x[/bold]", 'vllm:key:sum{pod=~"vllm-[a-z]+"}', "no :warning: sign"]
)
def test_words_of_servers_are_shown_as_they_are(text: str) -> None:
    told = replace(decision(prefill=growing(text)), undecided={Role.DECODE: text})

    assert plain(told).count(text) == 2


def test_a_row_says_what_is_what_should_be_and_what_was_proposed() -> None:
    assert "1/2 -> 5 (uncapped 8)" in plain(decision())


def test_a_number_that_no_guard_changed_is_shown_once() -> None:
    assert "3/3 -> 3 " in plain(decision())
    assert "3/3 -> 3 (uncapped" not in plain(decision())


def test_a_row_says_why_from_the_proposal_to_the_binding_guard() -> None:
    assert "40 waiting must drain in 0.4 s; at max: the policy allows at most 5" in plain(decision())


def test_signals_carry_units_and_an_absent_one_says_so() -> None:
    text = plain(decision())

    assert "queue 40 requests, offered 12.3k tokens/s" in text
    assert "KV 70 %, running absent" in text


def test_objectives_stand_against_what_users_see() -> None:
    text = plain(decision())

    assert "TTFT p95 of 500 ms: missed (620 ms)" in text
    assert "TPOT p90 of 50 ms: unknown (not exported)" in text


def test_a_bottleneck_is_named_with_its_reason() -> None:
    held_up = Attribution(0.1, 0.2, 0.9, 0.1, Bottleneck.TRANSFER, "KV transfer takes 900 ms of 2 s")

    text = plain(replace(decision(), attribution=held_up))
    assert "bottleneck transfer: KV transfer takes 900 ms of 2 s" in text


def test_a_role_without_known_replicas_shows_why() -> None:
    unknown = replace(decision(prefill=growing()), undecided={Role.DECODE: "no such deployment"})

    assert "no such deployment" in plain(unknown)


def test_what_is_piped_is_plain_and_one_line_a_row() -> None:
    text = plain(decision())

    assert "\x1b" not in text
    assert text.isascii()
    assert len(text.splitlines()) == 4


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1;32m" in on_terminal(monkeypatch)


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "[32m" not in on_terminal(monkeypatch, NO_COLOR="1")
    assert "\x1b[1;32m" not in on_terminal(monkeypatch, NO_COLOR="1")


@pytest.mark.parametrize("columns", [30, 45, 60, 79, 80, 100])
def test_no_word_is_cut_off_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    address = "http://prometheus-operated.monitoring.svc:9090"
    told = replace(decision(prefill=growing()), undecided={Role.DECODE: f"{address} cannot be reached"})
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()

    print_table([told], {"chat": OBJECTIVES}, out)

    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert max(map(len, text.splitlines())) <= columns
    assert "…" not in text
    assert "2/2 -> 5" in text or "1/2 -> 5" in text
    assert "objectives" in text


def test_a_terminal_too_narrow_for_the_table_shows_a_paragraph_for_each_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()

    print_table([decision()], {"chat": OBJECTIVES}, out)

    lines = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()
    assert lines[0].rstrip() == "chat prefill 1/2 -> 5 (uncapped 8)"
    assert lines[1].startswith("  ")
