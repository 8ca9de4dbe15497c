"""Compile flags, the cache fallback and the "compiling" event: decided once for every kernel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numba
from numba.core import event

_log = logging.getLogger("fastkq")


def kernel(
    *, parallel: bool = False, inline: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that every kernel wears.

    Kernels release the GIL and never use `fastmath`: labels must be the same on every path and
    any number of threads, so no compiler may reorder a sum. Compiled code is cached on disk where
    a directory for it can be written; a read-only install without a home compiles in every process
    instead of failing at import, as Numba alone would.

    Functions that work on a few elements are inlined by Numba (`inline`), which counts no reference
    to their arrays. LLVM inlines as well, but leaves the counting: atomic increments, that two
    threads wait for (a Lloyd step over 256 colors took 0.55 ms instead of 0.35).
    """
    compile_cached, compile_uncached = (
        numba.njit(
            parallel=parallel,
            inline="always" if inline else "never",
            nogil=True,
            error_model="numpy",
            cache=cache,
        )
        for cache in (True, False)
    )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        compiled: Callable[..., Any]
        try:
            compiled = compile_cached(function)
        except RuntimeError as error:  # Numba: "no locator available for file"
            _log.debug("kernel %s is not cached on disk: %s", function.__name__, error)
            compiled = compile_uncached(function)
        return compiled

    return decorate


def notify_compilation(notify: Callable[[], None]) -> None:
    """Call `notify` once, before this process compiles a kernel that is not in the cache."""

    class _Once(event.Listener):  # type: ignore[misc]  # numba is untyped here
        told = False

        def on_start(self, event: Any) -> None:
            if not self.told:
                self.told = True
                notify()

        def on_end(self, event: Any) -> None:
            pass

    event.register("numba:compile", _Once())


def n_threads() -> int:
    """Return how many threads the parallel kernels use now."""
    return int(numba.get_num_threads())


def set_threads(n: int) -> None:
    """Let the parallel kernels that this thread calls use at most so many threads."""
    numba.set_num_threads(min(n, numba.config.NUMBA_NUM_THREADS))
