from __future__ import annotations

import json
from pathlib import Path

import yaml
from typer.testing import CliRunner

from autoscaler.cli.exits import CliError, ExitCode
from autoscaler.cli.main import app
from tests.e2e.stage import policy_document


def run_doctor(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", *map(str, arguments)])
    if isinstance(result.exception, CliError):
        return result.exception.code, str(result.exception)
    return result.exit_code, result.stdout


def test_a_prometheus_that_is_down_ends_with_3_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(policy_document("chat", "serving", "http://127.0.0.1:1", mode="recommend")))

    code, out = run_doctor("--policy", path)

    assert code == ExitCode.UNHEALTHY
    (told,) = [line for line in out.splitlines() if line.startswith("  failed")]
    assert "signals: Prometheus at http://127.0.0.1:1 cannot be reached" in told
    assert "no series of the service is there" not in out


def test_json_tells_the_same(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(yaml.safe_dump(policy_document("chat", "serving", "http://127.0.0.1:1", mode="recommend")))

    code, out = run_doctor("--policy", path, "-o", "json")

    (found,) = json.loads(out)
    assert code == ExitCode.UNHEALTHY
    assert (found["service"], set(found["inert"])) == ("chat", {"prefill", "decode"})
    assert {signal["verdict"] for signal in found["signals"]["signals"]} == {"failed"}


def test_a_bad_policy_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("kind: Nonsense\n")

    code, message = run_doctor(path)

    assert code == ExitCode.REFUSED
    assert "is no scaling policy" in message
