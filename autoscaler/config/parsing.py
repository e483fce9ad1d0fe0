"""Reads PromQL with a library that ends some texts, such as a range of more years than it can count, by a panic.

A panic is no `Exception`: it would end the thread that meets it, and with the one that follows policies the daemon.
"""

from __future__ import annotations

import promql_parser
from promql_parser import Expr

_PANIC = "PanicException"  # the library's module for it cannot be imported


def parse_promql(text: str) -> Expr:
    """The tree of an expression.

    Raises:
        ValueError: It is no PromQL.
    """
    try:
        return promql_parser.parse(text)
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        raise ValueError(str(error)) from None
