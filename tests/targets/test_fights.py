"""When somebody else changes the count back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autoscaler.targets.fights import WINDOW_S, WriteMemory, explain, lost_track, observe, wrote

HPA = "kube-controller-manager"


def after(*events: tuple[float, str, int], memory: WriteMemory[int] | None = None) -> WriteMemory[int]:
    """Play events at times: `wrote` a count, or a count `seen` that another has set."""
    memory = memory or WriteMemory()
    for now_s, what, replicas in events:
        memory = wrote(memory, replicas) if what == "wrote" else observe(memory, replicas, HPA, now_s)
    return memory


FROZEN = ((0, "wrote", 5), (15, "seen", 4), (15, "wrote", 5), (30, "seen", 4))


def test_a_count_that_stays_is_no_fight() -> None:
    assert after((0, "wrote", 5), (15, "seen", 5), (30, "seen", 5)) == WriteMemory(expected=5)


def test_one_foreign_change_is_taken_as_it_is() -> None:
    memory = after((0, "wrote", 5), (15, "seen", 4), (30, "seen", 6), (45, "seen", 3))

    assert not memory.frozen
    assert memory.reverts_at_s == (15,)


def test_two_reverts_freeze_and_name_the_culprit() -> None:
    memory = after(*FROZEN)

    assert (memory.frozen, memory.culprit) == (True, HPA)


def test_reverts_that_come_slowly_still_count_together() -> None:
    """As of a tool that looks every few minutes, while ticks in between find the count in place."""
    memory = after(
        (0, "wrote", 5), (15, "seen", 5), (180, "seen", 4), (180, "wrote", 5), (195, "seen", 5), (360, "seen", 4)
    )

    assert memory.frozen


def test_reverts_far_apart_are_two_people_and_no_fight() -> None:
    memory = after((0, "wrote", 5), (15, "seen", 4), (15, "wrote", 5), (15 + WINDOW_S, "seen", 4))

    assert not memory.frozen


def test_what_was_there_before_the_first_write_is_nobodys_revert() -> None:
    assert after((0, "seen", 4), (15, "seen", 7), (30, "seen", 2)) == WriteMemory()


def test_a_write_that_may_or_may_not_have_been_applied_blames_nobody() -> None:
    memory = lost_track(after((0, "wrote", 5)))

    assert after((15, "seen", 4), memory=memory).reverts_at_s == ()


def test_a_frozen_count_thaws_when_it_has_been_left_alone() -> None:
    last_s = 30 + WINDOW_S

    assert after(*FROZEN, (last_s - 1, "seen", 4)).frozen
    assert after(*FROZEN, (last_s, "seen", 4)) == WriteMemory(expected=4)


def test_every_change_while_frozen_keeps_it_frozen() -> None:
    memory = after(*FROZEN, (1000, "seen", 6), (30 + WINDOW_S, "seen", 6))

    assert memory.frozen
    assert not after((1000 + WINDOW_S, "seen", 6), memory=memory).frozen


def test_an_unrecorded_writer_is_called_so() -> None:
    memory = observe(wrote(WriteMemory(), 5), 4, "", 15)

    assert memory.culprit == "somebody whom the server does not record"


def test_the_words_name_the_culprit_and_how_it_goes_on() -> None:
    words = explain(after(*FROZEN), 30 + 600)

    assert words.startswith(f"frozen: {HPA} changes the count back")
    assert "left alone for another 20 min, or at once after a restart" in words


def test_a_count_that_is_not_frozen_needs_no_words() -> None:
    assert explain(WriteMemory(expected=5), 0) == ""


@given(st.lists(st.tuples(st.floats(1, 600), st.booleans(), st.integers(0, 5)), max_size=30))
def test_a_count_that_only_we_change_never_freezes(steps: list[tuple[float, bool, int]]) -> None:
    memory: WriteMemory[int] = WriteMemory()
    present, now_s = 3, 0.0
    for wait_s, writes, replicas in steps:
        now_s += wait_s
        memory = observe(memory, present, "pd-autoscaler", now_s)
        assert not memory.frozen
        if writes:
            memory, present = wrote(memory, replicas), replicas
