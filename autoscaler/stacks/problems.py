"""What is wrong with a data file, in words: place, value, what is allowed and what was probably meant."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from autoscaler.config.fields import inner_model
from autoscaler.stacks.errors import did_you_mean


def problem_lines(
    model: type[BaseModel],
    error: ValidationError,
    origin: str,
    line_of: Callable[[tuple[int | str, ...]], int] | None = None,
) -> str:
    """Every problem, one a line.

    Args:
        model: What the document was checked against.
        error: What the check found.
        origin: What to call the document.
        line_of: The line of a place in it; None where nobody knows lines.
    """
    found = error.errors()
    lines = ["" if line_of is None or not detail["loc"] else f":{line_of(detail['loc'])}" for detail in found]
    return "\n".join(f"{origin}{line}: {_words(model, detail)}" for line, detail in zip(lines, found, strict=True))


def _words(model: type[BaseModel], detail: ErrorDetails) -> str:
    place = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        allowed = _model_at(model, detail["loc"][:-1]).model_fields
        return f"{place} is unknown; {did_you_mean(str(detail['loc'][-1]), allowed)}"
    if detail["type"] == "missing":
        return f"{place} is missing"
    message = detail["msg"].removeprefix("Value error, ")
    given = detail["input"]
    if detail["type"] in {"enum", "literal_error"}:
        wanted = detail["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        message = f"is not one of its values; {did_you_mean(str(given), wanted)}"
    value = "" if isinstance(given, dict) else f" (got {given!r})"
    return f"{place}: {message}{value}" if place else f"{message}{value}"


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that checks what is at a place of the document."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = inner_model(field.annotation) or model
    return model
