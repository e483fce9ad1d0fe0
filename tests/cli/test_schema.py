from __future__ import annotations

import json

from typer.testing import CliRunner

from autoscaler.cli.main import app
from autoscaler.config.schema import DIALECT, json_schema


def test_the_schema_is_json_on_stdout() -> None:
    result = CliRunner().invoke(app, ["schema"])

    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == json_schema()
    assert json.loads(result.stdout)["$schema"] == DIALECT
