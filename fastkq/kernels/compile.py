"""Compile flags, the cache fallback and the "compiling" event: decided once for every kernel."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
from numba.core import event

from fastkq.kernels.events import waiting
from fastkq.kernels.threads import ParallelKernel

_log = logging.getLogger("fastkq")


def kernel(*, parallel: bool = False, inline: bool = False) -> Callable[[Any], Callable[..., Any]]:
    """Return the decorator that every kernel wears.

    Kernels release the GIL and never use `fastmath`: labels must be the same on every path and
    any number of threads, so no compiler may reorder a sum. Compiled code is cached on disk where
    a directory for it can be written; a read-only install without a home compiles in every process
    instead of failing at import, as Numba alone would.

    Functions that work on a few elements are inlined by Numba (`inline`), which counts no reference
    to their arrays. LLVM inlines as well, but leaves the counting: atomic increments, that two
    threads wait for (a Lloyd step over 256 colors took 0.55 ms instead of 0.35).
    """

    def decorate(function: Any) -> Callable[..., Any]:
        if not parallel:
            return _compile(function, inline=inline)
        return ParallelKernel(
            _compile(function, parallel=True), functools.partial(_compile_serial, function)
        )

    return decorate


def _compile(function: Any, *, parallel: bool = False, inline: bool = False) -> Callable[..., Any]:
    compile_cached, compile_uncached = (
        numba.njit(
            parallel=parallel,
            inline="always" if inline else "never",
            nogil=True,
            error_model="numpy",
            cache=cache,
        )
        for cache in (_cache_has_a_place(), False)
    )
    compiled: Callable[..., Any]
    try:
        compiled = compile_cached(function)
    except RuntimeError as error:  # Numba: "no locator available for file"
        _log.debug("kernel %s is not cached on disk: %s", function.__name__, error)
        compiled = compile_uncached(function)
    return compiled


def _cache_has_a_place() -> bool:
    """Return whether Numba may look for a cache directory.

    A user without a home - a container's random one - has the home "~", and Numba would make a
    directory of that name in the current one, and run what it finds there.
    """
    has_home = os.path.expanduser("~") != "~"
    named = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    return has_home or bool(named) or os.access(Path(__file__).parent, os.W_OK)


def _compile_serial(function: Any) -> Callable[..., Any]:
    """Compile a parallel kernel without threads.

    Under a name of its own: Numba's cache tells functions apart by name and line, not by how they
    are compiled.
    """
    twin = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__
    )
    twin.__qualname__ = f"{function.__qualname__}_serial"
    return _compile(twin)


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


def cache_directory(compiled: Any) -> str | None:
    """Return the writable directory that keeps a kernel; None where none was found."""
    path: str | None = compiled.stats.cache_path
    return path


def target_cpu() -> tuple[str, list[str]]:
    """Return the name of the processor that kernels are compiled for, and its features."""
    from numba.core.registry import cpu_target

    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    return name, [feature[1:] for feature in features.split(",") if feature.startswith("+")]


for _notify in waiting:
    notify_compilation(_notify)
