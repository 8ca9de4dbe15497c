"""Threads and forks: what a kernel on several cores must know of the process that it is called in.

Most such kernels are shared with the threads of `team`; those of K-means run on threads of Numba's.
Numba has three threading layers. `workqueue` aborts the process when two threads enter parallel
kernels at once; GNU OpenMP (`omp`) ends a forked child that enters one after its parent did, and a
fork copies none of any threads. So calls take turns under `workqueue`, and a child of a process
whose threads had started uses none: it runs the serial twin of each parallel kernel, the same
function, compiled without threads, with the same result.

`fastkq.kernels` loads this module before any kernel: also a process that forks before it first uses
fastkq must be told from its parent.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from fastkq.kernels import team

# Recursive, so that a fork from within a kernel's call (a debugger's, say) cannot wait for itself.
_turn = threading.RLock()
_is_serial = False


class ParallelKernel:
    """A kernel compiled with threads, and without where the process may use none.

    Attributes
    ----------
    threaded : Numba dispatcher
    """

    def __init__(self, threaded: Callable[..., Any], compile_serial: Callable[[], Any]) -> None:
        self.threaded = threaded
        self._compile_serial = compile_serial

    @functools.cached_property
    def serial(self) -> Callable[..., Any]:
        """The twin without threads, compiled where it is first needed."""
        twin: Callable[..., Any] = self._compile_serial()
        return twin

    def __call__(self, *arrays: Any) -> None:
        """Run the kernel."""
        if _is_serial:
            self.serial(*arrays)
        else:
            with _guard():
                self.threaded(*arrays)


class SharedKernel:
    """A kernel that does a piece or a range of them a call, on this thread and those of `team`.

    It is called as its function is, without the first argument or two: the piece, or the range.

    Attributes
    ----------
    compiled : Numba dispatcher
    """

    def __init__(
        self,
        compiled: Callable[..., Any],
        pieces: int | str,
        least: int = 1,
        *,
        is_single: bool = False,
    ) -> None:
        function = getattr(compiled, "py_func", compiled)  # compiled, or not: NUMBA_DISABLE_JIT
        self.compiled = compiled
        self._run = _piece_by_piece(compiled) if is_single else compiled
        self._least = least
        self._n_pieces = pieces if isinstance(pieces, int) else None
        self._place = 0
        if isinstance(pieces, str):
            self._place = function.__code__.co_varnames.index(pieces) - (1 if is_single else 2)

    def __call__(self, *arrays: Any) -> None:
        """Run the kernel for all pieces."""
        n_pieces = self._n_pieces
        if n_pieces is None:
            told = arrays[self._place]
            n_pieces = told if isinstance(told, int) else len(told)
        team.share(self._run, n_pieces, self._least, n_threads(), arrays)


def _piece_by_piece(kernel: Callable[..., Any]) -> Callable[..., Any]:
    def run(begin: int, end: int, *arrays: Any) -> None:
        for piece in range(begin, end):
            kernel(piece, *arrays)

    return run


def n_threads() -> int:
    """Return how many threads the kernels use now."""
    if _is_serial:
        return 1
    import numba

    if not _numba_has_started():  # which asking Numba would do; so many it would start
        return int(numba.config.NUMBA_NUM_THREADS)
    return int(numba.get_num_threads())


def set_threads(n: int) -> None:
    """Let the kernels that this thread calls use at most so many threads."""
    import numba

    numba.set_num_threads(min(n, numba.config.NUMBA_NUM_THREADS))


def threading_layer() -> str:
    """Return the name of the layer that runs the parallel kernels, started if it was not."""
    import numba

    numba.get_num_threads()  # starts it
    return str(numba.threading_layer())


def is_serial() -> bool:
    """Return whether kernels run on the calling thread alone, as in a forked child."""
    return _is_serial


@functools.cache
def _guard() -> AbstractContextManager[Any]:
    """Return what a thread must hold while it runs a parallel kernel."""
    return _turn if threading_layer() == "workqueue" else nullcontext()


def _numba_has_started() -> bool:
    numba = sys.modules.get("numba")
    try:
        return numba is not None and bool(numba.threading_layer())
    except (AttributeError, ValueError):  # half imported by another thread; no layer started
        return False


def _fork_locks() -> list[Any]:
    """Return the locks that a child must not find held by a thread that it does not have."""
    compiler = sys.modules.get("numba.core.compiler_lock")
    return [_turn] if compiler is None else [_turn, compiler.global_compiler_lock]


_held: list[Any] = []


def _before_fork() -> None:
    for lock in _fork_locks():
        lock.acquire()
        _held.append(lock)


def _release() -> None:
    # Emptied first: with the first lock released, another thread's fork fills it.
    held = _held[::-1]
    _held.clear()
    for lock in held:
        lock.release()


def _after_fork_in_child() -> None:
    global _is_serial  # noqa: PLW0603 - the state of the process, set where it begins
    _release()
    _is_serial = _is_serial or _numba_has_started() or team.has_started()
    team.forget()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_release,
        after_in_child=_after_fork_in_child,
    )
