"""The report of a batch: a line of JSON an image, from which a repeated run goes on."""

from __future__ import annotations

import errno
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from fastkq.batch.job import DONE, EXISTS, NO_GAIN, NOT_REACHED, OWN_OUTPUT, JobResult
from fastkq.batch.plan import Job

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SKIPPED = (EXISTS, OWN_OUTPUT)
LINE_START = b'{"source": "'
# A system that loses its power leaves such where a file had grown, but its data was not written.
NUL = b"\0"
TAIL_BYTES = 1 << 16  # longer than any line: two names and numbers


class RunReport:
    """A file that grows by a line as each image finishes, while this context is open.

    A line has the attributes of its `JobResult` and the `settings` it was made with. It is appended
    whole, and under a lock, so that several runs may share the file. A kill costs at most the line
    that was being written; that torn line is cut off when the next one is added. Lines that no run
    has written are set aside: they stay in the file, decide nothing, and a warning tells of them.

    Parameters
    ----------
    path : path
        It is read at once if it exists, and what other runs have added since when the context is
        opened.
    settings : str
        Of the run that is about to start; lines of others are kept, but decide nothing.

    Raises
    ------
    ValueError, OSError
        The file has lines, and none of a report; or it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], settings: str) -> None:
        self.is_resumed = os.path.exists(path)
        self._settings = settings
        self._lines: dict[Job, JobResult] = {}
        self._mentioned: set[Job] = set()
        self._path = os.fspath(path)
        self._end = self._n_lines = 0
        if self.is_resumed:
            if not os.path.isfile(path):
                raise OSError(f"{self._path}: is not a regular file; a report must be one, or new")
            self._read()

    def __enter__(self) -> RunReport:
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        self._read()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def lacks(self, job: Job) -> bool:
        """Return whether an earlier run was reported here, but not this job, by any settings."""
        return self.is_resumed and job not in self._mentioned

    def decides(self, job: Job) -> JobResult | None:
        """Return what is written of a job that need not run again: its source has not changed."""
        result = self._lines.get(job)
        if result is None:
            return None
        try:
            n_bytes = os.path.getsize(job.source)
        except OSError:
            return None
        if result.status == DONE:
            is_final = os.path.exists(job.target)
        else:
            is_copied = result.copy is None or os.path.exists(result.copy)
            is_final = result.status in (NO_GAIN, NOT_REACHED) and is_copied
        return result if is_final and result.source_bytes == n_bytes else None

    def add(self, result: JobResult) -> None:
        """Write a result, unless it says nothing new."""
        job = Job(result.source, result.target)
        known = self._lines.get(job)
        if known is not None and (result.status in SKIPPED or _lasting(known) == _lasting(result)):
            return
        line = json.dumps(result.to_dict() | {"settings": self._settings}, ensure_ascii=False)
        with _locked(self._file) as is_locked:
            start = _cut_torn_line(self._file) if is_locked else _line_break(self._file)
            data = start + line.encode("utf-8", "surrogateescape") + b"\n"
            if os.write(self._file, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        self._lines[job] = result

    def _read(self) -> None:
        """Read the lines there are behind those that were read, up to the last whole one."""
        bad: list[int] = []
        with open(self._path, "rb") as file:
            file.seek(self._end)
            for line in file:
                if not line.endswith(b"\n") and _is_torn(line):
                    break
                self._end += len(line)
                self._n_lines += 1
                if not self._take(line):
                    bad.append(self._n_lines)
        if bad and not self._mentioned:
            raise ValueError(
                f"{self._path}: line {bad[0]} is not of a report; a new file, or one that a run "
                "has written, is allowed"
            )
        if bad:
            warnings.warn(
                f"{self._path}: {len(bad)} of {self._n_lines} lines are not of a report, the first "
                f"is line {bad[0]}; they are set aside",
                stacklevel=4,
            )

    def _take(self, line: bytes) -> bool:
        """Keep what a line says; return whether it is one of a report."""
        line = line.strip(NUL)
        if not line.strip():
            return True
        try:
            values = json.loads(line.decode("utf-8", "surrogateescape"))
            settings = values.pop("settings")
            result = JobResult(**values)
            texts = (result.source, result.target, result.status, settings)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return False
        is_copy_named = result.copy is None or isinstance(result.copy, str)
        if not (is_copy_named and all(isinstance(text, str) for text in texts)):
            return False
        job = Job(result.source, result.target)
        self._mentioned.add(job)
        if settings == self._settings:
            self._lines[job] = result
        return True


def _is_torn(line: bytes) -> bool:
    """Return whether a line without its end is what a kill or a loss of power leaves."""
    line = line.lstrip(NUL)
    return not line or LINE_START.startswith(line[: len(LINE_START)])


def _cut_torn_line(file: int) -> bytes:
    """Cut off what a killed run left; return the line break that any other text still needs."""
    size = os.fstat(file).st_size
    first = max(0, size - TAIL_BYTES)
    tail = os.pread(file, size - first, first).rpartition(b"\n")[2]
    if not tail:
        return b""
    if not _is_torn(tail):
        return b"\n"
    os.ftruncate(file, size - len(tail))
    return b""


def _line_break(file: int) -> bytes:
    """Return what ends the last line, which may be another run's: nothing is cut off then."""
    size = os.fstat(file).st_size
    if size == 0:
        return b""
    with open(file, "rb", closefd=False) as reader:
        reader.seek(size - 1)
        return b"" if reader.read(1) == b"\n" else b"\n"


@contextmanager
def _locked(file: int) -> Iterator[bool]:
    """Hold a file for a moment; yield whether that is so, for not every file system has locks."""
    try:
        if fcntl is None:
            raise OSError
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _lasting(result: JobResult) -> dict[str, object]:
    """Return what is the same each time a job is run."""
    return {name: value for name, value in result.to_dict().items() if name != "seconds"}
