from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from autoscaler.report.markup import Markup, element, join


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


printable = st.text(st.characters(exclude_categories=["C"]))


@given(text=printable, attribute=printable)
def test_text_and_attributes_never_become_markup(text: str, attribute: str) -> None:
    reader = Reader()
    reader.feed(element("p", text, title=attribute))
    reader.close()

    assert reader.tags == ["p"]
    assert reader.text == text
    assert reader.attributes == [("title", attribute)]


def test_markup_is_put_in_as_it_is() -> None:
    assert element("p", Markup("<b>x</b>"), " & ") == "<p><b>x</b> &amp; </p>"
    assert join(["<", Markup("<br>")]) == "&lt;<br>"


def test_attributes_are_spelled_as_html_spells_them() -> None:
    made = element("i", class_="a", aria_hidden="true", hidden=True, id=None, open=False, width=3.5, tabindex=0)

    assert made == '<i class="a" aria-hidden="true" hidden width="3.5" tabindex="0"></i>'


def test_void_elements_have_no_end() -> None:
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'
