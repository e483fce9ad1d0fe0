"""The decisions of an hour of each trace are those that were reviewed; `make golden` writes them again."""

from __future__ import annotations

import pytest

from tests.golden.golden import DECISIONS, text_of
from tests.golden.hours import HOURS, Hour


@pytest.mark.parametrize("hour", HOURS, ids=lambda hour: hour.name)
def test_the_decisions_are_those_that_were_reviewed(hour: Hour) -> None:
    reviewed = (DECISIONS / f"{hour.name}.txt").read_text()

    assert text_of(hour) == reviewed, "run `make golden` and review the diff"


def test_every_hour_is_kept_and_nothing_else() -> None:
    assert {file.stem for file in DECISIONS.iterdir()} == {hour.name for hour in HOURS}
