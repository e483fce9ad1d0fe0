"""One neutral threshold in tokens, and what stacks write for it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.targets.kubernetes.switches.dials import NameDial, RefusedError, TokenDial
from autoscaler.targets.switch import ALWAYS_TOKENS, NEVER_TOKENS, Position, Setting

ZERO_IS_NEVER = TokenDial(always=1, never=0)
ZERO_IS_ALWAYS = TokenDial(always=0, never=1_000_000_000, on_tokens=4096)
MODES = NameDial(("pd", "pd-v2"), ("e2e",))


@pytest.mark.parametrize(
    ("dial", "setting", "value"),
    [
        (ZERO_IS_NEVER, NEVER_TOKENS, 0),
        (ZERO_IS_NEVER, ALWAYS_TOKENS, 1),
        (ZERO_IS_NEVER, Position.ON, 1),
        (ZERO_IS_NEVER, Position.OFF, 0),
        (ZERO_IS_NEVER, 511.5, 512),
        (ZERO_IS_NEVER, 0.2, 1),
        (ZERO_IS_ALWAYS, ALWAYS_TOKENS, 0),
        (ZERO_IS_ALWAYS, NEVER_TOKENS, 1_000_000_000),
        (ZERO_IS_ALWAYS, Position.ON, 4096),
        (ZERO_IS_ALWAYS, 512.0, 512),
    ],
)
def test_a_setting_is_written_the_stacks_way(dial: TokenDial, setting: Setting, value: int) -> None:
    assert dial.value(setting) == value


@pytest.mark.parametrize(
    ("dial", "value", "position", "tokens"),
    [
        (ZERO_IS_NEVER, 0, Position.OFF, NEVER_TOKENS),
        (ZERO_IS_NEVER, 1, Position.ON, ALWAYS_TOKENS),
        (ZERO_IS_NEVER, 16, Position.ON, 16.0),
        (ZERO_IS_ALWAYS, 0, Position.ON, ALWAYS_TOKENS),
        (ZERO_IS_ALWAYS, 4096, Position.ON, 4096.0),
        (ZERO_IS_ALWAYS, 2_000_000_000, Position.OFF, NEVER_TOKENS),
        (ZERO_IS_ALWAYS, "4096", Position.UNKNOWN, None),
        (ZERO_IS_ALWAYS, True, Position.UNKNOWN, None),
        (ZERO_IS_ALWAYS, -1, Position.UNKNOWN, None),
        (ZERO_IS_ALWAYS, None, Position.UNKNOWN, None),
    ],
)
def test_a_value_means_what_the_stack_means(
    dial: TokenDial, value: object, position: Position, tokens: float | None
) -> None:
    assert dial.meaning(value) == (position, tokens)


@given(
    dial=st.sampled_from([ZERO_IS_NEVER, ZERO_IS_ALWAYS]),
    tokens=st.integers(2, 10**8).map(float) | st.sampled_from([ALWAYS_TOKENS, NEVER_TOKENS]),
)
def test_what_is_written_means_what_was_set(dial: TokenDial, tokens: float) -> None:
    assert dial.meaning(dial.value(tokens))[1] == tokens


@pytest.mark.parametrize("setting", [-1.0, math.nan, Position.UNKNOWN])
@pytest.mark.parametrize("dial", [ZERO_IS_NEVER, ZERO_IS_ALWAYS])
def test_what_is_no_setting_is_refused(dial: TokenDial, setting: Setting) -> None:
    with pytest.raises(RefusedError):
        dial.value(setting)


def test_the_first_name_of_a_position_is_written_and_all_are_read() -> None:
    assert (MODES.value(Position.ON), MODES.value(NEVER_TOKENS)) == ("pd", "e2e")
    assert [MODES.meaning(name)[0] for name in ("pd-v2", "e2e", "other")] == [
        Position.ON,
        Position.OFF,
        Position.UNKNOWN,
    ]


def test_a_switch_between_modes_has_no_threshold() -> None:
    with pytest.raises(RefusedError, match="no threshold of 512 tokens: this switch is on or off"):
        MODES.value(512.0)


def test_a_position_that_cannot_be_written_says_why() -> None:
    one_way = NameDial(("pd",), ("rr",), refused="it would answer errors")

    assert one_way.value(Position.OFF) == "rr"
    with pytest.raises(RefusedError, match="it would answer errors"):
        one_way.value(Position.ON)
