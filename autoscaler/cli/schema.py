"""`pd-autoscaler schema`: the JSON Schema of a scaling policy on stdout."""

from __future__ import annotations

import json

import typer

from autoscaler.config.schema import json_schema


def schema() -> None:
    """Print the JSON Schema of a scaling policy; editors use it to complete and check while you type."""
    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
