"""The report of a batch: a line of JSON an image, from which a repeated run goes on."""

from __future__ import annotations

import json
import os
from types import TracebackType

from fastkq.batch.job import DONE, EXISTS, NO_GAIN, NOT_REACHED, OWN_OUTPUT, JobResult
from fastkq.batch.plan import Job

SKIPPED = (EXISTS, OWN_OUTPUT)
LINE_START = b'{"source": "'


class RunReport:
    """A file that grows by a line as each image finishes, while this context is open.

    A line has the attributes of its `JobResult` and the `settings` it was made with. It reaches the
    system at once, so that a kill costs at most the line that was being written; that torn line is
    cut off when the file is opened again.

    Parameters
    ----------
    path : path
        Read at once if it exists.
    settings : str
        Of the run that is about to start; lines of others are kept, but decide nothing.

    Raises
    ------
    ValueError, OSError
        The file has other lines, or cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], settings: str) -> None:
        self.is_resumed = os.path.exists(path)
        self._settings = settings
        self._lines: dict[Job, JobResult] = {}
        self._mentioned: set[Job] = set()
        self._path = path
        self._end = self._read() if self.is_resumed else 0

    def __enter__(self) -> RunReport:
        self._file = open(self._path, "ab")
        self._file.truncate(self._end)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def lacks(self, job: Job) -> bool:
        """Return whether an earlier run was reported here, but not this job, by any settings."""
        return self.is_resumed and job not in self._mentioned

    def decides(self, job: Job) -> JobResult | None:
        """Return what is written of a job that need not run again: its source has not changed."""
        result = self._lines.get(job)
        if result is None or not os.path.exists(job.source):
            return None
        is_final = result.status in (NO_GAIN, NOT_REACHED) or (
            result.status == DONE and os.path.exists(job.target)
        )
        same_source = result.source_bytes == os.path.getsize(job.source)
        return result if is_final and same_source else None

    def add(self, result: JobResult) -> None:
        """Write a result, unless it says nothing new."""
        job = Job(result.source, result.target)
        known = self._lines.get(job)
        if known is not None and (result.status in SKIPPED or _lasting(known) == _lasting(result)):
            return
        line = json.dumps(result.to_dict() | {"settings": self._settings}, ensure_ascii=False)
        self._file.write(line.encode("utf-8", "surrogateescape") + b"\n")
        self._file.flush()
        self._lines[job] = result

    def _read(self) -> int:
        """Read the lines there are; return where the last whole one ends."""
        end = 0
        with open(self._path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n") and LINE_START.startswith(line[: len(LINE_START)]):
                    break  # torn
                end += len(line)
                try:
                    values = json.loads(line.decode("utf-8", "surrogateescape"))
                    settings = values.pop("settings")
                    result = JobResult(**values)
                except (ValueError, TypeError, AttributeError, KeyError) as error:
                    raise ValueError(
                        f"{os.fspath(self._path)}: line {number} is not of a report; a new file, "
                        "or one that a run has written, is allowed"
                    ) from error
                job = Job(result.source, result.target)
                self._mentioned.add(job)
                if settings == self._settings:
                    self._lines[job] = result
        return end


def _lasting(result: JobResult) -> dict[str, object]:
    """Return what is the same each time a job is run."""
    return {name: value for name, value in result.to_dict().items() if name != "seconds"}
