"""These tests need Dynamo, which has an environment of its own: `make cpu-stack` makes it and runs them."""

from __future__ import annotations

import os

PYTHON = "DYNAMO_PYTHON"
"""Names the interpreter that has Dynamo; without it there is nothing to collect here."""

collect_ignore_glob = [] if os.environ.get(PYTHON) else ["test_*.py"]
