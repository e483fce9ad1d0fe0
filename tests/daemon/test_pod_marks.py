"""Marks on pods: one that ended meanwhile is not missed, and a missing right is told from an outage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from autoscaler.daemon.pod_marks import OURS, MarksError, MarksForbiddenError, PodMarks
from autoscaler.targets.kubernetes.errors import Operation, error_of
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef
from tests.daemon.test_draining import pod

FORBIDDEN = 'pods "b" is forbidden: User "us" cannot patch resource "pods" in API group "" in the namespace "serving"'


class Server:
    """Marks pods, but for those whose answer is given."""

    def __init__(self, answers: Mapping[str, tuple[int, str]]) -> None:
        self.answers = answers
        self.marked: list[str] = []

    def patch(self, ref: ObjectRef, change: JsonObject) -> JsonObject:
        if ref.name in self.answers:
            code, message = self.answers[ref.name]
            raise error_of(Operation("patch", ref), code, json.dumps({"message": message}), None)
        self.marked.append(ref.name)
        return change


def test_a_pod_that_is_gone_by_now_keeps_no_other_from_being_marked() -> None:
    server: Any = Server({"b": (404, 'pods "b" not found')})

    PodMarks(server, {}).set([pod(name) for name in "abc"], OURS)

    assert server.marked == ["a", "c"]


@pytest.mark.parametrize(
    ("code", "message", "error"),
    [
        (403, FORBIDDEN, MarksForbiddenError),
        (403, "admission webhook denied the request", MarksError),
        (503, "the server is overloaded", MarksError),
    ],
)
def test_a_missing_right_is_told_from_what_passes(code: int, message: str, error: type[MarksError]) -> None:
    server: Any = Server({"b": (code, message)})

    with pytest.raises(MarksError) as raised:
        PodMarks(server, {}).set([pod(name) for name in "abc"], OURS)

    assert raised.type is error
