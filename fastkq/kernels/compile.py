"""Compile flags and the "compiling" event: decided once for every kernel."""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba
from numba.core import event

from fastkq.kernels import cache
from fastkq.kernels.events import waiting
from fastkq.kernels.threads import SharedKernel


def kernel(
    *,
    pieces: int | str | None = None,
    least: int = 1,
    each: str | None = None,
    parallel: bool = False,
    inline: bool = False,
) -> Callable[[Any], Callable[..., Any]]:
    """Return the decorator that every kernel wears.

    A kernel of several `pieces` does a range of them, which its first two arguments are, and is
    called without these: `team` shares the pieces among threads. There are so many, or as many as
    the argument of this name says or is long, and at least `least` of them to a call.
    Where a piece is long, the kernel does `each` in a call, and its first argument is which.

    A `parallel` kernel is compiled for Numba's own threads as well: its loop over the pieces is a
    `prange`. That takes two to four times as long: 1.8 s instead of 0.5 for a loop around a call
    with thirteen arrays. `threads` tells which of the two is called.

    Kernels release the GIL and never use `fastmath`: labels must be the same on every path and
    any number of threads, so no compiler may reorder a sum. Compiled code is kept on disk by
    `cache`, for functions of this folder only, whose files say whether it is fresh.

    A number that a kernel counts up and hands to another begins as np.int64(0): with a plain 0, the
    other is compiled twice, the first time for this value.

    Functions that work on a few elements are inlined by Numba (`inline`), which counts no reference
    to their arrays. LLVM inlines as well, but leaves the counting: atomic increments, that two
    threads wait for (a Lloyd step over 256 colors took 0.55 ms instead of 0.35).
    """

    def decorate(function: Any) -> Callable[..., Any]:
        if each is not None:
            return SharedKernel(_compile(function), each, is_single=True)
        if pieces is None:
            return _compile(function, inline=inline)
        threaded = _compile(_rename(function), parallel=True) if parallel else None
        return SharedKernel(_compile(function), pieces, least, threaded=threaded)

    return decorate


def _compile(function: Any, *, parallel: bool = False, inline: bool = False) -> Callable[..., Any]:
    compiled: Callable[..., Any] = numba.njit(
        parallel=parallel,
        inline="always" if inline else "never",
        nogil=True,
        error_model="numpy",
        no_cfunc_wrapper=True,  # for calls by pointer, of which there are none
    )(function)
    cache.attach(compiled)
    return compiled


def _rename(function: Any) -> FunctionType:
    """Return a function under another name: the cache tells compiled ones apart by their names."""
    twin = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__
    )
    twin.__qualname__ = f"{function.__qualname__}_threaded"
    return twin


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


class _WithoutCollection(event.Listener):  # type: ignore[misc]  # numba is untyped here
    """Compile without looking for garbage: 5 to 20 % of the time, and there is little to find.

    Compilations are one at a time, under Numba's lock, each within the one that needs it.
    """

    depth = 0
    was_enabled = False

    def on_start(self, event: Any) -> None:
        if self.depth == 0:
            self.was_enabled = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, event: Any) -> None:
        self.depth -= 1
        if self.depth == 0 and self.was_enabled:
            gc.enable()


event.register("numba:compile", _WithoutCollection())


def target_cpu() -> tuple[str, list[str]]:
    """Return the name of the processor that kernels are compiled for, and its features."""
    from numba.core.registry import cpu_target

    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    return name, [feature[1:] for feature in features.split(",") if feature.startswith("+")]


for _notify in waiting:
    notify_compilation(_notify)
