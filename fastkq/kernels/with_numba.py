"""What Numba compiles, and the "compiling" event: loaded where a kernel is not on disk."""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba
from numba.core import event

from fastkq.kernels import cache
from fastkq.kernels.events import waiting


def make_dispatcher(function: FunctionType, *, parallel: bool, inline: bool) -> Any:
    """Return a function that Numba compiles for the types it is called with."""
    if "prange" in function.__globals__:
        function.__globals__["prange"] = numba.prange  # until now it was a plain range
    compiled = numba.njit(
        parallel=parallel,
        inline="always" if inline else "never",
        nogil=True,
        error_model="numpy",
        no_cfunc_wrapper=True,  # for calls by pointer, of which there are none
    )(function)
    cache.attach(compiled)
    return compiled


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
