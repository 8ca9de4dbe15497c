"""The command `fastkq`: its entry, its streams and signals, and its exit codes.

Nothing heavy is imported before `main` can tell of an interrupt.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from fastkq.command.timeout import SOON, is_in_callback
from fastkq.kernels import threads

if TYPE_CHECKING:
    from types import FrameType

# Wrong usage is argparse's 2; a target out of reach is what it is of pngquant; the last two are
# those of a program that its signal ended, as shells have it.
DONE, FAILED, NOT_REACHED, INTERRUPTED, BROKEN_PIPE = 0, 1, 99, 130, 141
# In which module of the room `command` each command is.
HOMES = {
    "completion": "completion",
    "compress": "compress",
    "palette": "palette",
    "report": "report",
    "serve": "serve",
    "warmup": "machine",
    "doctor": "machine",
}
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    try:
        _open_streams()
        with _ended_by_signals(), _plain_warnings(), threads.always(False):
            return _run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    from importlib import import_module

    from fastkq.command.arguments import make_parser, with_command

    try:
        given = sys.argv[1:] if arguments is None else arguments
        options = make_parser().parse_args(with_command(given))
        home = import_module(f"fastkq.command.{HOMES[options.command]}")
        code: int = getattr(home, options.command)(options)
        _flush()
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        _drop_output()
        return BROKEN_PIPE
    except (OSError, ValueError, TypeError, MemoryError, RuntimeError) as error:
        return _tell(error)
    return code


def _tell(error: Exception) -> int:
    """Tell of an error in one line; return the exit code."""
    from fastkq.batch.text import one_line
    from fastkq.engine.search import TargetNotReachedError

    try:
        print(f"fastkq: {one_line(error)}", file=sys.stderr, flush=True)
        _flush()
    except OSError:  # a full disk behind the standard output
        _drop_output()
    return NOT_REACHED if isinstance(error, TargetNotReachedError) else FAILED


def _open_streams() -> None:
    """Make the standard streams such that nothing written to them can end a run.

    Where one is closed, the next file that is opened would take its place, and an image end up in
    a message or the reverse.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stderr is None:  # print(file=None) would write to the standard output
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for this process
    for stream in _streams():
        if hasattr(stream, "reconfigure"):
            # File names need not be text; to print one must not end a run.
            stream.reconfigure(errors="backslashreplace")


def _streams() -> list[TextIO]:
    return [stream for stream in (sys.stdout, sys.stderr) if stream is not None]


def _flush() -> None:
    for stream in _streams():
        stream.flush()


def _drop_output() -> None:
    """Have what is still to be written go nowhere, so that the interpreter's end tells nothing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Unwind the stack when a signal ends this process, so that no half-written file is left."""
    before: dict[int, Any] = {}
    try:
        for number in ENDING:
            if signal.getsignal(number) == signal.SIG_DFL:  # not ignored, as by nohup
                before[number] = signal.signal(number, _end)
        if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, _interrupt)
    except ValueError:  # not the main thread: the signals are its
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if not _is_put_off(_interrupt, number, frame):
        raise KeyboardInterrupt


def _is_put_off(
    handler: Callable[[int, FrameType | None], None], number: int, frame: FrameType | None
) -> bool:
    """Return whether a signal is handled a moment later, since what is raised now is dropped."""
    if not is_in_callback(frame) or not hasattr(signal, "setitimer"):
        return False
    signal.signal(signal.SIGALRM, lambda _, later: handler(number, later))
    signal.setitimer(signal.ITIMER_REAL, SOON)
    return True


def _end(number: int, frame: FrameType | None) -> None:
    if _is_put_off(_end, number, frame):
        return
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    worker = sys.modules.get("fastkq.batch.worker")
    if worker is not None:  # not waited for: an image may take a minute
        worker.kill_all()
    raise SystemExit(128 + number)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show warnings as lines of this command, and none of Pillow's.

    Images of over 89 MP are this tool's business; Pillow still refuses those over 179 MP.
    """

    def show(message: Warning | str, *_: Any) -> None:
        print(f"fastkq: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]  # of its parameters, one counts
        warnings.filterwarnings("ignore", category=Warning, module="PIL")
        yield
