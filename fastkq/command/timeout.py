"""A single image may take so many seconds: then its command ends, with one line."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE = 5.0  # seconds in which a decoder should come back to the interpreter
SOON = 0.01
IMPORTER = "<frozen importlib"


class _TimeIsUp(BaseException):
    """No Exception: nobody on the way takes it for an error of a decoder."""


def is_in_callback(frame: FrameType | None) -> bool:
    """Return whether a signal came in a callback of the importer, which drops what is raised."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "cb" and code.co_filename.startswith(IMPORTER):
            return True
        frame = frame.f_back
    return False


@contextmanager
def end_after(seconds: float | None, name: str) -> Iterator[None]:
    """Raise TimeoutError in the main thread after so many seconds.

    Decoders come back to the interpreter every few kB, so that this leaves no file behind. One that
    does not is ended five seconds later together with the process, in silence, with exit code 1;
    the next run of the same target removes what that leaves.
    """
    if seconds is None:
        yield
        return

    def give_up(number: int, frame: FrameType | None) -> None:
        if is_in_callback(frame):
            signal.setitimer(signal.ITIMER_REAL, SOON)
            return
        raise _TimeIsUp

    has_alarm = hasattr(signal, "setitimer")  # not on Windows
    before = signal.signal(signal.SIGALRM, give_up) if has_alarm else None
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=nowhere)
        try:
            if has_alarm:
                signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
        except _TimeIsUp:
            raise TimeoutError(f"{name}: took longer than {seconds:g} s, the timeout") from None
        finally:
            if has_alarm:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            faulthandler.cancel_dump_traceback_later()
