"""JSON Schema of the scaling policy, for editors, for CI, and for the reference documentation."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from autoscaler.config.model import ScalingPolicy

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema, draft 2020-12; every key with its meaning, unit, default and why it is that."""
    schema = ScalingPolicy.model_json_schema(by_alias=True, schema_generator=_Generator)
    return {"$schema": DIALECT, "title": "ScalingPolicy", **schema}


class _Generator(GenerateJsonSchema):
    """Writes defaults as a user would write them, and no null, which the policy refuses."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = self.generate_inner(schema["schema"])
        if schema.get("default") is None:
            return described
        write = _writer(schema["schema"])
        return {**described, "default": self.encode_default(write(schema["default"]) if write else schema["default"])}

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, BaseModel):
            return dft.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return super().encode_default(dft)

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - no schema's: pydantic asks of each
        return False


def _writer(schema: CoreSchema) -> Any:
    """The function that writes a value of a schema, below what wraps it; None where values write themselves."""
    inner = cast("dict[str, Any]", schema)
    while "serialization" not in inner and "schema" in inner:
        inner = inner["schema"]
    return inner.get("serialization", {}).get("function")
