from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.contest.sources import Name, digest

TREE = {
    "__init__.py": "",
    "a.py": '''"""Module."""
from autoscaler import tools as t
from autoscaler.b import LIMIT as MOST, helper
from autoscaler.pack import shown


def entry(x):
    """Docstring."""
    return helper(x) + MOST + shown() + t.used()


def other():
    return 1
''',
    "b.py": "LIMIT = 3\nSPARE = 4\n\n\ndef helper(x):\n    return _inner(x)\n\n\ndef _inner(x):\n    return -x\n",
    "pack/__init__.py": "from autoscaler.pack.deep import shown\n",
    "pack/deep.py": "def shown():\n    return 1\n\n\ndef hidden():\n    return 2\n",
    "tools.py": "def used():\n    return 1\n\n\ndef unused():\n    return 2\n",
}
ENTRY: tuple[Name, ...] = (("autoscaler.a", "entry"),)


def digest_of(
    root: Path, path: str = "a.py", old: str = "", new: str = "", without: frozenset[Name] = frozenset()
) -> str:
    for name, text in TREE.items():
        file = root / "autoscaler" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace(old, new) if name == path else text)
    assert old in TREE[path]
    return digest(ENTRY, without, root)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("a.py", "+ MOST", "- MOST"),
        ("b.py", "LIMIT = 3", "LIMIT = 5"),
        ("b.py", "return -x", "return 2 * x"),
        ("pack/deep.py", "return 1", "return 3"),
        ("tools.py", "return 1", "return 3"),
        ("b.py", "LIMIT = 3\n", "LIMIT = 3\nprint(LIMIT)\n"),
    ],
    ids=["itself", "a constant", "a function behind a function", "a re-export", "of a module", "an import's effect"],
)
def test_a_change_of_what_a_name_depends_on_changes_its_digest(tmp_path: Path, path: str, old: str, new: str) -> None:
    assert digest_of(tmp_path / "new", path, old, new) != digest_of(tmp_path / "old")


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("a.py", '    """Docstring."""\n', '    """Another."""\n\n    # A comment.\n'),
        ("a.py", "def other():\n    return 1", "def other():\n    return 2"),
        ("b.py", "SPARE = 4", "SPARE = 5"),
        ("pack/deep.py", "return 2", "return 3"),
        ("tools.py", "return 2", "return 3"),
    ],
    ids=["words", "a neighbour", "another constant", "behind a package", "another function of a module"],
)
def test_a_change_elsewhere_does_not(tmp_path: Path, path: str, old: str, new: str) -> None:
    assert digest_of(tmp_path / "new", path, old, new) == digest_of(tmp_path / "old")


def test_what_is_left_out_may_change(tmp_path: Path) -> None:
    without: frozenset[Name] = frozenset({("autoscaler.b", "helper")})

    new = digest_of(tmp_path / "new", "b.py", "return -x", "return 2 * x", without)

    assert new == digest_of(tmp_path / "old", without=without)
