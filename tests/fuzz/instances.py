"""Documents that a JSON Schema allows, made at random: the policies that nobody has written yet."""

from __future__ import annotations

from random import Random
from typing import Any

Schema = dict[str, Any]
_DEEPEST = 8
_TEXTS = (
    "a",
    "chat",
    "llama",
    "5m",
    "30s",
    "10%",
    "0.5",
    "2",
    "prom",
    "http://prom:9090",
    "sum(up)",
    "vllm",
    "Deployment",
)


class Instances:
    """Makes instances of a schema with definitions.

    Args:
        schema: The schema.
        luck: Where chance comes from.
    """

    def __init__(self, schema: Schema, luck: Random) -> None:
        self._root = schema
        self._luck = luck

    def make(self, schema: Schema | None = None, depth: int = 0) -> Any:
        """An instance of a schema; by default of the whole."""
        found = self._resolved(self._root if schema is None else schema)
        luck = self._luck
        for key in ("anyOf", "oneOf", "allOf"):
            if key in found:
                return self.make(luck.choice(found[key]), depth)
        if "const" in found:
            return found["const"]
        if "enum" in found:
            return luck.choice(found["enum"])
        if "default" in found and luck.random() < 0.5:
            return found["default"]
        return self._of_kind(found, depth)

    def _of_kind(self, schema: Schema, depth: int) -> Any:
        luck, kind = self._luck, schema.get("type", "string")
        if kind == "object":
            return self._mapping(schema, depth)
        if kind == "array":
            least = schema.get("minItems", 0)
            most = least if depth > _DEEPEST else least + 2
            return [self.make(schema.get("items", {}), depth + 1) for _ in range(luck.randint(least, most))]
        if kind in ("integer", "number"):
            low = float(schema.get("minimum") or schema.get("exclusiveMinimum") or 0)
            number = luck.choice([low, low + 1, schema.get("maximum", low + 7), luck.uniform(low, low + 10)])
            return int(number) if kind == "integer" else number
        if kind == "boolean":
            return luck.random() < 0.5
        return luck.choice([*schema.get("examples", []), *_TEXTS])

    def _mapping(self, schema: Schema, depth: int) -> dict[str, Any]:
        luck, required = self._luck, schema.get("required", [])
        likely = 0.0 if depth > _DEEPEST else 0.3
        made = {
            name: self.make(inner, depth + 1)
            for name, inner in schema.get("properties", {}).items()
            if name in required or luck.random() < likely
        }
        more = schema.get("additionalProperties")
        if isinstance(more, dict) and luck.random() < likely:
            made[luck.choice(_TEXTS)] = self.make(more, depth + 1)
        return made

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            node: Any = self._root
            for part in str(schema["$ref"]).removeprefix("#/").split("/"):
                node = node[part]
            schema = {**node, **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema
