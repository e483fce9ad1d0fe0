"""Hands the generated pages to MkDocs, and the files at the top of the project that belong to the documentation too."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from scripts.pages.generate import generated_pages
from scripts.pages.guides import guide_pages

_TOP = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
_TO_DOCS = re.compile(r"\]\(docs/")
_RELATIVE_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<to>(?![a-z]+:|#|/)[^)]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the guides into the navigation."""
    for section in config.nav or []:
        if "Guides" in section:
            section["Guides"] += [f"guides/{name}.md" for name in guide_pages()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages that are in no folder."""
    root = Path(config.config_file_path).parent
    tops = {page: _TO_DOCS.sub("](", (root / name).read_text(encoding="utf-8")) for name, page in _TOP.items()}
    for path, text in {**generated_pages(), **tops}.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Take links to files of the project that are no pages for the text that they are: they only lead in a checkout."""
    folder = posixpath.dirname(page.file.src_uri)

    def kept(link: re.Match[str]) -> str:
        leaves = posixpath.normpath(posixpath.join(folder, link["to"])).startswith("..")
        return link["text"] if leaves else link[0]

    return _RELATIVE_LINK.sub(kept, markdown)
