"""The decorator of every kernel: compile flags, and what is called, are decided once for all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, Protocol

import numpy as np

from fastkq.kernels import machine_code
from fastkq.kernels.threads import SharedKernel

prange = range  # in the files of kernels; Numba puts its own in its place


class Dispatcher(Protocol):
    """What Numba makes of a function: it compiles that for the types it is called with."""

    signatures: list[Any]
    targetoptions: dict[str, Any]
    _numba_type_: Any

    def __call__(self, *arguments: Any) -> Any:
        """Run the function."""


class Kernel:
    """A compiled function: called as machine code where that is on disk, by Numba otherwise.

    To Numba, which compiles other kernels that call this one, it looks like its own dispatcher.
    """

    def __init__(
        self, function: FunctionType, *, parallel: bool = False, inline: bool = False
    ) -> None:
        self.py_func = function
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        self.__module__ = function.__module__
        self._options = {"parallel": parallel, "inline": inline}
        self._dispatcher: Dispatcher | None = None
        self._loaded: dict[tuple[Any, ...], Callable[..., Any]] = {}  # by types of arguments

    def __call__(self, *arguments: Any) -> Any:
        """Run the kernel."""
        return self.find(arguments)(*arguments)

    def find(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """Return what takes arguments like these."""
        if self._dispatcher is not None:
            return self._dispatcher
        # What decides of the types, and is quick to find: 0.2 microseconds an argument.
        key = tuple(
            [
                (each.dtype, each.ndim, each.flags.num & machine_code.TYPE_FLAGS)
                if type(each) is np.ndarray
                else type(each)
                for each in arguments
            ]
        )
        found = self._loaded.get(key)
        if found is None:
            found = machine_code.load(self.qualified_name, arguments)
            if found is None:
                return self.dispatcher
            self._loaded[key] = found
        return found

    @property
    def dispatcher(self) -> Dispatcher:
        """Numba's dispatcher of this function."""
        with machine_code.lock:  # two threads must not make two
            if self._dispatcher is None:
                from fastkq.kernels import with_numba

                self._dispatcher = with_numba.make_dispatcher(self.py_func, **self._options)
            return self._dispatcher

    @property
    def n_forms(self) -> int:
        """For how many types of arguments this process has it."""
        return len(set(self._loaded.values())) + len(getattr(self._dispatcher, "signatures", ()))

    @property
    def qualified_name(self) -> str:
        """The names of the file and of the function."""
        return qualify(self.py_func)

    @property
    def targetoptions(self) -> Any:
        """What Numba looks at before it inlines a function."""
        return self.dispatcher.targetoptions

    @property
    def _numba_type_(self) -> Any:
        """What Numba takes a global name for, in a kernel that calls this one."""
        return self.dispatcher._numba_type_


def qualify(function: FunctionType) -> str:
    """Return the names of a function's file and its own."""
    return f"{Path(function.__code__.co_filename).stem}.{function.__qualname__}"


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
            return SharedKernel(Kernel(function), each, is_single=True)
        if pieces is None:
            return Kernel(function, inline=inline)
        threaded = Kernel(_rename(function), parallel=True) if parallel else None
        return SharedKernel(Kernel(function), pieces, least, threaded=threaded)

    return decorate


def _rename(function: Any) -> FunctionType:
    """Return a function under another name: the cache tells compiled ones apart by their names."""
    twin = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__
    )
    twin.__qualname__ = f"{function.__qualname__}_threaded"
    return twin
