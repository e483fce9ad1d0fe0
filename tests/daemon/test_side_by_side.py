"""Many requests to one server, which answers, fails, hangs or is not there."""

from __future__ import annotations

from functools import partial
from threading import Barrier, Event

import pytest

from autoscaler.daemon.side_by_side import side_by_side

PATIENCE_S = 10.0


def never() -> bool:
    return False


def test_as_many_as_may_be_are_under_way_at_once() -> None:
    together = Barrier(3)

    def request() -> bool:
        together.wait(PATIENCE_S)  # raises unless two others come
        return True

    side_by_side([request] * 6, stopped=never, most=3)


def test_one_at_a_time_they_keep_their_order() -> None:
    asked: list[int] = []

    def request(number: int) -> bool:
        asked.append(number)
        return True

    side_by_side([partial(request, number) for number in range(5)], stopped=never, most=1)

    assert asked == [0, 1, 2, 3, 4]


def test_a_server_that_is_not_there_is_asked_once_by_each_thread() -> None:
    asked: list[bool] = []

    def request() -> bool:
        asked.append(True)
        return False

    side_by_side([request] * 100, stopped=never, most=4)

    assert len(asked) == 4


def test_one_that_fails_keeps_no_other() -> None:
    asked: list[bool] = []

    def request() -> bool:
        asked.append(True)
        return len(asked) != 1

    side_by_side([request] * 20, stopped=never, most=2)

    assert len(asked) == 20


def test_none_begins_once_it_is_stopped() -> None:
    stop = Event()
    asked: list[bool] = []

    def request() -> bool:
        asked.append(True)
        stop.set()
        return True

    side_by_side([request] * 20, stopped=stop.is_set, most=1)

    assert len(asked) == 1


def test_one_that_hangs_is_waited_for_no_longer_than_told() -> None:
    over, ended = Event(), Event()

    def request() -> bool:
        over.wait(PATIENCE_S)
        ended.set()
        return True

    side_by_side([request], stopped=never, left_s=lambda: 0.0)

    assert not ended.is_set()
    over.set()
    assert ended.wait(PATIENCE_S)


def test_a_defect_in_one_is_raised_when_the_others_are_done() -> None:
    asked: list[int] = []

    def request() -> bool:
        asked.append(1)
        if len(asked) == 1:
            raise ValueError("a defect")
        return True

    with pytest.raises(ValueError, match="a defect"):
        side_by_side([request] * 5, stopped=never, most=1)

    assert len(asked) == 5
