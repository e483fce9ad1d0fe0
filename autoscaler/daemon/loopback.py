"""Addresses that only this machine can reach."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_meant(header: str) -> bool:
    """Whether a Host header names this machine, so that no page from elsewhere can be behind the request.

    Such a page may have its own name resolve to a loopback address (DNS rebinding); the header still shows that name.
    Browsers always send one.
    """
    try:
        return not header or is_loopback(urlsplit(f"//{header}").hostname or "")
    except ValueError:
        return False
