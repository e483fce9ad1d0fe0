"""Compile functions with numba where it is installed; otherwise leave them as they are, only slower.

`compiled` is for functions that only other compiled ones call, `entry` for those that Python calls. Machine code of
entries is cached on disk under a key made of all sources: numba's own key knows only the file of the function itself,
so it would go on using an entry that was compiled with an older callee.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

# This code branches on data and has nothing to vectorise: level 1 runs as fast as 3 and compiles in half the time.
os.environ.setdefault("NUMBA_OPT", "1")

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

    entry = compiled
else:
    COMPILES = True
    _CACHE = _cache_directory()
    _config: Any = config
    _inner: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # half of the compile time

    def compiled(function: Function) -> Function:
        """Compile with the entry that calls it. Python must not call it: no wrapper is there to take the call."""
        return cast("Function", njit(error_model="numpy", **_inner)(function))

    def entry(function: Function) -> Function:
        """Compile on first call and keep the machine code on disk."""
        users_choice = _config.CACHE_DIR
        _config.CACHE_DIR = users_choice or _CACHE
        try:
            return cast("Function", njit(error_model="numpy", cache=True)(function))
        finally:
            _config.CACHE_DIR = users_choice
