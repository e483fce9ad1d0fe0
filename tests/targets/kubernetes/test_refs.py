"""Paths of objects."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.targets.kubernetes.refs import ObjectRef, guess_plural


@pytest.mark.parametrize(
    ("ref", "subresource", "path"),
    [
        (
            ObjectRef.deployment("serving", "decode"),
            "scale",
            "/apis/apps/v1/namespaces/serving/deployments/decode/scale",
        ),
        (
            ObjectRef("apps/v1", "StatefulSet", "statefulsets", "serving", "decode"),
            "",
            "/apis/apps/v1/namespaces/serving/statefulsets/decode",
        ),
        (ObjectRef.pods("serving"), "", "/api/v1/namespaces/serving/pods"),
    ],
)
def test_a_path_follows_group_version_and_plural(ref: ObjectRef, subresource: str, path: str) -> None:
    assert ref.path(subresource) == path


@given(namespace=st.text(min_size=1), name=st.text(min_size=1))
def test_a_name_stays_one_segment_of_the_path(namespace: str, name: str) -> None:
    segments = ObjectRef.deployment(namespace, name).path("scale").split("/")

    assert [unquote(segment) for segment in segments[4:]] == ["namespaces", namespace, "deployments", name, "scale"]


@pytest.mark.parametrize(
    ("kind", "plural"),
    [("Deployment", "deployments"), ("InferencePolicy", "inferencepolicies"), ("ModelClass", "modelclasses")],
)
def test_a_plural_is_guessed_by_the_usual_rules(kind: str, plural: str) -> None:
    assert guess_plural(kind) == plural
