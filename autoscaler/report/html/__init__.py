"""Self-contained HTML pages: no build step, no network, legible on screen, telephone and paper, light and dark."""
