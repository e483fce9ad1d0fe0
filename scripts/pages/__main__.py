"""`python -m scripts.pages FOLDER` writes the generated pages there, for reading without building the site."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.pages.generate import generated_pages

for name, text in generated_pages().items():
    path = Path(sys.argv[1]) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
