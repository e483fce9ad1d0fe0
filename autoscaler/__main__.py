"""`python -m autoscaler`."""

from __future__ import annotations

from autoscaler.cli.main import main

main()
