"""Worker processes: how they are started, what they are told, and what they died of."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import tempfile
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from fastkq import kernels
from fastkq.batch.text import printable

Item = TypeVar("Item")
Result = TypeVar("Result")
Given = ParamSpec("Given")

# The name of a worker, and the exit code of one whose main script starts workers when imported.
NAME, UNGUARDED = "fastkq worker", 78
FATAL = "Fatal Python error: "
# What faulthandler writes before it ends a process that took too long, and what is told of it.
TIMEOUT, TIMED_OUT = "Timeout (", "timeout"
# A worker that is killed says nothing; on Linux it is mostly the system, short of memory.
KILLED = "SIGKILL, which the system sends where memory runs out"
MAX_WORDS = 300  # characters of a worker's last words
SAFE_PATH = "PYTHONSAFEPATH"
STDERR = 2
_environment = threading.Lock()
_pools: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


def kill_all() -> None:
    """End all workers of this process in the middle of their work."""
    for pool in list(_pools):
        pool.kill()


class _Processes(SpawnContext):
    """Spawned processes, which are kept.

    Not forked ones: a child forked after its parent has used OpenMP dies at its first parallel
    kernel.
    """

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802 - a class there
        """Return a process that knows by its name that it is a worker."""
        process = SpawnProcess(*args, **options | {"name": NAME})
        self.started.append(process)
        return process


class WorkerPool:
    """Processes that work, each with its share of the cores, and a note of what one died of."""

    def __init__(self, n_processes: int, n_threads: int) -> None:
        if multiprocessing.current_process().name == NAME:
            # A worker imports the script that started it, which starts workers again.
            raise SystemExit(UNGUARDED)
        self._n_processes = n_processes
        self._context = _Processes()
        # What workers write to their standard error, a file each, named by the process.
        self._words = tempfile.TemporaryDirectory(prefix="fastkq-", ignore_cleanup_errors=True)
        with _safe_path():
            self._pool = ProcessPoolExecutor(
                n_processes,
                mp_context=self._context,
                initializer=_become_worker,
                initargs=(n_threads, self._words.name),
            )
        _pools.add(self)

    def submit(
        self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs
    ) -> Future[Result]:
        """Have a worker call a function; as long as there are fewer than wanted, start one.

        Raises
        ------
        BrokenProcessPool
            A worker has died.
        """
        if len(self._context.started) >= self._n_processes:
            return self._pool.submit(function, *given, **named)
        with _safe_path(), _interrupts_blocked():
            return self._pool.submit(function, *given, **named)

    def cause(self) -> str:
        """Return what is known of the death of a pool's only process, as the end of a sentence.

        Raises
        ------
        RuntimeError
            The script that uses the pool starts it whenever it is imported, as each worker does.
        """
        self._pool.shutdown()
        (process,) = self._context.started
        if process.exitcode == UNGUARDED:
            raise RuntimeError(
                "worker processes cannot be started; a script must call this below "
                "`if __name__ == '__main__':`, for each worker imports it"
            )
        words = self._last_words(str(process.pid))
        if words.startswith(TIMED_OUT):
            return TIMED_OUT
        parts = (_describe_exit(process.exitcode), words)
        return "".join(f": {part}" for part in parts if part)

    def kill(self) -> None:
        """End the processes in the middle of their work."""
        for process in self._context.started:
            if process.is_alive():
                process.terminate()

    def close(self) -> None:
        """Let what is in work finish, and end the processes."""
        self._pool.shutdown(cancel_futures=True)
        self._words.cleanup()

    def _last_words(self, name: str) -> str:
        """Return the line that a worker's standard error ends with, or that names its crash."""
        try:
            text = Path(self._words.name, name).read_text(errors="backslashreplace")
        except OSError:  # it died before it had one
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if any(line.startswith(TIMEOUT) for line in lines):
            return TIMED_OUT
        fatal = [line for line in lines if line.startswith(FATAL)]
        return printable((fatal or lines or [""])[-1].removeprefix(FATAL))[:MAX_WORDS]


def run_item(function: Callable[[Item], Result], timeout: float | None, item: Item) -> Result:
    """Call a function in a worker, whose standard error then tells of this item only.

    After so many seconds the process ends itself, by a thread that needs no lock of the
    interpreter's: a decoder that hangs may hold it.
    """
    with suppress(OSError):  # it is no file
        os.ftruncate(STDERR, 0)
    if timeout is None:
        return function(item)
    faulthandler.dump_traceback_later(timeout, exit=True, file=STDERR)
    try:
        return function(item)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _become_worker(n_threads: int, folder: str) -> None:
    # A bad file costs one line, its result's; decoders may say hundreds about it, and the last one
    # before a crash tells of it.
    warnings.filterwarnings("ignore", module="PIL")
    path = os.path.join(folder, str(os.getpid()))
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    try:
        words = os.open(path, flags, 0o600)
    except OSError:  # the disk is full
        words = os.open(os.devnull, flags)
    os.dup2(words, STDERR)
    os.close(words)
    faulthandler.enable(STDERR)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    kernels.threads.set_threads(n_threads)
    kernels.threads.leave_numba_out()


def _exit_with_parent() -> None:
    """End this process when its parent has ended: if that was killed, nobody else would."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _describe_exit(code: int | None) -> str:
    """Return what an exit code says, of a process that has ended."""
    if code is None:
        return ""
    if code >= 0:
        return f"exit code {code}"
    if -code == getattr(signal, "SIGKILL", 0):
        return KILLED
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


@contextmanager
def _safe_path() -> Iterator[None]:
    """Start processes that import nothing from the current directory.

    Spawned processes begin as `python -c`, for which the directory comes first in `sys.path`: a
    `pickle.py` beside somebody's photos would be run. Python is told otherwise by its environment
    only; this process's own has the variable until its children are started.
    """
    with _environment:
        before = os.environ.get(SAFE_PATH)
        os.environ[SAFE_PATH] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[SAFE_PATH]
            else:
                os.environ[SAFE_PATH] = before


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start processes that never see an interrupt, not even while they import.

    An interrupt from the keyboard goes to all processes; the parent decides what becomes of it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
