"""The pages of the project, and what stands in them that a machine can check."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scripts.pages.generate import generated_pages

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(?P<command>pd-autoscaler [^`]+)`")
_INDENTED = re.compile(r"^ {4}(?P<command>pd-autoscaler [^\n]*?)(?: {2,}[^\n]*)?$", re.MULTILINE)
_LINK = re.compile(r"\]\((?P<to>[^)#\s]+)(?:#[^)]*)?\)")
_SEPARATORS = {"|", "&&", "||", ";", ">", ">>", "<"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        page: Path of the page below the project's root; below `docs/` for generated ones.
        line: Where it begins.
        language: What it says that it is.
        text: What is in it.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command of a shell: its words, without redirections."""

    origin: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.origin} {shlex.join(self.words)}"


@cache
def written_pages() -> dict[str, str]:
    """Pages that people wrote, by path."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}


@cache
def all_pages() -> dict[str, str]:
    """These, and the generated ones."""
    return {**written_pages(), **{f"docs/{path}": text for path, text in generated_pages().items()}}


def blocks(pages: dict[str, str]) -> Iterator[Block]:
    """Every fenced block."""
    for page, text in pages.items():
        for found in _FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(page, line, found["language"].strip(), textwrap.dedent(found["body"]))


def commands(block: Block) -> Iterator[Command]:
    """The simple commands of a shell block."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = next((at for at, word in enumerate(words) if word in _SEPARATORS), len(words))
            if words[:end]:
                yield Command(str(block), tuple(words[:end]))
            redirects = end < len(words) and words[end] in {">", ">>", "<"}
            words = words[end + (2 if redirects else 1) :]


def inline_commands(pages: dict[str, str]) -> Iterator[Command]:
    """Our commands that stand in a sentence or in an indented block."""
    for page, text in pages.items():
        outside = _FENCE.sub("", text)
        for found in (*_INLINE.finditer(outside), *_INDENTED.finditer(outside)):
            yield Command(page, tuple(shlex.split(found["command"].replace("…", ""))))


def links(pages: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Page and target of every link that is no address."""
    for page, text in pages.items():
        for found in _LINK.finditer(_FENCE.sub("", text)):
            if "://" not in found["to"] and not found["to"].startswith("mailto:"):
                yield page, found["to"]
