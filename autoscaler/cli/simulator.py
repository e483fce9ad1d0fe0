"""What a command that simulates says beforehand."""

from __future__ import annotations

import typer

from autoscaler.simulation.engine.compiled import COMPILES


def say_if_slow(*, compiles: bool = COMPILES) -> None:
    """Say how the simulator gets fast, where the compiler is not installed."""
    if not compiles:
        typer.echo(
            "the simulator runs uncompiled, up to twenty times as slow; pip install 'pd-autoscaler[fast]' helps",
            err=True,
        )
