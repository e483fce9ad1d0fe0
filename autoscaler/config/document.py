"""From the bytes of a file to plain data, with the line of every key, within limits of size and depth.

YAML with several documents, anchors and merge keys, and JSON, which is YAML but for its tabs.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from autoscaler.config.problems import Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 24  # three times what a policy needs
MAX_NODES = 100_000  # with every alias counted as what it stands for

Key = str | int
Loc = tuple[Key, ...]

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_NULL = f"{_TAG}null"
_AS_TEXT = {f"{_TAG}{name}" for name in ("str", "timestamp", "value")}
_SCALARS = {f"{_TAG}{name}" for name in ("int", "float", "bool", "null")}


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file.

    Attributes:
        data: Its content as plain data.
        file: The file as it was named.
        root: Its syntax tree, for lines and for values as they were written.
    """

    data: dict[str, Any]
    file: str
    root: MappingNode

    def line_of(self, loc: Loc) -> int:
        """Line, from 1, of the key or item at `loc`, or of what would have to hold it."""
        node: Node = self.root
        mark = self.root.start_mark
        for part in loc:
            found = _child(node, part)
            if found is None:
                break
            place, node = found
            mark = place.start_mark
        return int(mark.line) + 1

    def written(self, loc: Loc) -> str | None:
        """The scalar at `loc` as it was written; None for anything else."""
        node: Node = self.root
        for part in loc:
            found = _child(node, part)
            if found is None:
                return None
            node = found[1]
        return str(node.value) if isinstance(node, ScalarNode) else None


def read_documents(
    raw: bytes, file: str, *, holds: str = "policy", keys: str = "apiVersion, kind, metadata, spec"
) -> tuple[list[Document], list[Problem]]:
    """Read all documents of a file.

    Args:
        raw: Content of the file.
        file: What to call it; `.json` at its end lets tabs pass.
        holds: What a document is to be, for messages.
        keys: The keys that it has, for messages.

    Returns:
        The documents that could be read, and what is wrong with the others.
    """
    if len(raw) > MAX_BYTES:
        message = f"is larger than {MAX_BYTES // 1024} KiB: split it into several files"
        return [], [Problem("", message, value=f"{len(raw)} bytes", file=file)]
    try:
        text = _decode(raw)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return [], [
            Problem("", "is not UTF-8: save it as UTF-8", f"byte 0x{raw[error.start]:02x}", file=file, line=line)
        ]
    if file.endswith(".json"):
        text = text.replace("\t", " ")
    try:
        roots = list(_compose(text))
    except yaml.YAMLError as error:
        return [], [_syntax_problem(error, text, file)]
    filled = [root for root in roots if not (isinstance(root, ScalarNode) and root.tag == _NULL)]
    if not filled:
        return [], [Problem("", f"is empty: it holds no {holds}", file=file)]
    documents: list[Document] = []
    problems: list[Problem] = []
    for root in filled:
        builder = _Builder(file)
        data = builder.build(root, 0)
        if builder.problems:
            problems += builder.problems
        elif isinstance(root, MappingNode):
            documents.append(Document(data, file, root))
        else:
            message = f"is {_kind(root)}, where a {holds} (keys {keys}) is wanted"
            problems.append(Problem("", message, file=file, line=_line(root)))
    return documents, problems


def _decode(raw: bytes) -> str:
    return raw.removeprefix(codecs.BOM_UTF8).decode()


class _Loader(yaml.SafeLoader):
    """Composes nodes, but not deeper than anything sensible: the composer is recursive.

    JSON writes a character beyond U+FFFF as two escapes, which YAML takes for two characters; they are one here.
    """

    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ComposerError(None, None, f"is nested deeper than {MAX_DEPTH} levels", self.get_mark())
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def compose_scalar_node(self, anchor: dict[Any, Node]) -> ScalarNode:
        node: ScalarNode = super().compose_scalar_node(anchor)
        node.value = node.value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        lone = next((character for character in node.value if "\ud800" <= character <= "\udfff"), None)
        if lone is not None:
            problem = f"\\u{ord(lone):04x} is half of a character: its other half is missing"
            raise ComposerError(None, None, problem, node.start_mark)
        return node


def _compose(text: str) -> Iterator[Node]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield node
    finally:
        loader.dispose()


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        message = "holds a character that YAML does not allow"
        return Problem("", message, f"U+{ord(text[error.position]):04X}", file=file, line=line)
    mark = getattr(error, "problem_mark", None)
    message = str(getattr(error, "problem", None) or "cannot be read")
    if "'\\t'" in message:
        message = "has a tab where YAML wants spaces: replace it"
    elif not message.startswith("is nested"):
        message = f"is no valid YAML: {message}"
    return Problem("", message, file=file, line=int(mark.line) + 1 if mark is not None else None)


@dataclass(slots=True)
class _Builder:
    """Makes plain data of one document's nodes, and collects what is wrong with them."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0
    scalars: SafeConstructor = field(default_factory=SafeConstructor)

    def build(self, node: Node, depth: int) -> Any:
        """Plain data of a node; None, and a problem, where there is none."""
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            if not self.problems:
                self._note(node, "is too large or too deep with its aliases written out; an alias may not hold itself")
            return None
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, depth)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.build(item, depth + 1) for item in node.value]
        if isinstance(node, ScalarNode) and node.tag in _AS_TEXT:
            return node.value
        if isinstance(node, ScalarNode) and node.tag in _SCALARS:
            return self._scalar(node)
        self._note(node, f"has the tag {node.tag.replace(_TAG, '!!')}, which has no place in a policy")
        return None

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                merged = {**self._merged(value, depth + 1), **merged}
            elif not isinstance(key, ScalarNode) or key.tag not in _AS_TEXT:
                text = f": quote it, as in '{key.value}'" if isinstance(key, ScalarNode) else ""
                self._note(key, f"has a key that is no text{text}")
            elif key.value in own:
                self._note(key, f"has the key {key.value[:60]!r} twice: remove one")
            else:
                own[key.value] = self.build(value, depth + 1)
        return {**merged, **own}

    def _merged(self, node: Node, depth: int) -> dict[str, Any]:
        sources = list(node.value) if isinstance(node, SequenceNode) else [node]
        result: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, MappingNode):
                self._note(source, "has a merge key << whose value is no mapping")
                continue
            data = self.build(source, depth)
            result = {**(data or {}), **result}
        return result

    def _scalar(self, node: ScalarNode) -> Any:
        try:
            return self.scalars.construct_object(node)
        except (ConstructorError, ValueError, KeyError, IndexError):
            self._note(node, f"has a value that is no valid {node.tag.removeprefix(_TAG)}")
            return None

    def _note(self, node: Node, message: str) -> None:
        self.problems.append(Problem("", message, file=self.file, line=_line(node)))


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _kind(node: Node) -> str:
    return "a list" if isinstance(node, SequenceNode) else "a single value"


def _child(node: Node, part: Key) -> tuple[Node, Node] | None:
    """The node that shows where `part` stands, and its value."""
    if isinstance(node, SequenceNode):
        inside = isinstance(part, int) and part < len(node.value)
        return (node.value[part], node.value[part]) if inside else None
    if not isinstance(node, MappingNode):
        return None
    for key, value in node.value:
        if key.tag != _MERGE and key.value == part:
            return key, value
    for key, value in node.value:
        for source in (value.value if isinstance(value, SequenceNode) else [value]) if key.tag == _MERGE else ():
            if (found := _child(source, part)) is not None:
                return found
    return None
