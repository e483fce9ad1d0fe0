"""Builds what is released, all under one version: wheel, sdist, chart, CRD, notes, checksums.

usage: release.py FOLDER [--tag vX.Y.Z]

With a tag the version has to be that of the tag, and the changelog has to have a section for it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import helm_python
import yaml

ROOT = Path(__file__).parents[1]
CHART = Path("deploy/helm/pd-autoscaler")
CRD = Path("deploy/crd/scalingpolicies.yaml")
_SECTION = r"^## \[?{}\]?[^\n]*\n(.*?)(?=^## |\Z)"


class ReleaseError(Exception):
    """It cannot be released as it is; says what to change."""


def one_version(root: Path = ROOT) -> str:
    """The version that package and chart have in common.

    Raises:
        ReleaseError: They differ.
    """
    package = (root / "autoscaler" / "__init__.py").read_text(encoding="utf-8")
    chart = yaml.safe_load((root / CHART / "Chart.yaml").read_text(encoding="utf-8"))
    found: dict[str, str] = {
        "pyproject.toml": tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"],
        "autoscaler/__init__.py": (re.findall(r'^__version__ = "(.+)"', package, re.MULTILINE) or ["none"])[0],
        f"{CHART}/Chart.yaml, version": str(chart["version"]),
        f"{CHART}/Chart.yaml, appVersion": str(chart["appVersion"]),
    }
    if len(set(found.values())) > 1:
        told = ", ".join(f"{place} says {version}" for place, version in found.items())
        raise ReleaseError(f"there must be one version, but {told}")
    return next(iter(found.values()))


def notes(version: str, tag: str | None, root: Path = ROOT) -> str:
    """What the changelog says of a version, or of what is unreleased where no tag asks for more.

    Raises:
        ReleaseError: The tag is of another version, or has no section.
    """
    if tag is not None and tag != f"v{version}":
        raise ReleaseError(f"the tag is {tag} and the version {version}: raise the version first, then tag v{version}")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    wanted = [version] if tag is not None else [version, "Unreleased"]
    for name in wanted:
        section = re.search(_SECTION.format(re.escape(name)), changelog, re.MULTILINE | re.DOTALL)
        if section is not None:
            return section[1].strip() + "\n"
    raise ReleaseError(f"CHANGELOG.md has no section {' or '.join(wanted)}: name what users get")


def pack_chart(folder: Path, at_s: int) -> Path:
    """The chart as Helm packs it; the same bytes for the same files and time, which Helm itself does not promise."""
    target = Path(helm_python.package(ROOT / CHART, destination=folder))
    packed = io.BytesIO()
    with tarfile.open(target) as helms, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in helms:
            entry.mtime = at_s
            archive.addfile(entry, helms.extractfile(entry))
    target.write_bytes(gzip.compress(packed.getvalue(), mtime=at_s))
    return target


def checksums(folder: Path) -> str:
    """A line for each file, as `sha256sum --check` reads it."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name != "SHA256SUMS")
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)


def build(folder: Path, tag: str | None) -> str:
    """Build everything into a folder, beside what is there; the version.

    Raises:
        ReleaseError: See `one_version` and `notes`.
    """
    version = one_version()
    text = notes(version, tag)
    folder.mkdir(parents=True, exist_ok=True)
    at_s = _commit_time_s()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(folder.resolve())],
        check=True,
        cwd=ROOT,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(at_s)},
        stdout=subprocess.DEVNULL,
    )
    pack_chart(folder, at_s)
    shutil.copyfile(ROOT / CRD, folder / f"pd-autoscaler-crd-{version}.yaml")
    (folder / "notes.md").write_text(text, encoding="utf-8")
    (folder / "SHA256SUMS").write_text(checksums(folder), encoding="utf-8")
    return version


def _commit_time_s() -> int:
    """When the last commit was made, so that two builds of it are the same; now where there is no repository."""
    shown = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    return int(shown.stdout.strip() or os.environ.get("SOURCE_DATE_EPOCH", "315532800"))


def main() -> None:
    """Build, and list what was built."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tag")
    options = parser.parse_args()
    try:
        build(options.folder, options.tag or None)
    except ReleaseError as error:
        sys.exit(f"release: {error}")
    sys.stdout.write((options.folder / "SHA256SUMS").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
