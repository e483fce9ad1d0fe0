"""The image that `make image-test` has built: what is in it, and that it runs as a kubelet would start it."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler import __version__
from tests.daemon.test_endpoint_guard import certified
from tests.deploy.container import Container, Image, container
from tests.e2e.stage import policy_document
from tests.support.kube import FakeCluster
from tests.support.kube_api.manifests import deployment
from tests.support.prometheus import wait_until

FOLDER = os.environ.get("PD_AUTOSCALER_IMAGE", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="there is no image to look into: run make image-test")

MIB = 2**20
Run = Callable[..., Container]

# Imports every module of the package; the simulation does without its compiler.
IMPORT_ALL = """
import importlib, pkgutil, autoscaler
for module in pkgutil.walk_packages(autoscaler.__path__, "autoscaler."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name.partition(".")[0] != "numba":
                raise
"""


@pytest.fixture(scope="session")
def image() -> Image:
    return Image.load(Path(FOLDER))


@pytest.fixture
def run(image: Image, tmp_path: Path) -> Iterator[Run]:
    """Starts containers of the image."""
    with ExitStack() as stack:
        started: list[Container] = []

        def begin(*arguments: str, **settings: Any) -> Container:
            command = settings.pop("command", [*image.command, *arguments])
            folder = tmp_path / f"container-{len(started)}"
            started.append(stack.enter_context(container(image, folder, command, **settings)))
            return started[-1]

        yield begin


def measured(what: str, value: str) -> None:
    """Note a number; `make image-test` shows them at its end."""
    with (Path(FOLDER) / "measured.txt").open("a") as notes:
        notes.write(f"{what:<40} {value}\n")


def timed(start: Callable[[], Container]) -> float:
    """Seconds that a container lives, at best of three."""
    seconds = []
    for _ in range(3):
        began_s = time.monotonic()
        assert start().wait() == 0
        seconds.append(time.monotonic() - began_s)
    return min(seconds)


def write_policy(folder: Path, **spec: Any) -> Path:
    folder.mkdir()
    document = policy_document("chat", "serving", "http://127.0.0.1:9", mode="recommend", **spec)
    (folder / "chat.yaml").write_text(yaml.safe_dump(document))
    return folder


def test_it_says_its_version_and_the_commit_that_it_was_built_from(run: Run) -> None:
    started = run("--version")

    assert started.wait() == 0
    commit = os.environ["PD_AUTOSCALER_BUILT_FROM"]
    assert started.output() == f"pd-autoscaler {__version__} (commit {commit})\n"


def test_its_labels_say_what_it_is(image: Image) -> None:
    prefix = "org.opencontainers.image"
    assert {
        f"{prefix}.title": "pd-autoscaler",
        f"{prefix}.licenses": "Apache-2.0",
        f"{prefix}.version": os.environ["PD_AUTOSCALER_VERSION"],
        f"{prefix}.revision": os.environ["PD_AUTOSCALER_BUILT_FROM"],
    }.items() <= image.config["Labels"].items()


def test_it_runs_as_a_fixed_user_that_is_not_root_and_shows_help_when_told_nothing(image: Image) -> None:
    assert image.config["User"] == "65532:65532"
    assert image.config["Cmd"] == ["--help"]


def test_nothing_that_the_program_imports_was_left_out(image: Image, run: Run) -> None:
    python = str(Path(image.command[0]).with_name("python"))

    started = run(command=[python, "-W", "error", "-c", IMPORT_ALL])

    assert started.wait() == 0, started.output()


def test_no_installer_is_in_it(image: Image) -> None:
    environment = Path(image.command[0]).parents[1].relative_to("/")
    assert list((image.root / environment).glob("lib/python3*/site-packages/pip")) == []
    assert list((image.root / environment).glob("bin/pip*")) == []


def test_the_daemon_runs_with_a_read_only_root_and_without_a_shell(
    run: Run, tmp_path: Path, fake_kube_api: FakeCluster
) -> None:
    for role in ("prefill", "decode"):
        fake_kube_api.create("deployments", deployment(f"chat-{role}", replicas=2))
    fake_kube_api.api.log.clear()
    policies = write_policy(tmp_path / "policies")
    kubeconfig = fake_kube_api.kubeconfig(tmp_path / "kubeconfig")
    kubeconfig.chmod(0o644)

    began_s = time.monotonic()
    daemon = run(
        *("run", "--policy", "/policies", "--kubeconfig", "/kubeconfig", "--listen", "127.0.0.1:0"),
        mounts={"/policies": policies, "/kubeconfig": kubeconfig},
    )
    address = daemon.wait_for("started")["address"]
    wait_until(lambda: answers(address, "/readyz"), "the daemon is not ready", timeout_s=30.0)
    ready_s = time.monotonic() - began_s

    measured("start of the container to ready", f"{ready_s:.2f} s")
    assert {request.verb for request in fake_kube_api.api.log.all()} <= {"get", "list"}
    assert daemon.end() == 0


def answers(address: str, path: str) -> bool:
    connection = HTTPConnection(address, timeout=5.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_its_health_check_tells_a_daemon_that_lives_from_one_that_does_not(
    image: Image, run: Run, tmp_path: Path
) -> None:
    kind, *check = image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    policies = write_policy(tmp_path / "policies")

    command = ["run", "--policy", "/policies", "--listen", ":9464"]
    daemon = run(*command, mounts={"/policies": policies}, own_network=True)
    daemon.wait_for("started")
    assert daemon.execute(check) == 0

    tls = tmp_path / "tls"
    tls.mkdir()
    certified(tls)
    (tls / "tls.key").chmod(0o644)
    (tls / "settings.yaml").write_text("endpoint: {certFile: /tls/tls.crt, keyFile: /tls/tls.key}")
    command += ["--settings", "/tls/settings.yaml"]
    with_tls = run(*command, mounts={"/policies": policies, "/tls": tls}, own_network=True)
    with_tls.wait_for("started")
    assert with_tls.execute(check) == 0

    elsewhere = run(
        "run", "--policy", "/policies", "--listen", ":9465", mounts={"/policies": policies}, own_network=True
    )
    elsewhere.wait_for("started")
    assert elsewhere.execute(check) != 0


def test_it_is_small(image: Image) -> None:
    added = image.root / Path(image.command[0]).parents[1].relative_to("/")
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w|") as archive,
    ):
        archive.add(added)
    on_disk = sum(path.lstat().st_size for path in added.rglob("*"))

    measured("our layer on disk", f"{on_disk / MIB:.0f} MiB")
    measured("our layer as it is pulled (gzip)", f"{packed.tell() / MIB:.0f} MiB")
    assert on_disk < 140 * MIB
    assert packed.tell() < 50 * MIB


def test_it_starts_fast(run: Run) -> None:
    version_s, help_s = timed(lambda: run("--version")), timed(lambda: run("--help"))

    measured("--version, container included", f"{version_s:.2f} s")
    measured("--help, container included", f"{help_s:.2f} s")
    assert version_s < 2.0
    assert help_s < 4.0
