"""Threads that help their caller with the pieces of a kernel.

The caller works itself, and takes batches of pieces in turn with as many helpers as come. A helper
that is not there yet is not waited for: on a busy machine, where a thread may get its next turn
after 8 ms, a call takes little longer than on one thread, while the teams of Numba's layers wait
for their last member, however short its work is: 0.26 ms of it took 0.13 on two idle cores, and 6.6
beside processes that spin, half of all times; here 0.18 and 0.29.

Which thread does a piece is chance, what a piece is depends on the data alone.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from queue import SimpleQueue

BATCHES = 8  # a thread: the last one to end keeps the others waiting for an eighth of the work


class Help:
    """Work that a helper may begin, unless its caller has ended it by then."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work: Callable[[], None] | None = work
        self._claim = itertools.count().__next__  # 0 for the first who asks
        self._is_over = threading.Lock()
        self._is_over.acquire()
        self._error: BaseException | None = None

    def begin(self) -> None:
        """Do the work, if it is still wanted: for the helper."""
        if self._claim() or self._work is None:
            return
        try:
            self._work()
        except BaseException as error:  # raised in the caller's thread
            self._error = error
        finally:
            self._is_over.release()

    def end(self) -> BaseException | None:
        """Wait for a helper that has begun, or keep all from it; return its error: for callers."""
        if self._claim():
            self._is_over.acquire()
        self._work = None  # whose arrays would live until a helper comes by
        return self._error


_wanted: SimpleQueue[Help] | None = None  # made with the first helper
_helpers: list[threading.Thread] = []
_hiring = threading.Lock()


def share(
    kernel: Callable[..., Any],
    n_pieces: int,
    least: int,
    n_threads: int,
    arguments: tuple[Any, ...],
) -> None:
    """Call `kernel(begin, end, *arguments)` for ranges that make up all pieces.

    Parameters
    ----------
    kernel : callable that releases the interpreter's lock
    n_pieces : int
    least : pieces that are worth a call
    n_threads : at most so many work at once
    arguments
    """
    n_batches = min(-(-n_pieces // least), BATCHES * n_threads)
    if n_batches <= 1 or n_threads == 1:
        kernel(0, n_pieces, *arguments)
        return
    take = itertools.count().__next__

    def work() -> None:
        while (batch := take()) < n_batches:
            begin, end = n_pieces * batch // n_batches, n_pieces * (batch + 1) // n_batches
            kernel(begin, end, *arguments)

    asked = [Help(work) for _ in range(min(n_threads, n_batches) - 1)]
    if len(_helpers) < len(asked):
        _hire(len(asked))
    if _wanted is not None:
        for help_ in asked:
            _wanted.put(help_)
    try:
        work()
    finally:
        for _ in range(n_batches):  # after an error or Ctrl-C: nothing is begun any more
            take()
        errors = [help_.end() for help_ in asked]
    for error in errors:
        if error is not None:
            raise error


def has_started() -> bool:
    """Return whether this process has helpers, which a fork would not copy."""
    return bool(_helpers)


def _hire(n: int) -> None:
    global _wanted  # noqa: PLW0603 - of the process
    # Here, for `python -m fastkq` imports this module while a `queue.py` of the working directory
    # would still be found.
    from queue import SimpleQueue

    with _hiring:
        if _wanted is None:
            _wanted = SimpleQueue()
        while len(_helpers) < n:
            # Daemons: idle, they keep no process from its end.
            helper = threading.Thread(target=_help, args=(_wanted,), name="fastkq", daemon=True)
            try:
                helper.start()
            except RuntimeError:  # no thread can start: too many, or the process is at its end
                return
            _helpers.append(helper)


def _help(wanted: SimpleQueue[Help]) -> None:
    while True:
        wanted.get().begin()


def forget() -> None:
    """Begin anew in a forked child, whose parent's threads are not its own."""
    global _wanted, _hiring  # the state of the process, set where it begins
    _wanted, _hiring = None, threading.Lock()
    _helpers.clear()
