"""One value in a text changes, and nothing else."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.targets.kubernetes.paths import Path
from autoscaler.targets.kubernetes.switches.yaml_edit import EditError, names_of_entry, replace_value, value_at

TOKENS = Path.parse("plugins[type=decider].parameters.nonCachedTokens")
LOGIC = Path.parse("routing_logic")
CONFIG = """\
# how prompts are routed
plugins:
- type: filter   # first
- type: decider
  parameters: {promptTokens: 64, nonCachedTokens: 16}  # tuned in March
"""


def test_comments_and_layout_stay() -> None:
    assert replace_value(CONFIG, TOKENS, 0) == CONFIG.replace("nonCachedTokens: 16", "nonCachedTokens: 0")


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ('{"routing_logic": "session", "x": [1]}', '{"routing_logic": "roundrobin", "x": [1]}'),
        ("routing_logic: session\n", "routing_logic: roundrobin\n"),
        ("routing_logic: 'session' # why\n", 'routing_logic: "roundrobin" # why\n'),
        ("---\nother: 1\n---\nrouting_logic: session\n", "---\nother: 1\n---\nrouting_logic: roundrobin\n"),
    ],
    ids=["JSON", "YAML", "quotes", "several documents"],
)
def test_a_name_is_written_as_the_old_one_was(text: str, changed: str) -> None:
    assert replace_value(text, LOGIC, "roundrobin") == changed


def test_a_name_that_yaml_would_not_take_for_text_is_quoted() -> None:
    assert replace_value("routing_logic: session\n", LOGIC, "off") == 'routing_logic: "off"\n'


def test_the_value_is_read_as_what_it_is() -> None:
    assert value_at(CONFIG, TOKENS) == 16
    assert value_at('{"routing_logic": "session"}', LOGIC) == "session"


PROBLEMS = {
    "no such value": ("plugins: []\n", "has no value at plugins[type=decider].parameters.nonCachedTokens"),
    "a default that is not written out": ("plugins: [{type: decider}]\n", "write it out once, with its present value"),
    "two of them": (CONFIG + "---\n" + CONFIG, "has 2 values at"),
    "no YAML": ("plugins: [", "is no YAML"),
    "a list where a value is meant": (
        "plugins: [{type: decider, parameters: {nonCachedTokens: [1]}}]\n",
        "has no value at",
    ),
    "an empty text": ("", "has no value at"),
}


@pytest.mark.parametrize(("text", "words"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_text_without_exactly_one_such_value_is_refused(text: str, words: str) -> None:
    with pytest.raises(EditError) as problem:
        replace_value(text, TOKENS, 0)

    assert words in str(problem.value)


def test_a_value_that_is_used_elsewhere_too_is_refused() -> None:
    shared = "default: &tokens 16\nplugins: [{type: decider, parameters: {nonCachedTokens: *tokens}}]\n"

    with pytest.raises(EditError, match="cannot be changed alone"):
        replace_value(shared, TOKENS, 0)


def test_the_names_of_the_entry_that_a_value_is_in() -> None:
    named = CONFIG.replace("- type: decider", "- type: decider\n  name: mine")

    assert names_of_entry(CONFIG, TOKENS) == {"decider"}
    assert names_of_entry(named, TOKENS) == {"decider", "mine"}


def test_two_entries_are_not_told_apart_by_which_of_them_has_the_value() -> None:
    twins = CONFIG + "- type: decider\n"

    assert value_at(twins, TOKENS) == 16
    with pytest.raises(EditError, match=r"has 2 values at plugins\[type=decider\]"):
        names_of_entry(twins, TOKENS)


keys = st.text("abc", min_size=1, max_size=3)
documents = st.dictionaries(keys, st.dictionaries(keys, st.integers() | st.text("xyz: #'\"{}", max_size=5)), min_size=1)


@given(document=documents, value=st.integers(0, 99) | st.sampled_from(["roundrobin", "off", "a b"]), data=st.data())
def test_nothing_but_the_value_changes(
    document: dict[str, dict[str, int]], value: int | str, data: st.DataObject
) -> None:
    outer = data.draw(st.sampled_from(sorted(document)))
    document[outer]["tokens"] = 16
    text = yaml.safe_dump(document)

    changed = yaml.safe_load(replace_value(text, Path.parse(f"{outer}.tokens"), value))

    document[outer]["tokens"] = value  # type: ignore[assignment]  # a name takes the place of a number
    assert changed == document
