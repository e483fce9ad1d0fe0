"""Paths into objects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.targets.kubernetes.paths import MissingFieldError, Path, PathError, Place
from tests.support.kube_api.patch import json_patch

STORM = {
    "metadata": {"annotations": {"ome.io/class": "external"}},
    "spec": {"roles": [{"name": "decode", "replicas": 2}, {"name": "prefill"}], "slices": 1},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.slices", 1),
        ("spec.roles[name=decode].replicas", 2),
        ("spec.roles[name=decode]", {"name": "decode", "replicas": 2}),
        ('metadata.annotations["ome.io/class"]', "external"),
        ("spec.roles[name=prefill].replicas", None),
        ("spec.roles[name=router].replicas", None),
        ("spec.slices.deeper", None),
        ("status.replicas", None),
    ],
)
def test_a_path_finds_its_field_or_nothing(path: str, value: Any) -> None:
    assert Path.parse(path).find(STORM) == value


def test_a_place_in_a_list_has_its_index_and_what_guards_it() -> None:
    place = Path.parse("spec.roles[name=prefill].replicas").locate(STORM)

    assert place == Place("/spec/roles/1/replicas", None, (("/spec/roles/1/name", "prefill"),))


def test_a_pointer_escapes_what_pointers_separate_by() -> None:
    place = Path.parse('metadata.annotations["ome.io/class"]').locate(STORM)

    assert place.pointer == "/metadata/annotations/ome.io~1class"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("spec.prefill.replicas", "has no spec.prefill"),
        ("status.roleStatuses[name=prefill].replicas", "has no status"),
        ("spec.slices.deeper.still", "has no spec.slices.deeper"),
        ("spec.components[name=prefill].replicas", "has no spec.components"),
        (
            "spec.roles[name=prefil].replicas",
            "has no entry of name 'prefil' in spec.roles: there are decode, prefill",
        ),
    ],
)
def test_what_would_hold_a_field_is_named_where_it_is_missing(path: str, words: str) -> None:
    with pytest.raises(MissingFieldError) as missing:
        Path.parse(path).locate(STORM)

    assert str(missing.value) == words


def test_two_entries_of_one_name_are_not_guessed_between() -> None:
    twins = {"roles": [{"name": "prefill"}, {"name": "prefill"}]}

    with pytest.raises(MissingFieldError, match="has 2 entries 'prefill' in roles"):
        Path.parse("roles[name=prefill].replicas").locate(twins)


@pytest.mark.parametrize(
    "text", ["", ".spec", "spec.", "spec..replicas", "spec roles", "[name=prefill]", "spec[0]", "spec[name=]", "a[=b]"]
)
def test_what_is_no_path_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(PathError, match="is no path"):
        Path.parse(text)


def test_a_value_put_into_a_path_cannot_change_its_shape() -> None:
    path = Path.parse("spec.services.{entry}.replicas").fill({"entry": "a.b/c"})

    assert path.locate({"spec": {"services": {"a.b/c": {"replicas": 3}}}}) == Place(
        "/spec/services/a.b~1c/replicas", 3, ()
    )


def test_a_merge_patch_never_goes_through_a_list() -> None:
    with pytest.raises(TypeError, match="goes through a list"):
        Path.parse("spec.roles[name=prefill].replicas").nest(3)


@pytest.mark.parametrize(
    "text", ["spec.replicas", "spec.roles[name={entry}].replicas", 'metadata.labels["llm-d.ai/role"]']
)
def test_a_path_is_shown_as_it_is_written(text: str) -> None:
    assert str(Path.parse(text)) == text


names = st.text("abcxyz.~/", min_size=1, max_size=6)


@given(entries=st.lists(names, unique=True, min_size=1, max_size=5), key=names, data=st.data())
def test_a_pointer_means_the_field_that_the_path_means(entries: list[str], key: str, data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(entries))
    document = {"list": [{"name": name, key: index} for index, name in enumerate(entries)]}
    path = Path.parse(f'list[name={{entry}}]["{key}"]').fill({"entry": chosen})

    place = path.locate(document)
    patched = json_patch(document, [{"op": "replace", "path": place.pointer, "value": "found"}])

    assert path.find(patched) == "found"
    assert place.guards == ((f"/list/{entries.index(chosen)}/name", chosen),)
