"""The first run on a machine, which compiles: on two cores instead of one.

Numba compiles one kernel at a time, under a lock. So while this process compiles the kernels that
touch pixels, another one compiles those of K-means, which take as long, into the cache on disk.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from fastkq import kernels

if TYPE_CHECKING:
    pass


def share_compilation(notify: Callable[[], None]) -> None:
    """If this process comes to compile a kernel, call `notify` and have another one help it.

    For commands, which own their process and know that `sys.executable` is Python.
    """

    def start() -> None:
        import subprocess

        notify()
        if kernels.cache.cache_directory() is not None:
            code = "from fastkq.pipeline import compile_kmeans; compile_kmeans()"
            nowhere = subprocess.DEVNULL
            kernels.events.helpers.append(
                subprocess.Popen(  # noqa: S603 - this Python
                    [sys.executable, "-c", code], stdin=nowhere, stdout=nowhere, stderr=nowhere
                )
            )

    kernels.events.when_compiling(start)
