"""Every page that we make, from data that is made up, awkward values included."""

from __future__ import annotations

from collections.abc import Callable

from autoscaler.report.html.replay import replay_page
from autoscaler.report.html.sweep import sweep_page
from tests.browser.status import fleet_status, one_status
from tests.report.html.views import replay_view, sweep_record

PAGES: dict[str, Callable[[], str]] = {
    "replay": lambda: replay_page(replay_view()),
    "sweep": lambda: sweep_page(sweep_record(), ("startup", "ttft")),
    "status": one_status,
    "status of a fleet": fleet_status,
}
