"""Colours that people with any colour vision can tell apart.

Okabe and Ito, "Color Universal Design", 2008. A colour means the same on every panel.
"""

from __future__ import annotations

ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#999999"

PREFILL, DECODE = BLUE, ORANGE
TTFT, TPOT = BLUE, ORANGE
LIMIT = GREY
BAD, FINE = VERMILLION, GREEN
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, GREY)
"""In this order where series have no meaning of their own."""
