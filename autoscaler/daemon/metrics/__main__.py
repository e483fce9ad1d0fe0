"""`python -m autoscaler.daemon.metrics` prints docs/metrics.md."""

from __future__ import annotations

import sys

from autoscaler.daemon.metrics.document import document

sys.stdout.write(document())
