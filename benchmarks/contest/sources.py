"""Which code a row depends on, so that it is measured again when that changes and not otherwise.

Followed name by name, not file by file: a function depends on the functions, classes and constants that it mentions,
wherever they are defined, and on nothing else in their modules. Comments, docstrings and layout do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]

Name = tuple[str, str]
"""A module, and a name in it."""

_PACKAGES = ("autoscaler", "benchmarks")
_ANY = "*"
_LOOSE = ""  # what a module does when it is imported, beside defining names


@dataclass(frozen=True, slots=True)
class _Module:
    """The names of a module: what defines them, and which of them come from elsewhere."""

    nodes: dict[str, list[ast.AST]] = field(default_factory=dict)
    imported: dict[str, Name] = field(default_factory=dict)


@functools.lru_cache
def digest(roots: tuple[Name, ...], without: frozenset[Name] = frozenset(), root: Path = ROOT) -> str:
    """Hash of all definitions that these names depend on, directly or not.

    Args:
        roots: Where to begin.
        without: Names that are left out, with what only they depend on.
        root: Folder of the packages.
    """
    found = definitions(roots, without, root)
    text = "\n".join(f"{name} {_text(node)}" for name in sorted(found) for node in found[name])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def definitions(
    roots: tuple[Name, ...], without: frozenset[Name] = frozenset(), root: Path = ROOT
) -> dict[Name, list[ast.AST]]:
    """The definitions of these names and of all that they depend on."""
    found: dict[Name, list[ast.AST]] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found or name in without:
            continue
        module = _module(name[0], root)
        if module is None:
            continue
        found[name] = nodes = module.nodes.get(name[1], [])
        if name[1] == _ANY:
            waiting += [(name[0], each) for each in (*module.nodes, *module.imported)]
        elif name[1] in module.imported:
            waiting.append(_resolved(module.imported[name[1]], root))
        waiting.append((name[0], _LOOSE))
        waiting += [reference for node in nodes for reference in _references(node, name[0], module, root)]
    return found


@functools.cache
def _module(module: str, root: Path) -> _Module | None:
    path = _file(module, root)
    if path is None:
        return None
    read = _Module()
    for node in _run_time(ast.parse(path.read_text()).body):
        _read(node, read, module if path.name == "__init__.py" else module.rpartition(".")[0])
    return read


def _file(module: str, root: Path) -> Path | None:
    if module.split(".", maxsplit=1)[0] not in _PACKAGES:
        return None
    place = root / module.replace(".", "/")
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def _run_time(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        only_types = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not only_types and not is_docstring:
            yield node


def _read(node: ast.stmt, read: _Module, package: str) -> None:
    if isinstance(node, ast.Import):
        for alias in node.names:
            read.imported[alias.asname or alias.name.split(".")[0]] = (alias.name, _ANY)
    elif isinstance(node, ast.ImportFrom):
        origin = node.module or "" if not node.level else f"{package}.{node.module}"
        for alias in node.names:
            read.imported[alias.asname or alias.name] = (origin, alias.name)
    else:
        for name in _defined(node):
            read.nodes.setdefault(name, []).append(node)


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    names = [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
    simple = all(isinstance(target, ast.Name | ast.Tuple) for target in targets)
    return names if names and simple else [_LOOSE]


def _references(node: ast.AST, module_name: str, module: _Module, root: Path) -> Iterator[Name]:
    """Names of the project that a definition mentions; of an imported module, the attribute that is used."""
    whole = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
            origin = _imported_module(module.imported.get(each.value.id), root)
            if origin is not None:
                whole.add(each.value)
                yield _resolved((origin, each.attr), root)
        elif isinstance(each, ast.Name) and each not in whole:
            if each.id in module.imported:
                yield _resolved(module.imported[each.id], root)
            elif each.id in module.nodes:
                yield module_name, each.id


def _imported_module(origin: Name | None, root: Path) -> str | None:
    """The module that an imported name stands for, if it stands for one."""
    if origin is None:
        return None
    if origin[1] == _ANY:
        return origin[0]
    below = f"{origin[0]}.{origin[1]}"
    return below if _file(below, root) is not None else None


def _resolved(name: Name, root: Path) -> Name:
    """A submodule taken whole where that is what the name means."""
    below = _imported_module(name, root)
    return (below, _ANY) if below is not None else name


@functools.cache
def _text(node: ast.AST) -> str:
    for each in ast.walk(node):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(each):
            each.body = each.body[1:]
    return ast.dump(node)
