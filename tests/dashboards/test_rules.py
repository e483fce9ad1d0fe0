"""The rules: what every alert must have, and that Prometheus and Alertmanager take them."""

from __future__ import annotations

import re
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.daemon.metrics.table import INFO, TABLE
from tests.dashboards.alertmanager import is_known_to, received, running_alertmanager
from tests.support.prometheus import TimeSeries, running_prometheus, wait_until

ROOT = Path(__file__).parents[2]
RULES = ROOT / "dashboards" / "rules"
RUNBOOKS = ROOT / "docs" / "runbooks"
CASES = Path(__file__).parent / "rules"
RUNBOOK_URL = "https://github.com/pd-autoscaler/pd-autoscaler/blob/main/docs/runbooks"


def rules(file: str) -> list[dict[str, Any]]:
    document = yaml.safe_load((RULES / file).read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


ALERTS = rules("alerts.yaml")
NAMES = sorted({alert["alert"] for alert in ALERTS})


@cache
def cases(name: str) -> list[Any]:
    return list(yaml.safe_load((CASES / f"{name}.yaml").read_text())["tests"])


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", *(str(path) for path in sorted(RULES.glob("*.yaml"))))


def test_alerts_fire_when_they_should_and_not_when_they_should_not() -> None:
    promtool("test", "rules", *(str(path) for path in sorted(CASES.glob("*.yaml"))))


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_is_tested_for_firing_and_for_not_firing(name: str) -> None:
    checks = [check for case in cases(name) for check in case["promql_expr_test"]]

    assert {check["expr"] for check in checks} == {f'ALERTS{{alertname="{name}", alertstate="firing"}}'}
    assert any(check["exp_samples"] for check in checks)
    assert any(not check["exp_samples"] for check in checks)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert['alert']}-{alert['labels']['severity']}")
def test_each_alert_says_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    notes = alert["annotations"]

    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    problem, _, remedy = notes["summary"].partition(": ")
    assert problem
    assert len(remedy.split()) > 3, "a summary is the problem, a colon, and what to do"
    assert notes["description"].endswith(".")
    assert notes["runbook_url"] == f"{RUNBOOK_URL}/{alert['alert']}.md"


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md") if path.stem != "index") == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_has_meaning_impact_check_and_fix(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()

    assert re.findall(r"^#+ (.*)$", text, re.MULTILINE) == [name, "Meaning", "Impact", "Check", "Fix"]


@pytest.mark.parametrize("file", ["recording.yaml", "alerts.yaml"])
def test_rules_ask_for_metrics_that_there_are(file: str) -> None:
    recorded = {rule["record"] for rule in rules("recording.yaml")}
    known = {INFO} | {
        spec.series_name + end for spec in TABLE.values() for end in ("", *(("_bucket", "_sum", "_count")))
    }
    for rule in rules(file):
        asked = re.findall(r"(?:\w+:)?pd_autoscaler_\w+(?::\w+)?", re.sub(r'"[^"]*"', "", rule["expr"]))
        assert asked
        assert set(asked) <= known | recorded


def test_alertmanager_receives_an_alert(tmp_path: Path) -> None:
    impatient = re.sub(r"for: \w+", "for: 0s", (RULES / "alerts.yaml").read_text())
    (tmp_path / "alerts.yaml").write_text(impatient)
    with running_alertmanager(tmp_path) as address:
        config = {
            "global": {"evaluation_interval": "200ms"},
            "rule_files": [str(tmp_path / "alerts.yaml")],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]},
        }
        with running_prometheus(yaml.safe_dump(config)) as prometheus:
            wait_until(lambda: is_known_to(prometheus.url), "Prometheus to know it")
            labels = {"__name__": "pd_autoscaler_leads", "namespace": "serving", "service": "chat", "instance": "a"}
            prometheus.write([TimeSeries(labels, [(time.time(), 0.0)])])
            wait_until(lambda: bool(received(address, "PdAutoscalerLeaderLost")), "Alertmanager to receive the alert")

        (alert,) = received(address, "PdAutoscalerLeaderLost")
        assert alert["labels"]["severity"] == "critical"
        assert alert["annotations"]["summary"].startswith("serving/chat has daemons and none of them writes")
