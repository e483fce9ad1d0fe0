"""Reads the object that is scaled: its count today, its GPUs, its model, its labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from autoscaler.adopt.part import with_part
from autoscaler.adopt.pool import Pool, Workload
from autoscaler.targets.kubernetes.accelerators import accelerators_of
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef, guess_plural, lookup

if TYPE_CHECKING:
    from autoscaler.targets.kubernetes.client import KubeClient  # importing it costs half a second

_VARIABLE = re.compile(r"\$[({]?([A-Za-z_][A-Za-z0-9_]*)[)}]?")
_MODEL_FLAGS = ("--served-model-name", "--model", "--model-path")


def look_at(client: KubeClient, workload: Workload, namespace: str) -> Workload:
    """The same with what the cluster knows of it.

    Raises:
        KubeError: It cannot be read.
    """
    plural = guess_plural(workload.kind)
    document = client.get(ObjectRef(workload.api_version, workload.kind, plural, namespace, workload.name))
    templates = _templates(document)
    containers = [container for template, _ in templates for container in _containers(template)]
    replicas = lookup(document, "spec.replicas")
    gpus = sum(accelerators_of(container) * pods for template, pods in templates for container in _containers(template))
    return replace(
        with_part(workload, document),
        replicas=replicas if isinstance(replicas, int) else None,
        gpus_per_replica=gpus or None,
        model=next(_models(containers), None),
        labels={
            **document["metadata"].get("labels", {}),
            **{name: value for template, _ in templates for name, value in _labels(template).items()},
        },
        images=tuple(str(container.get("image", "")) for container in containers),
    )


def fixed_pool(workload: Workload, namespace: str) -> Pool:
    """A pool whose count nobody changes: it may be as large as it is today."""
    today = max(workload.replicas or 0, 1)
    kubectl, what = f"kubectl -n {namespace}", f"{workload.kind.lower()}/{workload.name}"
    return Pool(
        setter=f"{workload.kind} {workload.name} (a fixed number)",
        workload=workload,
        min_replicas=1,
        max_replicas=today,
        is_fixed=True,
        bounds_note="today's count is the most: raise it to be told when that is too few",
        hand_over=(f"{kubectl} apply edit-last-applied {what}  # take spec.replicas out: docs/migrate.md",),
        hand_back=(f"{kubectl} scale {what} --replicas={today}",),
    )


def _templates(document: JsonObject) -> list[tuple[JsonObject, int]]:
    """Pod templates of one replica, each with how many pods it makes: several in a LeaderWorkerSet."""
    group = lookup(document, "spec.leaderWorkerTemplate")
    if group is None:
        return [(lookup(document, "spec.template") or {}, 1)]
    size, worker = group.get("size", 1), group.get("workerTemplate") or {}
    return [(group.get("leaderTemplate") or worker, 1), *([(worker, size - 1)] if size > 1 else [])]


def _containers(template: JsonObject) -> list[JsonObject]:
    return lookup(template, "spec.containers") or []


def _labels(template: JsonObject) -> JsonObject:
    return lookup(template, "metadata.labels") or {}


def _models(containers: list[JsonObject]) -> Iterator[str]:
    """The model name of each command line, the served one first; none where a variable holds it that nothing tells."""
    for container in containers:
        line = " ".join(str(word) for word in (*container.get("command", ()), *container.get("args", ())))
        name = next(_names(_filled(line, container.get("env", ())).split()), "")
        if name and "$" not in name:
            yield name


def _filled(line: str, env: Iterable[JsonObject]) -> str:
    known = {one["name"]: str(one["value"]) for one in env if "value" in one}
    return _VARIABLE.sub(lambda found: known.get(found[1], found[0]), line)


def _names(words: list[str]) -> Iterator[str]:
    for flag in _MODEL_FLAGS:
        for word, after in pairwise((*words, "")):
            if word.startswith(f"{flag}="):
                yield word.partition("=")[2].strip("\"'")
            elif word == flag and after:
                yield after.strip("\"'")
    if "serve" in words[:-1] and "vllm" in words:
        yield words[words.index("serve") + 1].strip("\"'")
