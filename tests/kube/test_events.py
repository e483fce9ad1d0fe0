"""Events as a server takes them."""

from __future__ import annotations

from autoscaler.kube.events import post, repeat
from autoscaler.targets.kubernetes.refs import ObjectRef
from tests.kube.conftest import Connect
from tests.support.kube import Cluster
from tests.support.kube_api.manifests import deployment


def test_an_event_is_taken_and_counted_up(kube_api: Cluster, connect: Connect) -> None:
    api = connect(kube_api)
    made = kube_api.create("deployments", deployment("decode"))
    about = ObjectRef.deployment(kube_api.namespace, "decode")

    event = post(
        api, about, made["metadata"]["uid"], "Scaled", "from 2 to 3", 1_700_000_000.0, warning=False, instance="pod_1"
    )
    again = repeat(api, event, "from 2 to 3 again", 1_700_000_600.0, 2)

    found = kube_api.get("v1", "events", event.name)
    assert again
    assert (found["count"], found["message"], found["type"]) == (2, "from 2 to 3 again", "Normal")
    assert (found["firstTimestamp"], found["lastTimestamp"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:23:20Z")


def test_an_event_that_is_gone_cannot_be_repeated(kube_api: Cluster, connect: Connect) -> None:
    gone = ObjectRef("v1", "Event", "events", kube_api.namespace, "decode.0123")

    assert not repeat(connect(kube_api), gone, "again", 1_700_000_000.0, 2)
