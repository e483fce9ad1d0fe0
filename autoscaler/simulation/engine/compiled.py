"""Compile a function with numba where it is installed; otherwise leave it as it is, only slower.

Machine code is cached on disk under a key made of all sources of this package: numba's own key knows only the file
of the function itself, so it would go on using a caller compiled against an older callee.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

_HERE = Path(__file__).parent


def _cache_directory() -> str:
    digest = hashlib.sha256()
    for source in (*sorted(_HERE.glob("*.py")), _HERE.parent / "counters.py"):
        digest.update(source.read_bytes())
    return str(_HERE / "__pycache__" / f"numba-{digest.hexdigest()[:16]}")


try:
    from numba import njit
    from numba.core import config
except ImportError:
    COMPILES = False

    def compiled(function: Function) -> Function:
        """Return the function unchanged: numba is not installed."""
        return function
else:
    COMPILES = True
    _CACHE = _cache_directory()
    _config: Any = config

    def compiled(function: Function) -> Function:
        """Compile on first call and keep the machine code on disk."""
        users_choice = _config.CACHE_DIR
        _config.CACHE_DIR = users_choice or _CACHE
        try:
            return cast("Function", njit(cache=True, error_model="numpy")(function))
        finally:
            _config.CACHE_DIR = users_choice
