from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from autoscaler.config import load_paths
from autoscaler.config.files import FILES, PolicyFiles
from autoscaler.config.model import ScalingPolicy
from autoscaler.config.schema import json_schema
from tests.config.builders import changed, policy
from tests.config.test_model import HPA_BEHAVIOR

POLICIES = sorted((Path(__file__).parents[2] / "policies").glob("*.yaml"))
COMMENTED_KEY = re.compile(r"^(\s*)# (\s*(?:\w+:(?: .*)?|- \{.*\}))$")


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def properties() -> Iterator[tuple[str, dict[str, Any]]]:
    schema = json_schema()
    for owner, model in [("ScalingPolicy", schema), *schema["$defs"].items()]:
        for key, found in model.get("properties", {}).items():
            yield f"{owner}.{key}", {**found, "required": key in model.get("required", ())}


@pytest.mark.parametrize(("place", "described"), [pytest.param(*found, id=found[0]) for found in properties()])
def test_every_key_says_what_it_means_and_what_its_absence_means(place: str, described: dict[str, Any]) -> None:
    words = described["description"]

    assert len(words) > 20
    assert ("Required." in words) == described["required"], place
    assert described["required"] or "efault" in words or "None" not in words


def test_no_key_may_be_null() -> None:
    assert '"null"' not in str(json_schema()).replace("'", '"')


def test_defaults_are_written_as_a_user_writes_them() -> None:
    defaults: dict[str, Any] = {place: found.get("default") for place, found in properties()}

    assert defaults["Spec.interval"] == "15s"
    assert defaults["Spec.staleAfter"] == "1m"
    assert defaults["Spec.mode"] == "recommend"
    assert defaults["Objectives.attainment"] == "99%"
    assert defaults["Ttft.percentile"] == "p95"
    assert defaults["ScaleUp.policies"][0] == {"type": "Percent", "value": 100, "periodSeconds": 15}
    assert defaults["ScaleUp.stabilizationWindowSeconds"] is None
    assert defaults["ScaleDown.stabilizationWindowSeconds"] is None
    assert defaults["ScaleDown.policies"][1] == {"type": "Pods", "value": 1, "periodSeconds": 60}


def test_a_policy_with_every_default_written_out_fits_the_schema(validator: jsonschema.Draft202012Validator) -> None:
    document = policy({"spec.roles.decode.behavior": HPA_BEHAVIOR}).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )

    validator.validate(document)


@pytest.mark.parametrize(
    "changes",
    [
        {"spec.mode": "enforced"},
        {"spec.interval": 15},
        {"spec.interval": "15 s"},
        {"spec.objectives.attainment": 99},
        {"spec.roles.prefill.max": "8"},
        {"spec.roles.prefill.min": None},
        {"spec.roles.prefill.startup_time": "1m"},
        {"spec.prometheus.url": "prometheus:9090"},
        {"spec.selector": {"a": 1}},
        {"metadata.name": "Llama"},
    ],
)
def test_what_the_model_refuses_the_schema_refuses(
    validator: jsonschema.Draft202012Validator, changes: dict[str, Any]
) -> None:
    assert not validator.is_valid(changed(changes))


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: file.name)
def test_every_shipped_policy_fits_the_schema_and_has_no_warnings(
    file: Path, validator: jsonschema.Draft202012Validator
) -> None:
    for document in yaml.safe_load_all(file.read_text()):
        validator.validate(document)
    assert [warning for loaded in load_paths([file]) for warning in loaded.warnings] == []


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: file.name)
def test_what_a_shipped_policy_shows_as_default_is_the_default(file: Path) -> None:
    lines = file.read_text().splitlines()
    shown = "\n".join(COMMENTED_KEY.sub(r"\1\2", line) for line in lines)

    as_shown = ScalingPolicy.model_validate(yaml.safe_load(shown), context={FILES: PolicyFiles(file.parent)})
    assert as_shown == load_paths([file])[0].policy


def test_the_annotated_policy_shows_defaults() -> None:
    (annotated,) = (file for file in POLICIES if file.name == "vllm.yaml")

    assert any(COMMENTED_KEY.search(line) for line in annotated.read_text().splitlines())
