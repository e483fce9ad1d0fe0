from __future__ import annotations

import json

import pytest

from autoscaler.config.document import MAX_BYTES, MAX_DEPTH, Document, read_documents
from autoscaler.config.problems import Problem


def read(text: str | bytes, file: str = "policy.yaml") -> list[Document]:
    documents, problems = read_documents(text if isinstance(text, bytes) else text.encode(), file)
    assert problems == []
    return documents


def problem(text: str | bytes, file: str = "policy.yaml") -> Problem:
    documents, problems = read_documents(text if isinstance(text, bytes) else text.encode(), file)
    assert documents == []
    (found,) = problems
    return found


def test_a_file_may_hold_several_documents_and_empty_ones_between() -> None:
    documents = read("---\na: 1\n---\n# nothing\n---\nb: 2\n")

    assert [document.data for document in documents] == [{"a": 1}, {"b": 2}]


def test_keys_and_items_know_their_lines() -> None:
    (document,) = read("a:\n  b: 1\n  c:\n    - x\n    - y: 2\n")

    places: list[tuple[str | int, ...]] = [(), ("a",), ("a", "b"), ("a", "c", 0), ("a", "c", 1, "y")]
    assert [document.line_of(place) for place in places] == [1, 1, 2, 4, 5]


def test_a_missing_key_has_the_line_of_what_should_hold_it() -> None:
    (document,) = read("a: 1\nb:\n  c: 1\n")

    assert document.line_of(("b", "nothing", "below")) == 2


def test_a_value_is_shown_as_it_was_written() -> None:
    (document,) = read("a: 1_0\nb: [0x10]\nc: {}\n")

    assert [document.written(loc) for loc in (("a",), ("b", 0), ("c",), ("d",))] == ["1_0", "0x10", None, None]


def test_anchors_and_merge_keys_are_written_out_and_own_keys_win() -> None:
    (document,) = read("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: *a\nd:\n  <<: [*a, {z: 9}]\n")

    assert document.data["b"] == {"x": 1, "y": 3}
    assert document.data["c"] == {"x": 1, "y": 2}
    assert document.data["d"] == {"x": 1, "y": 2, "z": 9}


def test_a_merged_key_has_the_line_where_it_was_written() -> None:
    (document,) = read("a: &a {x: 1}\nb:\n  <<: *a\n")

    assert document.line_of(("b", "x")) == 1


def test_a_date_stays_text() -> None:
    assert read("when: 2026-01-01\n")[0].data == {"when": "2026-01-01"}


def test_a_byte_order_mark_is_no_problem() -> None:
    assert read(b"\xef\xbb\xbfa: 1\n")[0].data == {"a": 1}


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_read_with_its_lines_however_it_is_indented(indent: int | str | None) -> None:
    (document,) = read(json.dumps({"a": {"b": [1, "x\ty/\u00e9"]}}, indent=indent), "policy.json")

    assert document.data == {"a": {"b": [1, "x\ty/\u00e9"]}}
    assert document.line_of(("a", "b")) == (1 if indent is None else 3)


@pytest.mark.parametrize("file", ["policy.json", "policy.yaml"])
def test_a_character_that_json_writes_as_two_escapes_is_one(file: str) -> None:
    smile = {"😀 key": ["a 😀 b", "é", "\n"]}

    assert json.dumps(smile).count("\\ud83d") == 2
    assert read(json.dumps(smile), file)[0].data == smile


@pytest.mark.parametrize("text", ["", "\n\n", "# only words\n", "---\n---\n", "null\n", "~"])
def test_a_file_without_a_document_is_empty(text: str) -> None:
    assert problem(text).message == "is empty: it holds no policy"


@pytest.mark.parametrize(
    ("text", "kind"), [("- a\n", "a list"), ("words\n", "a single value"), ("3\n", "a single value")]
)
def test_a_document_that_is_no_mapping_is_refused(text: str, kind: str) -> None:
    assert problem(text).message.startswith(f"is {kind}, where a policy")


def test_a_key_that_stands_twice_is_refused_where_it_stands_again() -> None:
    found = problem("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n")

    assert (found.line, found.message) == (5, "has the key 'c' twice: remove one")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\n\tb: 2\n", 2, "has a tab"),
        ("a: [1\nb: 2\n", 2, "is no valid YAML"),
        ("a: 'x\n", 2, "is no valid YAML"),
        ("a: *nothing\n", 1, "undefined alias"),
        ("a: 1\nb: \x07\n", 2, "does not allow"),
        ("a: !!python/object:os.system x\n", 1, "has the tag"),
        ("a: !secret x\n", 1, "has the tag !secret"),
        ("a: !!binary aGk=\n", 1, "has the tag !!binary"),
        ("a: !!int x\n", 1, "no valid int"),
        ("a: 1\n1: 2\n", 2, "quote it, as in '1'"),
        ("on: 2\n", 1, "quote it, as in 'on'"),
        ("[a]: 2\n", 1, "a key that is no text"),
        ("a:\n  <<: 3\n", 2, "whose value is no mapping"),
        (f"a: {'9' * 5000}\n", 1, "no valid int"),
        ('a: !!int ""\n', 1, "no valid int"),
        ('a: !!float ""\n', 1, "no valid float"),
        ('a: 1\nb: "\\ud83d"\n', 2, "\\ud83d is half of a character"),
        ('a: 1\n"\\ude00\\ud83d": 2\n', 2, "\\ude00 is half of a character"),
    ],
)
def test_bad_yaml_is_refused_with_the_line_and_a_way_out(text: str, line: int, words: str) -> None:
    found = problem(text)

    assert words in found.message
    assert found.line == line


def test_a_file_that_is_not_utf_8_is_refused_with_the_line_and_the_byte() -> None:
    found = problem(b"a: 1\nb: \xff\n")

    assert (found.line, found.value) == (2, "byte 0xff")


def test_a_large_file_is_refused_unread() -> None:
    assert "is larger than 1024 KiB" in problem(b"#" * (MAX_BYTES + 1)).message


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 10_000])
def test_a_deep_file_is_refused(depth: int) -> None:
    assert "nested deeper" in problem("a: " + "[" * depth + "]" * depth).message


def test_an_alias_that_holds_itself_is_refused() -> None:
    assert "may not hold itself" in problem("a: &a [*a]\n").message


def test_a_merge_that_holds_itself_is_refused() -> None:
    assert "may not hold itself" in problem("a: &a\n  <<: *a\n").message


def test_aliases_that_multiply_are_refused() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]

    assert "too large" in problem("\n".join(levels)).message


def test_one_bad_document_leaves_the_others() -> None:
    documents, problems = read_documents(b"a: 1\n---\nb: 1\nb: 2\n", "policy.yaml")

    assert [document.data for document in documents] == [{"a": 1}]
    assert [found.line for found in problems] == [4]
