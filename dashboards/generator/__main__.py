"""Writes every dashboard; one that is not made any more is removed."""

from __future__ import annotations

from dashboards.generator.files import ROOT, files

made = files()
for path in {*ROOT.glob("*.json"), *ROOT.glob("stacks/*.json")} - made.keys():
    path.unlink()
for path, content in made.items():
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
