"""Serves the status page and its JSON: read-only, never cached, and with no right to load anything from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs

from autoscaler.daemon.clock import Clock
from autoscaler.daemon.health import Document, Documents
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.recent import Recent
from autoscaler.daemon.status import status
from autoscaler.daemon.status_page import status_page
from autoscaler.daemon.tick import Trouble
from autoscaler.report.html.page import asset, security_policy

_GUARDS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def status_documents(
    ledger: Ledger,
    recent: Recent,
    clock: Clock,
    missing: Callable[[], list[str]],
    beside: Callable[[], Sequence[Trouble]] = tuple,
) -> Documents:
    """`/` and `/status.json`; `?service=NAME` narrows both to one service.

    Args:
        ledger: What is known of each service.
        recent: The last hour of each.
        clock: Where the time comes from.
        missing: What is missing before the daemon does its work, in words.
        beside: What is wrong beside the ticks of services: with policies, budgets, settings.
    """

    def page(query: str) -> Document:
        html = status_page(ledger.accounts(), missing(), recent.of, clock.now_s(), _service(query), beside())
        guards = {**_GUARDS, "Content-Security-Policy": security_policy(asset("refresh.js"))}
        return Document("text/html; charset=utf-8", html.encode(), guards)

    def data(query: str) -> Document:
        only = _service(query)
        accounts = {name: account for name, account in ledger.accounts().items() if only in ("", name)}
        told = status(accounts, missing(), clock.now_s(), beside())
        return Document("application/json", json.dumps(told, indent=2, allow_nan=False).encode(), _GUARDS)

    return {"/": page, "/status.json": data}


def _service(query: str) -> str:
    return parse_qs(query).get("service", [""])[0]
