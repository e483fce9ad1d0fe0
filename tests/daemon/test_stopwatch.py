from __future__ import annotations

import pytest

from autoscaler.daemon.stopwatch import Stopwatch
from autoscaler.daemon.tick import Dependency, Phase


def test_phases_say_when_they_began_and_how_long_they_took() -> None:
    instants = iter([10.0, 11.0, 14.0])
    watch = Stopwatch(lambda: next(instants))

    with watch.phase("read signals", Dependency.SIGNALS):
        pass

    assert watch.phases == (Phase("read signals", Dependency.SIGNALS, 1.0, 3.0),)


def test_what_failed_is_timed_too() -> None:
    watch = Stopwatch(lambda: 0.0)

    with pytest.raises(OSError, match="gone"), watch.phase("read replicas", Dependency.REPLICAS):
        raise OSError("gone")

    assert [phase.name for phase in watch.phases] == ["read replicas"]
