"""Threads and forks: what a kernel on several cores must know of the process that it is called in.

Kernels are shared with the threads of `team`. What images without dithering need is compiled for
Numba's threads as well, which wait for work by spinning and so begin it sooner: on idle cores, a
step of K-means over 305,000 colors takes 0.35 ms of them and 0.5 of the team. But they are waited
for by their caller, all of them: beside two processes that spin, the same step took 15 ms, and 1.4
of the team. So Numba's have it where the system tells that cores are free (`is_busy`). Nor are they
used where long work of the team follows (`numba_rests`): they spin on for 8 ms, on cores that the
team needs. Commands and workers have the team alone (`always`), and compile half as much.

Numba has three threading layers. `workqueue` aborts the process when two threads enter parallel
kernels at once; GNU OpenMP (`omp`) ends a forked child that enters one after its parent did, and a
fork copies none of any threads. So calls take turns under `workqueue`, and a child of a process
whose threads had started uses none.

`fastkq.kernels` loads this module before any kernel: also a process that forks before it first uses
fastkq must be told from its parent.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from fastkq.kernels import team

if TYPE_CHECKING:
    from fastkq.kernels.compile import Kernel

# Recursive, so that a fork from within a kernel's call (a debugger's, say) cannot wait for itself.
_turn = threading.RLock()
_is_serial = False
_always: bool | None = None  # None: as the machine's load tells
_rest = threading.local()


class _Limit(threading.local):
    """So many threads, at most, for what the calling thread does."""

    n: int | None = None


_limit = _Limit()
_n_busy = 0  # looks at the load that said so, less those that did not, 0 to `MOST_BUSY`
LOAD_BYTES = 100
BUSY, MOST_BUSY = 2, 3
FEW_SLABS, TABLE_BYTES_A_PIXEL = 4, 4  # see `n_slabs`


class SharedKernel:
    """A kernel that does a piece or a range of them a call, on this thread and others.

    It is called as its function is, without the first argument or two: the piece, or the range.

    Parameters
    ----------
    compiled : Kernel
        Does what it is told on the calling thread.
    pieces : int, or str, the argument that is the number of pieces, or as long
    least : int
        So many pieces, at least, are worth a thread of `team`.
    is_single : bool
        Whether it takes a piece, not a range.
    threaded : Kernel, optional
        The same function for Numba's threads.
    """

    def __init__(
        self,
        compiled: Kernel,
        pieces: int | str,
        least: int = 1,
        *,
        is_single: bool = False,
        threaded: Kernel | None = None,
    ) -> None:
        self.compiled = compiled
        self.threaded = threaded
        self._least, self._is_single = least, is_single
        self._n_pieces = pieces if isinstance(pieces, int) else None
        self._place = 0
        if isinstance(pieces, str):
            names = compiled.py_func.__code__.co_varnames
            self._place = names.index(pieces) - (1 if is_single else 2)

    def __call__(self, *arrays: Any) -> None:
        """Run the kernel for all pieces."""
        n_pieces = self._n_pieces
        if n_pieces is None:
            told = arrays[self._place]
            n_pieces = told if isinstance(told, int) else len(told)
        n = n_threads()
        if self.threaded is not None and _is_for_numba(min(n, n_pieces)):
            run = self.threaded.find((0, n_pieces, *arrays))
            with _guard(), _numba_at_most(n):
                run(0, n_pieces, *arrays)
        elif self._is_single:
            run = _piece_by_piece(self.compiled.find((0, *arrays)))
            team.share(run, n_pieces, self._least, n, arrays)
        else:
            run = self.compiled.find((0, n_pieces, *arrays))
            team.share(run, n_pieces, self._least, n, arrays)


def _piece_by_piece(kernel: Callable[..., Any]) -> Callable[..., Any]:
    def run(begin: int, end: int, *arrays: Any) -> None:
        for piece in range(begin, end):
            kernel(piece, *arrays)

    return run


def n_threads() -> int:
    """Return how many threads the kernels use now."""
    if _is_serial:
        return 1
    n = _all_threads()
    return n if _limit.n is None else min(n, _limit.n)


def _all_threads() -> int:
    """Return how many threads Numba has, or would start."""
    if "numba" not in sys.modules:
        from fastkq.kernels import machine_code

        return machine_code.most_threads()
    import numba  # where another thread imports it, this waits

    if not _numba_has_layer():  # which asking Numba would start
        return int(numba.config.NUMBA_NUM_THREADS)
    return int(numba.get_num_threads())


def _is_for_numba(n_useful: int) -> bool:
    """Return whether Numba's threads should do what so many threads could help with."""
    if _is_serial:
        return False
    if _always is not None:
        return _always
    return n_useful > 1 and not getattr(_rest, "wanted", False) and not is_busy()


def forms() -> tuple[bool, ...]:
    """Return what `always` may be told so that the kernels which this process will need run."""
    if _always is not None:
        return (_always,)
    return (True, False) if n_threads() > 1 else (False,)


@contextmanager
def always(numba_threads: bool) -> Iterator[None]:
    """Run the kernels that have the choice on Numba's threads, or never: for this process."""
    global _always  # noqa: PLW0603 - of the process
    before, _always = _always, numba_threads
    try:
        yield
    finally:
        _always = before


