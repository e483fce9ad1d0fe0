"""Which source files a row depends on, so that it is measured again when they change and not otherwise."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


@functools.lru_cache
def digest(entries: tuple[str, ...], without: tuple[str, ...] = ()) -> str:
    """Hash of all modules of the project that these modules import, directly or not.

    Args:
        entries: Names of modules.
        without: Modules that are left out, with what only they import.
    """
    found: set[Path] = set()
    waiting = list(entries)
    while waiting:
        module = waiting.pop()
        path = _file(module)
        if path is not None and path not in found and module not in without:
            found.add(path)
            waiting += _imports(path)
    sums = (f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in sorted(found))
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()[:16]


def _file(module: str) -> Path | None:
    place = ROOT / module.replace(".", "/")
    candidates = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    for node in _run_time_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("autoscaler."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autoscaler"):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _run_time_nodes(child)
