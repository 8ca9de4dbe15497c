"""What `fastkq serve` does: a line of JSON in, one out, in one warm process.

For callers in other languages, who start it once, and pay for interpreter and kernels once. A line
asks for one image:

    {"id": 7, "source": "a.jpg", "output": "a.png", "n_colors": 64, "dither": "adaptive"}

`source` is a path, or `data` the bytes of a file in Base64. `output` is a path; without one, the
answer has the bytes. `id` comes back as it is, and all else are options of `fastkq.compress`.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import difflib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from fastkq.batch.job import DONE as JOB_DONE
from fastkq.batch.job import FAILED as JOB_FAILED
from fastkq.batch.job import NO_GAIN, NOT_REACHED, JobResult
from fastkq.batch.text import one_line
from fastkq.compression import compress
from fastkq.engine.search import TargetNotReachedError
from fastkq.install import terminal
from fastkq.loading import load_kernels
from fastkq.options import QuantizeKeywords

DONE = 0
BYTES = "bytes"  # what an answer names as a source, or target, that is no file
OWN = ("id", "source", "data", "output")
OPTIONS = sorted(
    {
        "n_colors",
        "palette",
        "format",
        "overwrite",
        "allow_larger",
        *QuantizeKeywords.__optional_keys__,
    }
)


def serve(options: argparse.Namespace) -> int:
    """Answer each line of the standard input, until it ends."""
    if sys.stdin is None:
        raise OSError("the standard input is closed; an open stream is allowed")
    terminal.share()
    load_kernels()
    for reply in answers(sys.stdin.buffer):
        print(json.dumps(reply), flush=True)
    return DONE


def answers(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Give the answer to each line that is not empty, as soon as the line has come."""
    for line in lines:
        if line.strip():
            yield answer(line)


def answer(line: bytes) -> dict[str, Any]:
    """Return the answer to one line; an error is one as well.

    Returns
    -------
    dict
        As a line of `fastkq compress --json`, with `id` where the request has one, and `data` in
        Base64 where it names no output.
    """
    start = time.perf_counter()
    request: dict[str, Any] = {}
    try:
        request = _parse(line)
        reply = _compress(request, start)
    except Exception as error:  # whatever one picture does, the next ones are served
        status = NOT_REACHED if isinstance(error, TargetNotReachedError) else JOB_FAILED
        reply = JobResult(
            _name(request.get("source")),
            _name(request.get("output")),
            status,
            error=one_line(error),
            seconds=time.perf_counter() - start,
        ).to_dict()
    return {"id": request["id"], **reply} if "id" in request else reply


def _name(path: object) -> str:
    return path if isinstance(path, str) else BYTES


def _parse(line: bytes) -> dict[str, Any]:
    """Return a request, if it is one."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the line is no JSON: {error}") from error
    if not isinstance(request, dict):
        raise TypeError(f"the line is a {type(request).__name__}; a JSON object is allowed")
    return request


def _compress(request: dict[str, Any], start: float) -> dict[str, Any]:
    options = {name: value for name, value in request.items() if name not in OWN}
    for name in options:
        if name not in OPTIONS:
            raise ValueError(f"there is no option {name!r}{_hint(name)}")
    source, image = _take_source(request)
    output = request.get("output")
    if output is None:
        data = compress(image, **options)
        n_bytes = len(image) if isinstance(image, bytes) else os.path.getsize(image)
        reply = JobResult(
            source,
            BYTES,
            JOB_DONE,
            source_bytes=n_bytes,
            target_bytes=len(data),
            seconds=time.perf_counter() - start,
        )
        return {**reply.to_dict(), "data": base64.b64encode(data).decode("ascii")}
    if not isinstance(output, str):
        raise TypeError(f"output is {output!r}; a path is allowed")
    report = compress(image, output, **options)
    return JobResult(
        source,
        report.target,
        JOB_DONE if report.written else NO_GAIN,
        source_bytes=report.source_bytes,
        target_bytes=report.target_bytes,
        pixels=report.width * report.height,
        n_colors=report.n_colors,
        psnr=report.psnr,
        seconds=report.seconds,
        score=report.score,
    ).to_dict()


def _take_source(request: dict[str, Any]) -> tuple[str, str | bytes]:
    """Return what an image is called, and its path or bytes."""
    source, data = request.get("source"), request.get("data")
    if isinstance(source, str) and data is None:
        return source, source
    if isinstance(data, str) and source is None:
        try:
            return BYTES, base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise ValueError(f"data is no Base64: {error}") from error
    raise ValueError("a path as 'source', or a file in Base64 as 'data', is allowed")


def _hint(name: str) -> str:
    """Return which option may be meant."""
    close = difflib.get_close_matches(name, [*OPTIONS, *OWN], 1)
    return f"; did you mean {close[0]!r}?" if close else f"; {', '.join(OPTIONS)} are allowed"
