"""Telling of kernels that are loaded and compiled before Numba is, which asking would load."""

from __future__ import annotations

import sys
from collections.abc import Callable

beginning: list[Callable[[], None]] = []  # what to do, once, before kernels are loaded ...
ending: list[Callable[[], None]] = []  # ... and when all are that this process loads at once
waiting: list[Callable[[], None]] = []  # until `with_numba` is loaded


def when_compiling(notify: Callable[[], None]) -> None:
    """Call `notify` once, before this process compiles a kernel."""
    module = sys.modules.get("fastkq.kernels.with_numba")
    if module is None:
        waiting.append(notify)
    else:
        module.notify_compilation(notify)


def begin_loading() -> None:
    """Tell that this process begins to load what an image needs."""
    while beginning:
        beginning.pop()()


def end_loading() -> None:
    """Tell that it has loaded what no other process compiles for it."""
    while ending:
        ending.pop()()
