"""Remove from an environment what the program never imports; half of it would be the Kubernetes client's other halves.

usage: prune.py FOLDER, the root of a virtual environment
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

# Paths below site-packages, as globs. The client imports its 900 models and 60 APIs by name, when one is used; we send
# and read plain JSON and use none. `tests/deploy/test_image.py` holds that the program imports nothing of this.
NEVER_IMPORTED = (
    "kubernetes/aio",
    "kubernetes/client/api/*_api.py",
    "kubernetes/client/models/*_*.py",
    "kubernetes/e2e_test",
    "numpy/**/tests",
    "numpy/f2py",
    "numpy/_core/include",
    "numpy/_core/lib",
    "**/*.pyi",
)


def prune(site: Path) -> int:
    """Remove it; returns bytes gone."""
    before = _size(site)
    for pattern in NEVER_IMPORTED:
        for path in sorted(site.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    return before - _size(site)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    (site_packages,) = Path(sys.argv[1]).glob("lib/python3*/site-packages")
    sys.stdout.write(f"pruned {prune(site_packages) / 2**20:.0f} MiB\n")