def leave_numba_out() -> None:
    """Run the kernels that have the choice on the team, until this process ends: for workers."""
    global _always  # noqa: PLW0603 - of the process
    _always = False


@contextmanager
def numba_rests(wanted: bool) -> Iterator[None]:
    """Run the kernels that the calling thread calls on the team, if wanted: work of it follows."""
    before = getattr(_rest, "wanted", False)
    _rest.wanted = wanted
    try:
        yield
    finally:
        _rest.wanted = before


def is_busy() -> bool:
    """Return whether more threads want to run of late than there are cores, as far as Linux tells.

    That is, whether at least two of the last looks said so, and not as many said no after them: a
    thread of the system that runs for a moment is not worth another way.
    """
    global _n_busy  # noqa: PLW0603 - of the process
    step = 1 if _read_runnable() > _n_cores() else -1
    _n_busy = min(max(_n_busy + step, 0), MOST_BUSY)
    return _n_busy >= BUSY


@functools.cache
def _n_cores() -> int:
    """Return how many cores the machine has: asked each time, 13 microseconds a kernel."""
    return os.cpu_count() or 1


def _read_runnable() -> int:
    """Return how many threads of the machine run or wait for a core; 0 where none tells."""
    load = _load_file()
    if load is None:
        return 0
    try:  # "0.36 0.42 0.50 2/431 23657": of 431, 2
        return int(os.pread(load, LOAD_BYTES, 0).split()[3].partition(b"/")[0])
    except (OSError, IndexError, ValueError):
        return 0


@functools.cache
def _load_file() -> int | None:
    """Open the file of the load once: a look at it then takes 3 microseconds instead of 15."""
    try:
        return os.open("/proc/loadavg", os.O_RDONLY)
    except OSError:
        return None


def n_slabs(n_pixels: int, least: int, table_bytes: int) -> int:
    """Return into how many slabs an image is cut, each with tables that one thread fills.

    As many as threads, where tables then have no more than four bytes a pixel, or there are few.

    Parameters
    ----------
    n_pixels : int
    least : int, pixels that are worth a slab
    table_bytes : int, of the tables of a slab
    """
    affordable = max(FEW_SLABS, TABLE_BYTES_A_PIXEL * n_pixels // table_bytes)
    return max(1, min(n_threads(), affordable, n_pixels // least))


def set_threads(n: int) -> None:
    """Let the kernels that this thread calls use at most so many threads."""
    _limit.n = n


@contextmanager
def at_most(n: int | None) -> Iterator[None]:
    """Let the kernels that this thread calls use at most so many threads, for a while."""
    before = _limit.n
    if n is not None:
        _limit.n = n if before is None else min(n, before)
    try:
        yield
    finally:
        _limit.n = before


def _numba_at_most(n: int) -> AbstractContextManager[None]:
    """Let Numba's threads do with so many what the calling thread has them do."""
    from fastkq.kernels import machine_code

    numbers: list[tuple[Callable[[int], Any], int]] = []  # the own pool's is often Numba's as well
    if (own := machine_code.started_threads()) is not None:
        numbers.append((own.set_number, own.get_number()))
    if "numba" in sys.modules:
        import numba

        numbers.append((numba.set_num_threads, numba.get_num_threads()))
    changed = [(set_number, before) for set_number, before in numbers if before > n]
    return _changed(changed, n) if changed else nullcontext()  # each kernel comes by


@contextmanager
def _changed(numbers: list[tuple[Callable[[int], Any], int]], n: int) -> Iterator[None]:
    for set_number, _ in numbers:
        set_number(n)
    try:
        yield
    finally:
        for set_number, before in numbers:
            set_number(before)


def threading_layer() -> str:
    """Return the name of the layer that runs the parallel kernels, started if it was not."""
    import numba

    numba.get_num_threads()  # starts it
    return str(numba.threading_layer())


def is_serial() -> bool:
    """Return whether kernels run on the calling thread alone, as in a forked child."""
    return _is_serial


def _guard() -> AbstractContextManager[Any]:
    """Return what a thread must hold while it runs a parallel kernel."""
    if "numba" not in sys.modules:  # then the threads are those of GNU OpenMP
        return nullcontext()
    return _turn if threading_layer() == "workqueue" else nullcontext()


def _numba_has_started() -> bool:
    """Return whether Numba's threads have started, by Numba or without it."""
    direct = sys.modules.get("fastkq.kernels.machine_code")
    return _numba_has_layer() or (direct is not None and direct.started_threads() is not None)


def _numba_has_layer() -> bool:
    numba = sys.modules.get("numba")
    try:
        return numba is not None and bool(numba.threading_layer())
    except (AttributeError, ValueError):  # half imported by another thread; no layer started
        return False


def _fork_locks() -> list[Any]:
    """Return the locks that a child must not find held by a thread that it does not have."""
    locks = [_turn]
    if (compiler := sys.modules.get("numba.core.compiler_lock")) is not None:
        locks.append(compiler.global_compiler_lock)
    # Last, for a thread that compiles a kernel may want it, to compile others within.
    if (direct := sys.modules.get("fastkq.kernels.machine_code")) is not None:
        locks.append(direct.lock)
    return locks


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
