"""Telling of compilation before Numba is loaded, which it is not by asking for it."""

from __future__ import annotations

import sys
from collections.abc import Callable

waiting: list[Callable[[], None]] = []  # until `compile` is loaded


def when_compiling(notify: Callable[[], None]) -> None:
    """Call `notify` once, before this process compiles a kernel."""
    module = sys.modules.get("fastkq.kernels.compile")
    if module is None:
        waiting.append(notify)
    else:
        module.notify_compilation(notify)
