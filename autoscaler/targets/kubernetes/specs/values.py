"""The values that spec files are made of: paths, templates, and both per role."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import PlainValidator

from autoscaler.core.policy import Role
from autoscaler.stacks.errors import did_you_mean
from autoscaler.targets.kubernetes.paths import Path
from autoscaler.targets.kubernetes.templates import Template

PLACEHOLDERS = frozenset({"name", "namespace", "role", "entry", "entry_lower"})
"""What a template may hold: the service's name, its namespace, the role, and what the object calls the role."""

INSTRUCTION_PLACEHOLDERS = PLACEHOLDERS | {"replicas", "current", "change"}

Value = TypeVar("Value")


def _template(placeholders: frozenset[str]) -> Callable[[Any], Template]:
    def read(value: Any) -> Template:
        if not isinstance(value, str) or not value:
            raise ValueError("is no text")
        template = Template(value)
        _require_known(template.placeholders, placeholders)
        return template

    return read


def _path(value: Any) -> Path:
    if not isinstance(value, str):
        raise ValueError("is no text; a path looks like spec.replicas")  # noqa: TRY004  # pydantic collects ValueErrors
    path = Path.parse(value)
    _require_known(path.placeholders, PLACEHOLDERS)
    return path


def _paths(value: Any) -> tuple[Path, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise ValueError("is empty: give at least one path")
    return tuple(_path(entry) for entry in listed)


def _require_known(found: frozenset[str], known: frozenset[str]) -> None:
    for name in sorted(found - known):
        raise ValueError(f"{{{name}}} is no placeholder; {did_you_mean(name, known)}")


def _per_role(read: Callable[[Any], Value]) -> Callable[[Any], Mapping[Role, Value]]:
    """Accepts one value for every role, or a mapping from role to value."""

    def by_role(value: Any) -> Mapping[Role, Value]:
        if not isinstance(value, dict):
            same = read(value)
            return dict.fromkeys(Role, same)
        for name in value:
            if name not in list(Role):
                raise ValueError(f"{name!r} is no role; {did_you_mean(str(name), Role)}")
        return {Role(name): read(inner) for name, inner in value.items()}

    return by_role


PathValue = Annotated[Path, PlainValidator(_path)]
TemplateValue = Annotated[Template, PlainValidator(_template(PLACEHOLDERS))]
PathByRole = Annotated[Mapping[Role, Path], PlainValidator(_per_role(_path))]
PathsByRole = Annotated[Mapping[Role, tuple[Path, ...]], PlainValidator(_per_role(_paths))]
TemplateByRole = Annotated[Mapping[Role, Template], PlainValidator(_per_role(_template(PLACEHOLDERS)))]
InstructionByRole = Annotated[Mapping[Role, Template], PlainValidator(_per_role(_template(INSTRUCTION_PLACEHOLDERS)))]
Scalar = bool | int | str | None
