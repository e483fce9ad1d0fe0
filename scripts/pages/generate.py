"""All generated pages by their path in the documentation."""

from __future__ import annotations

from scripts.pages.cli import cli_page
from scripts.pages.guides import guide_index, guide_pages
from scripts.pages.policy import policy_page
from scripts.pages.reasons import conditions_page, reasons_page


def generated_pages() -> dict[str, str]:
    """Paths and texts."""
    return {
        "reference/policy.md": policy_page(),
        "reference/cli.md": cli_page(),
        "reference/reasons.md": reasons_page(),
        "reference/conditions.md": conditions_page(),
        "guides/index.md": guide_index(),
        **{f"guides/{name}.md": text for name, text in guide_pages().items()},
    }
