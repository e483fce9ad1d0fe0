"""HTML and SVG as strings: text is escaped unless it is known to be markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"meta", "br", "hr", "link", "input"})

Attribute = str | float | bool | None


class Markup(str):
    """A string that is markup already; any other string is text, and gets escaped where it is put in."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: Attribute) -> Markup:
    """Make an element.

    Args:
        name: Its tag.
        children: Markup as it is, other strings as text.
        attributes: `class_` is `class`, `aria_label` is `aria-label`; None and False leave one out, True writes its
            name alone.
    """
    opened = f"<{name}{''.join(_attributes(attributes))}>"
    return Markup(opened if name in _VOID else f"{opened}{join(children)}</{name}>")


def join(parts: Iterable[str]) -> Markup:
    """Put markup and text one after the other."""
    return Markup("".join(part if isinstance(part, Markup) else escape(part) for part in parts))


def _attributes(attributes: dict[str, Attribute]) -> Iterable[str]:
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        spelled = name.removesuffix("_").replace("_", "-")
        yield f" {spelled}" if value is True else f' {spelled}="{escape(_text(value))}"'


def _text(value: str | float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
