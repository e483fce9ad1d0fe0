from __future__ import annotations

from collections.abc import Mapping

from autoscaler.daemon.tick import Dependency, Trouble
from autoscaler.daemon.troubles import TroubleLog
from tests.daemon.builders import capturing


def trouble(message: str = "403: needs patch on deployments/scale", subject: str = "prefill") -> Trouble:
    return Trouble(Dependency.WRITE, subject, message)


class Story:
    def __init__(self) -> None:
        log, self.lines = capturing()
        self.troubles = TroubleLog(log)

    def at(self, now_s: float, *troubles: Trouble) -> list[Mapping[str, object]]:
        seen = len(self.lines)
        self.troubles.update(troubles, now_s)
        return self.lines[seen:]


def test_the_first_occurrence_is_said_with_its_remedy() -> None:
    (line,) = Story().at(0.0, trouble())

    assert line["event"] == "trouble"
    assert line["log_level"] == "warning"
    assert line["message"] == "403: needs patch on deployments/scale"
    assert line["subject"] == "prefill"


def test_the_same_trouble_is_not_said_each_tick_even_when_its_numbers_move() -> None:
    story = Story()
    story.at(0.0, trouble("newest sample is 75 s old"))

    assert story.at(15.0, trouble("newest sample is 90 s old")) == []


def test_a_lasting_trouble_is_said_again_with_a_count() -> None:
    story = Story()
    for now_s in range(0, 600, 15):
        story.at(float(now_s), trouble())

    (line,) = story.at(600.0, trouble())
    assert (line["ticks"], line["for_s"]) == (41, 600)
    assert story.at(615.0, trouble()) == []


def test_the_end_is_said_once() -> None:
    story = Story()
    story.at(0.0, trouble())

    (line,) = story.at(45.0)
    assert (line["event"], line["log_level"], line["lasted_s"]) == ("recovered", "info", 45)
    assert story.at(60.0) == []


def test_a_trouble_that_returns_is_news() -> None:
    story = Story()
    story.at(0.0, trouble())
    story.at(15.0)

    assert [line["event"] for line in story.at(30.0, trouble())] == ["trouble"]


def test_troubles_of_two_roles_are_two() -> None:
    story = Story()
    story.at(0.0, trouble())

    assert [line["subject"] for line in story.at(15.0, trouble(), trouble(subject="decode"))] == ["decode"]
