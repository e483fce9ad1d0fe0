"""SLO-driven autoscaler for LLM serving with prefill and decode on separate pods."""

from __future__ import annotations

__version__ = "0.1.0"
