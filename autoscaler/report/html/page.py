"""The frame of a page, and the parts that pages are made of."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources
from zlib import crc32

from autoscaler import __version__
from autoscaler.report.markup import Markup, element, join

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath d='M1 15V9h4v6zm5 0V5h4v10zm5 0V1h4v14z' fill='%230072b2'/%3E%3C/svg%3E"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One number at a glance.

    Attributes:
        name: What it is.
        value: The number with its unit.
        note: What it compares to, or means.
        verdict: `good`, `bad` or empty.
    """

    name: str
    value: str
    note: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its head, and whether it holds words rather than numbers."""

    head: str
    words: bool = False


def page(title: str, lead: str, *sections: Markup, script: str = "", made: str = "", top: Sequence[Markup] = ()) -> str:
    """A whole document.

    Args:
        title: Its heading.
        lead: What it comes to, in a sentence or two.
        sections: Its parts.
        script: Inline script beyond the charts'.
        made: When and from what it was made, for the foot.
        top: What stands below the lead.
    """
    scripts = [element("script", Markup(text)) for text in (asset("hover.js"), script) if text]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("link", rel="icon", href=_ICON),
        element("style", Markup(asset("style.css"))),
    )
    body = element(
        "body",
        element("header", element("h1", title), element("p", lead, class_="lead"), *top),
        element("main", *sections),
        element("footer", f"pd-autoscaler {__version__}" + (f" · {made}" if made else "")),
        *scripts,
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def section(heading: str, *parts: str) -> Markup:
    """A part of a page under its own heading; plain strings are paragraphs."""
    return element("section", element("h2", heading), *map(_block, parts))


def tiles(shown: Iterable[Tile]) -> Markup:
    """Numbers at a glance, side by side."""
    return element("div", *map(_tile, shown), class_="tiles")


def charts(*figures: Markup) -> Markup:
    """Figures side by side where there is room."""
    return element("div", *figures, class_="charts")


def table(name: str, columns: Sequence[Column], rows: Iterable[Sequence[str]], *, marked: int | None = None) -> Markup:
    """A table that scrolls by itself where it is wider than the page.

    Args:
        name: What it holds; its caption, and its name for who cannot see it.
        columns: Its columns; the first names the row.
        rows: Cells of each row.
        marked: Which row to set off.
    """
    head = element("tr", *(element("th", one.head, scope="col", class_=_words(one)) for one in columns))
    body = [
        element("tr", *map(_cell, range(len(columns)), columns, row), class_="first" if place == marked else None)
        for place, row in enumerate(rows)
    ]
    whole = element("table", element("caption", name), element("thead", head), element("tbody", *body))
    return element("div", whole, class_="scroll", tabindex=0, role="region", aria_label=name)


def terms(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Names and what they stand for."""
    return element("dl", *(join((element("dt", name), element("dd", told))) for name, told in pairs), class_="terms")


def notes(lines: Iterable[str]) -> Markup:
    """A list of remarks."""
    return element("ul", *(element("li", line) for line in lines), class_="notes")


def details(summary: str, *parts: str, name: str) -> Markup:
    """Something to open for who wants to know more.

    Args:
        summary: What it is.
        parts: What it holds; plain strings are paragraphs.
        name: Its id, by which it stays open when the page is renewed.
    """
    return element("details", element("summary", summary), *map(_block, parts), id=name)


def security_policy(script: str = "") -> str:
    """The Content-Security-Policy under which a page works: its own script and style, and nothing else."""
    scripts = " ".join(_hash(text) for text in (asset("hover.js"), script) if text)
    return (
        f"default-src 'none'; script-src {scripts}; style-src {_hash(asset('style.css'))}; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def element_id(*names: str) -> str:
    """An id made of names of any form."""
    return f"i{crc32(chr(0).join(names).encode()):08x}"


@cache
def asset(name: str) -> str:
    """A file that ships beside this module."""
    return resources.files("autoscaler.report.html").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _block(part: str) -> Markup:
    return part if isinstance(part, Markup) else element("p", part)


def _tile(tile: Tile) -> Markup:
    noted = [element("dd", tile.note, class_="note")] if tile.note else []
    value = element("dd", tile.value, class_=tile.verdict or None)
    return element("dl", element("dt", tile.name), value, *noted, class_="tile")


def _cell(place: int, column: Column, text: str) -> Markup:
    if place == 0:
        return element("th", text, scope="row", class_=_words(column))
    return element("td", text, class_=_words(column))


def _words(column: Column) -> str | None:
    return "words" if column.words else None
