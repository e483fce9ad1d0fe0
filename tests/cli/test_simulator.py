from __future__ import annotations

import pytest

from autoscaler.cli.simulator import say_if_slow


def test_a_slow_simulator_says_how_it_gets_fast(capsys: pytest.CaptureFixture[str]) -> None:
    say_if_slow(compiles=False)
    say_if_slow(compiles=True)

    said = capsys.readouterr()
    assert said.err.count("pip install 'pd-autoscaler[fast]'") == 1
    assert said.out == ""
