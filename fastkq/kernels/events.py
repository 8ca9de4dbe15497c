"""Telling of compilation before Numba is loaded, which it is not by asking for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

helpers: list[subprocess.Popen[bytes]] = []  # processes that compile kernels for this one
waiting: list[Callable[[], None]] = []  # until `compile` is loaded


def when_compiling(notify: Callable[[], None]) -> None:
    """Call `notify` once, before this process compiles a kernel."""
    module = sys.modules.get("fastkq.kernels.compile")
    if module is None:
        waiting.append(notify)
    else:
        module.notify_compilation(notify)


def wait_for_helpers() -> None:
    """Wait for the processes that compile; what they did not compile, this one will."""
    for helper in helpers:
        helper.wait()
