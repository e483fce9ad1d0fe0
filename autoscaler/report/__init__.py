"""Renderings of the decision record."""
