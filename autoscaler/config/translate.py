"""From pydantic's errors to problems: in the document's words, with lines, and without secrets."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from autoscaler.config.document import Document, Loc
from autoscaler.config.fields import field_at, inner_model, keys_of
from autoscaler.config.model import ScalingPolicy
from autoscaler.config.problems import Problem, nearest
from autoscaler.config.refusal import CONFLICTS, Conflict
from autoscaler.config.wording import path_of, shorten, words_of

_LONGEST_MEANT = 200
_BAD_KEY = "[key]"  # pydantic's mark of a mapping's key that is wrong itself


def problems_of(error: ValidationError, document: Document) -> Iterator[Problem]:
    """Translate all errors of one document."""
    for detail in error.errors(include_url=False):
        only_bad_items = detail["type"] == "too_short" and detail["input"]  # they have problems of their own
        follows = detail["type"] == "default_factory_not_called"  # of another key's problem, which is told
        if not (only_bad_items or follows):
            yield from _problems(detail, document)


def _problems(detail: ErrorDetails, document: Document) -> Iterator[Problem]:
    kind, loc = detail["type"], detail["loc"]
    context: dict[str, Any] = detail.get("ctx", {})
    if kind == CONFLICTS:
        for conflict in context["found"]:
            yield _conflict(conflict, loc, document)
    elif kind == "extra_forbidden":
        yield _unknown_key(loc, document)
    elif loc[-1:] == (_BAD_KEY,):
        message, allowed, near = words_of(kind, context, detail, written=None)
        yield _problem(loc[:-1], f"this key {message}", document, allowed=allowed, near=near)
    else:
        written = None if detail["input"] is None or _is_secret(loc) else document.written(loc)
        message, allowed, near = words_of(kind, context, detail, written)
        hides = kind in ("missing", "model_type", "dict_type", "tuple_type") or written is None
        value = None if hides else shorten(written or "''")
        yield _problem(loc, message, document, value, allowed, near if written is not None else None)


def _conflict(conflict: Conflict, loc: Loc, document: Document) -> Problem:
    return _problem(
        (*loc, *conflict.loc), conflict.message, document, conflict.value, conflict.allowed, conflict.nearest
    )


def _unknown_key(loc: Loc, document: Document) -> Problem:
    key = str(loc[-1])
    model = _model_at(loc[:-1])
    allowed = keys_of(model) if model is not None else []
    home = _homes().get(key)
    if home is not None:
        return _problem(loc, f"is no key of this place: it belongs to {home}", document, allowed=", ".join(allowed))
    return _problem(loc, "is no key of this place", document, allowed=", ".join(allowed), near=nearest(key, allowed))


def _problem(
    loc: Loc,
    message: str,
    document: Document,
    value: str | None = None,
    allowed: str | None = None,
    near: str | None = None,
) -> Problem:
    line = document.line_of(loc)
    meant = near if near is not None and len(near) <= _LONGEST_MEANT else None
    return Problem(path_of(loc), message, value, allowed, meant, document.file, line)


def _fields(loc: Loc) -> Iterator[FieldInfo]:
    """The fields that lead to a place, from the top."""
    model: type[BaseModel] | None = ScalingPolicy
    for part in loc:
        if isinstance(part, int):
            continue
        info = field_at(model, part) if model is not None else None
        if info is None:
            return
        yield info
        model = inner_model(info.annotation)


def _model_at(loc: Loc) -> type[BaseModel] | None:
    fields = list(_fields(loc))
    return inner_model(fields[-1].annotation) if fields else ScalingPolicy


def _is_secret(loc: Loc) -> bool:
    extras = (info.json_schema_extra for info in _fields(loc))
    return any(isinstance(extra, dict) and extra.get("writeOnly") is True for extra in extras)


@cache
def _homes() -> dict[str, str]:
    """Where each key belongs that has one home only; both roles count as one."""
    homes: dict[str, set[str]] = {}

    def visit(model: type[BaseModel], path: str) -> None:
        for key in keys_of(model):
            homes.setdefault(key, set()).add(path)
            info = field_at(model, key)
            inner = inner_model(info.annotation) if info is not None else None
            if inner is not None:
                visit(inner, f"{path}.{key}".replace(".decode", ".prefill").removeprefix("."))

    visit(ScalingPolicy, "")
    return {key: next(iter(paths)) for key, paths in homes.items() if len(paths) == 1 and "" not in paths}
