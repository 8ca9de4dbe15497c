"""Work spread over processes: never more threads than cores, a bound on memory, no lost items.

Processes, because Numba's `workqueue` layer aborts where threads enter it together, and because a
decoder that crashes takes its process with it; `bench/folder.py` measures threads beside them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from fastkq import kernels
from fastkq.files.read import count_pixels

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items handed out a worker: one in work, one that waits, so that no worker does.
ITEMS_A_WORKER = 2


# A share of 32 MP (about 400 MB) for each worker, or two medium ones beside a large one.
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
) -> Iterator[tuple[Item, Result | WorkerDiedError]]:
    """Call a function for each of some images and yield each with its result as it comes.

    Parameters
    ----------
    function : picklable, and raises nothing
    path_of : names an item's image file
    n_workers : int
        Processes; at most one a core is used. With 1, the work is done in this process.
    """
    n_workers = min(n_workers, n_cores(), len(items))
    if n_workers <= 1:
        for item in items:
            yield item, function(item)
        return
    budget = max(MIN_PIXELS_AT_ONCE, n_workers * PIXELS_A_WORKER)

    def pixels(item: Item) -> int:
        counted = count_pixels(path_of(item))
        return budget if counted is None else counted

    yield from map_unordered(function, items, n_workers, cost=pixels, budget=budget)


def map_unordered(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    n_workers: int,
    *,
    cost: Callable[[Item], float],
    budget: float,
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

    Yields
    ------
    item, result
        `WorkerDiedError` for the result if the process died (by a crash, or killed for its memory),
        and another one that was given nothing else died as well.

    Raises
    ------
    RuntimeError
        No process can be started.
    """
    upcoming = iter(items)
    waiting = next(upcoming, None)
    running: dict[Future[Result], tuple[Item, float]] = {}
    pool = _start(n_workers, n_workers)
    try:
        while waiting is not None or running:
            died = False
            while waiting is not None and len(running) < n_workers * ITEMS_A_WORKER:
                price = cost(waiting)
                if running and price + sum(other for _, other in running.values()) > budget:
                    break
                try:
                    running[pool.submit(function, waiting)] = waiting, price
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
                pool.shutdown()
                suspects = [item for item, _ in running.values()]
                running.clear()
                for item in suspects:
                    yield item, _call_alone(function, item, n_workers)
                pool = _start(n_workers, n_workers)
    finally:
        pool.shutdown(cancel_futures=True)


def _call_alone(
    function: Callable[[Item], Result], item: Item, n_workers: int
) -> Result | WorkerDiedError:
    with _start(1, n_workers) as pool:
        try:
            pool.submit(os.getpid).result()
        except BrokenProcessPool as error:
            raise RuntimeError(
                "worker processes cannot be started; a script must call this below "
                "`if __name__ == '__main__':`, for each worker imports it"
            ) from error
        try:
            return pool.submit(function, item).result()
        except BrokenProcessPool:
            return WorkerDiedError("its worker process died, perhaps for want of memory")


def _start(n_processes: int, n_sharing: int) -> ProcessPoolExecutor:
    """Return a pool whose every process has its share of the cores.

    Spawned, not forked: a child forked after its parent has used OpenMP dies at its first parallel
    kernel.
    """
    return ProcessPoolExecutor(
        n_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_become_worker,
        initargs=(max(1, n_cores() // n_sharing),),
    )


def _become_worker(n_threads: int) -> None:
    # An interrupt from the keyboard goes to all processes; the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A bad file costs one line, its result's; decoders may say hundreds about it.
    warnings.filterwarnings("ignore", module="PIL")
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    kernels.threads.set_threads(n_threads)


def _exit_with_parent() -> None:
    """End this process when its parent has ended: if that was killed, nobody else would."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
