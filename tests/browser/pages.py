"""Every page that we make, from data that is made up, awkward values included."""

from __future__ import annotations

from collections.abc import Callable

from autoscaler.report.html.replay import replay_page
from autoscaler.report.html.report import report_page
from autoscaler.report.html.sweep import sweep_page
from tests.browser.status import fleet_status, one_status
from tests.report.assessments import assessment
from tests.report.html.views import replay_view, sweep_record

PAGES: dict[str, Callable[[], str]] = {
    "replay": lambda: replay_page(replay_view()),
    "sweep": lambda: sweep_page(sweep_record(), ("startup", "ttft")),
    "report": lambda: report_page([assessment()]),
    "report without a replay": lambda: report_page([assessment(replayed=False), assessment("a" * 300)]),
    "status": one_status,
    "status of a fleet": fleet_status,
}
