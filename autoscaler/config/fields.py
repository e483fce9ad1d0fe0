"""What a pydantic model says of its keys: their names in a document, and the models below them."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a model, as a document has them."""
    return [info.alias or name for name, info in model.model_fields.items()]


def field_at(model: type[BaseModel], key: str) -> FieldInfo | None:
    """The field behind a key of a document; None where there is none."""
    return next((info for name, info in model.model_fields.items() if (info.alias or name) == key), None)


def inner_model(annotation: Any) -> type[BaseModel] | None:
    """The first model in an annotation, such as that of a list's items; None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for arg in get_args(annotation) if (model := inner_model(arg)) is not None), None)
