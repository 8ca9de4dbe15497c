"""Work spread over processes: never more threads than cores, a bound on memory, no lost items.

Processes, because Numba's `workqueue` layer aborts where threads enter it together, and because a
decoder that crashes takes its process with it; `bench/folder.py` measures threads beside them.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from typing import TypeVar

from fastkq.batch.worker import TIMED_OUT, WorkerPool, run_item
from fastkq.files.read import count_pixels

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items handed out a worker: one in work, one that waits, so that no worker does.
ITEMS_A_WORKER = 2
# How many items a worker may be begun before one that takes long has its turn.
ITEMS_AHEAD = 16
# A share of 32 MP (about 400 MB, at 12 bytes a pixel with its input, alpha or not) for each worker,
# or two medium ones beside a large one.
PIXELS_A_WORKER = 32_000_000
MIN_PIXELS_AT_ONCE = 128_000_000


class WorkerDiedError(RuntimeError):
    """A worker process ended in the middle of an item."""


def n_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_images(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    path_of: Callable[[Item], str],
    n_workers: int,
    timeout: float | None = None,
) -> Iterator[tuple[Item, Result | WorkerDiedError]]:
    """Call a function for each of some images and yield each with its result as it comes.

    Parameters
    ----------
    function : picklable, and raises nothing
    path_of : names an item's image file
    n_workers : int
        Processes; at most one a core is used. With 1, the work is done in this process, and so it
        is where this process is a daemonic one, which may start no others.
    timeout : float, optional
        Seconds for an item. With it, even a single worker is a process of its own, which can be
        ended; a daemonic process has none, and no timeout.
    """
    n_workers = min(n_workers, n_cores(), len(items))
    if not items or _works_here(n_workers, timeout):
        for item in items:
            yield item, function(item)
        return
    budget = _pixels_at_once(n_workers)

    def pixels(item: Item) -> int:
        path = path_of(item)
        # To open a pipe would be to wait for whoever writes to it.
        return min(count_pixels(path), budget) if os.path.isfile(path) else 0

    yield from map_unordered(
        function, items, n_workers, cost=pixels, budget=budget, timeout=timeout
    )


def map_in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    pixels_of: Callable[[Item], int],
    n_workers: int,
    timeout: float | None = None,
) -> Generator[tuple[Item, Result | WorkerDiedError]]:
    """Call a function for each of some images and yield each with its result, in their order.

    Few results wait for an earlier one: what is far ahead of it is not begun. For the parameters,
    see `map_images`; items are taken one at a time.
    """
    n_workers = min(n_workers, n_cores())
    if _works_here(n_workers, timeout):
        for item in items:
            yield item, function(item)
        return
    budget = _pixels_at_once(n_workers)
    waiting: dict[int, tuple[Item, Result | WorkerDiedError]] = {}
    n_done = 0

    def pixels(numbered: tuple[int, Item]) -> float:
        number, item = numbered
        is_near = number < n_done + n_workers * ITEMS_AHEAD
        return min(pixels_of(item), budget) if is_near else math.inf

    for (number, item), outcome in map_unordered(
        partial(_call_for_item, function),
        enumerate(items),
        n_workers,
        cost=pixels,
        budget=budget,
        timeout=timeout,
    ):
        waiting[number] = item, outcome
        while n_done in waiting:
            yield waiting.pop(n_done)
            n_done += 1


def _call_for_item(function: Callable[[Item], Result], numbered: tuple[int, Item]) -> Result:
    return function(numbered[1])


def _works_here(n_workers: int, timeout: float | None) -> bool:
    """Return whether work is done in this process."""
    is_alone = n_workers <= 1 and timeout is None
    return is_alone or multiprocessing.current_process().daemon


def _pixels_at_once(n_workers: int) -> int:
    return max(MIN_PIXELS_AT_ONCE, n_workers * PIXELS_A_WORKER)


def map_unordered(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    n_workers: int,
    *,
    cost: Callable[[Item], float],
    budget: float,
    timeout: float | None = None,
) -> Iterator[tuple[Item, Result | WorkerDiedError]]:
    """Call a function in worker processes and yield each item with its result as it comes.

    Parameters
    ----------
    function : picklable, and raises nothing
    items : taken one at a time, as workers come free
    n_workers : int
        At least 1. Each gets its share of the cores for its kernels.
    cost, budget
        Items run at once only while their costs add up to at most `budget`; a dearer one runs
        alone.
    timeout : float, optional
        A process that takes more seconds for an item ends, and so it does when it was given the
        item once more, alone.

    Yields
    ------
    item, result
        `WorkerDiedError` for the result if the process died (by a crash, or killed for its memory),
        and another one that was given nothing else died as well; its text tells of what.

    Raises
    ------
    RuntimeError
        No process can be started, since the script starts this work when it is imported.
    """
    upcoming = iter(items)
    waiting = next(upcoming, None)
    running: dict[Future[Result], tuple[Item, float]] = {}
    n_threads = max(1, n_cores() // n_workers)
    call = partial(run_item, function, timeout)
    pool = WorkerPool(n_workers, n_threads)
    try:
        while waiting is not None or running:
            died = False
            while waiting is not None and len(running) < n_workers * ITEMS_A_WORKER:
                price = cost(waiting)
                if running and price + sum(other for _, other in running.values()) > budget:
                    break
                try:
                    running[pool.submit(call, waiting)] = waiting, price
                except BrokenProcessPool:
                    died = True
                    break
                waiting = next(upcoming, None)
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                if isinstance(future.exception(), BrokenProcessPool):
                    died = True
                else:
                    item, _ = running.pop(future)
                    yield item, future.result()
            if died:  # and took all that was running with it
                pool.close()
                suspects = [item for item, _ in running.values()]
                running.clear()
                for item in suspects:
                    yield item, _call_alone(call, item, n_threads, timeout)
                pool = WorkerPool(n_workers, n_threads)
    except (KeyboardInterrupt, SystemExit):
        pool.kill()
        raise
    finally:
        pool.close()


def _call_alone(
    call: Callable[[Item], Result], item: Item, n_threads: int, timeout: float | None
) -> Result | WorkerDiedError:
    pool, moment = WorkerPool(1, n_threads), " while it started"
    try:
        with suppress(BrokenProcessPool):
            pool.submit(os.getpid).result()
            moment = ""
            return pool.submit(call, item).result()
        cause = pool.cause()
        if cause == TIMED_OUT:
            return WorkerDiedError(f"took longer than {timeout:g} s, the timeout")
        return WorkerDiedError(f"its worker process died{moment}{cause}")
    finally:
        pool.close()
