"""What `make release` builds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from autoscaler import __version__
from scripts.release import CHART, ROOT, ReleaseError, build, notes, one_version, pack_chart


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build(folder, None)
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A copy of what carries the version."""
    for name in ("pyproject.toml", "CHANGELOG.md", "autoscaler/__init__.py", f"{CHART}/Chart.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def test_everything_is_there_under_one_version(dist: Path) -> None:
    assert {file.name for file in dist.iterdir()} == {
        f"pd_autoscaler-{__version__}-py3-none-any.whl",
        f"pd_autoscaler-{__version__}.tar.gz",
        f"pd-autoscaler-{__version__}.tgz",
        f"pd-autoscaler-crd-{__version__}.yaml",
        "notes.md",
        "SHA256SUMS",
    }


def test_the_checksums_are_those_of_the_files(dist: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=dist, check=False)

    assert done.returncode == 0


def test_the_wheel_brings_the_data_files_and_nothing_of_the_tests(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        names = wheel.namelist()

    assert {"autoscaler/stacks/vllm.yaml", "autoscaler/targets/kubernetes/specs/deployment.yaml"} <= set(names)
    assert {name.split("/")[0] for name in names} == {"autoscaler", f"pd_autoscaler-{__version__}.dist-info"}


def test_the_wheel_runs_without_the_checkout(dist: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(next(dist.glob("*.whl")), tmp_path, "zip")

    done = subprocess.run(
        [sys.executable, "-m", "autoscaler", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert __version__ in done.stdout


def test_the_sdist_has_what_its_tests_need_and_no_environment(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as sdist:
        tops = {name.split("/")[1] for name in sdist.getnames() if name.count("/")}

    assert {"autoscaler", "tests", "policies", "docs", "Makefile", "LICENSE", "pyproject.toml"} <= tops
    assert not {".venv", ".git", "build", "dist"} & tops


def test_the_chart_is_laid_out_as_helm_packs_it(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tgz"))) as chart:
        names = chart.getnames()
        assert all(entry.isfile() and entry.size for entry in chart.getmembers())  # links are followed
        described = chart.extractfile(names[0])
        assert described is not None
        told = yaml.safe_load(described.read())

    assert names[0] == "pd-autoscaler/Chart.yaml"
    assert "pd-autoscaler/crds/scalingpolicies.yaml" in names
    assert {name.split("/")[0] for name in names} == {"pd-autoscaler"}
    assert {name.split("/")[2] for name in names if name.startswith("pd-autoscaler/dashboards/")} == {
        *("fleet.json", "health.json", "service.json", "rules"),
    }
    assert (told["version"], told["appVersion"]) == (__version__, __version__)


def test_the_same_chart_has_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()

    one, two = (pack_chart(tmp_path / name, 1_700_000_000).read_bytes() for name in ("one", "two"))

    assert one == two


def test_the_crd_is_the_one_that_is_deployed(dist: Path) -> None:
    crd = next(dist.glob("*.yaml"))

    assert crd.read_bytes() == (ROOT / "deploy/crd/scalingpolicies.yaml").read_bytes()


def test_two_versions_are_refused_and_both_are_named(elsewhere: Path) -> None:
    chart = elsewhere / CHART / "Chart.yaml"
    chart.write_text(chart.read_text().replace(f"appVersion: {__version__}", "appVersion: 9.9.9"))

    with pytest.raises(ReleaseError, match=r"appVersion says 9\.9\.9"):
        one_version(elsewhere)


def test_a_tag_of_another_version_is_refused() -> None:
    with pytest.raises(ReleaseError, match=f"then tag v{__version__}"):
        notes(__version__, "v9.9.9")


def test_a_tag_without_its_section_in_the_changelog_is_refused(elsewhere: Path) -> None:
    (elsewhere / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- More.\n")

    with pytest.raises(ReleaseError, match="no section"):
        notes("1.2.3", "v1.2.3", elsewhere)


def test_the_notes_are_the_section_of_the_version_alone(elsewhere: Path) -> None:
    changelog = "# Changelog\n\n## Unreleased\n\n- More.\n\n## 1.2.3 - 2026-12-01\n\n- This.\n\n## 1.2.2\n\n- That.\n"
    (elsewhere / "CHANGELOG.md").write_text(changelog)

    assert notes("1.2.3", "v1.2.3", elsewhere) == "- This.\n"


def test_a_package_has_one_version_in_all_requirement_files() -> None:
    found: dict[str, set[str]] = {}
    for file in (ROOT / "requirements").glob("*.txt"):
        for name, version, marker in re.findall(r"^([a-z0-9-]+)==(\S+)(.*)$", file.read_text(), re.MULTILINE):
            found.setdefault(f"{name}{marker}", set()).add(version)

    assert {name: versions for name, versions in found.items() if len(versions) > 1} == {}
