"""Syntax check of the queries that a user writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import promql_parser
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from autoscaler.config.parsing import parse_promql
from autoscaler.config.refusal import refuse

_LONGEST = 4_000  # the parser's recursion overflows the stack, and ends the process, on some texts five times as long
_PLACEHOLDER = re.compile(r"\$[a-z_]")
_RANGES = (promql_parser.MatrixSelector, promql_parser.SubqueryExpr)


@dataclass(frozen=True, slots=True)
class Query:
    """Marks a text that is PromQL and gives numbers at one instant.

    A query with placeholders of the stack, such as `$prefill`, is complete only once the stack has filled them in, and
    is checked there.
    """

    def check(self, text: str) -> str:
        """Return the text if it is such a query."""
        if len(text) > _LONGEST:
            raise refuse(f"is longer than {_LONGEST} characters: move the work into a recording rule")
        if _PLACEHOLDER.search(text.replace("$$", "")):
            return text
        try:
            tree = parse_promql(text.replace("$$", "$"))
        except ValueError as error:
            raise refuse(f"is no PromQL: {error}") from None
        while isinstance(tree, promql_parser.ParenExpr | promql_parser.UnaryExpr):
            tree = tree.expr
        if isinstance(tree, _RANGES):
            raise refuse("gives a range, where one number is wanted: wrap it, as in sum(rate(name[2m]))")
        if isinstance(tree, promql_parser.StringLiteral):
            raise refuse("gives a text, where one number is wanted")
        return text

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": _LONGEST}
