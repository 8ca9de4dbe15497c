"""Images in object stores: their addresses, what is read and written there, and their jobs.

All that fsspec knows can be a source or a target: `pip install "fastkq[remote]"`, and the package
of the store, such as s3fs. Stores are set up where their packages look: AWS_ENDPOINT_URL, say.

A put is atomic in an object store: an object is complete, or absent, and a conditional put leaves
one alone that came meanwhile. On other file systems a file is written beside its target and moved.
"""

from __future__ import annotations

import posixpath
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from fastkq.batch.job import (
    DONE,
    EXISTS,
    JobOptions,
    JobResult,
    failed,
    run_bytes,
)
from fastkq.batch.names import check_name, fill_name
from fastkq.batch.plan import BESIDE, Job
from fastkq.batch.text import one_line
from fastkq.files.formats import check_format
from fastkq.files.signatures import SUFFIXES

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# File systems whose put makes a whole object at once.
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"}
MAGIC = re.compile(r"[*?\[]")


def is_url(path: object) -> bool:
    """Return whether a path is an address, such as s3://bucket/key.

    Examples
    --------
    >>> is_url("s3://photos/a.jpg"), is_url("photos/a.jpg")
    (True, False)
    """
    return isinstance(path, str) and URL.match(path) is not None


def lives_here(path: str) -> bool:
    """Return whether no other process sees what lies at an address."""
    return path.startswith("memory://")


def read(url: str) -> bytes:
    """Return what lies at an address."""
    files, path = _locate(url)
    try:
        return bytes(files.cat_file(path))
    except FileNotFoundError:
        raise FileNotFoundError(f"{url}: no such file") from None


def write(url: str, data: bytes, *, overwrite: bool) -> None:
    """Write an object, or a file, in one step.

    Raises
    ------
    FileExistsError
        There is one, and `overwrite` is not set.
    """
    files, path = _locate(url)
    mode = "overwrite" if overwrite else "create"
    if _protocol(url) in OBJECT_STORES:
        files.pipe_file(path, data, mode=mode)
        return
    folder, name = posixpath.split(path)
    files.makedirs(folder, exist_ok=True)
    temporary = f"{folder}/.{name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        files.pipe_file(temporary, data)
        if not overwrite and files.exists(path):
            raise FileExistsError(f"{url}: exists")
        files.mv(temporary, path)
    except BaseException:
        with suppress(OSError):
            files.rm_file(temporary)
        raise


def plan_remote_jobs(
    sources: Iterable[str],
    directory: str | None,
    *,
    recursive: bool = False,
    format: str = "png",
    name: str | None = None,
) -> list[Job]:
    """Decide which images go where, as `plan.plan_jobs` does for those on disk.

    Parameters
    ----------
    sources : addresses of objects, of prefixes ("folders"), and globs; paths are allowed as well
    directory : address or None
        With None, each target goes beside its source and has "-fastkq" at the end of its name; what
        has that already is no source then.
    recursive, format, name
        As in `plan.plan_jobs`.

    Returns
    -------
    list of Job
        Of addresses, in the order of the sources, each once. No two share a target, and no target
        is a source.
    """
    ending = f".{check_format(format)}"
    pattern = None if name is None else check_name(name, format)
    output = None if directory is None else _address(directory)
    found: dict[str, str] = {}
    for given in sources:
        for source, relative in _expand(given, output, recursive):
            found.setdefault(source, relative)
    if output is None:
        ending = ending if pattern is not None else BESIDE + ending
        found = {url: url for url in found if not posixpath.splitext(url)[0].endswith(BESIDE)}
    wanted = []
    for source, relative in found.items():
        folder, own = posixpath.split(relative)
        if pattern is not None:
            own = fill_name(pattern, source) + posixpath.splitext(own)[1]
        below = posixpath.join(folder, own)
        wanted.append(below if output is None else posixpath.join(output, below))
    return [
        Job(source, target)
        for source, target in zip(found, _unique(wanted, ending, set(found)), strict=True)
    ]


def _unique(wanted: Sequence[str], ending: str, taken: set[str]) -> Iterator[str]:
    """Give each wanted address another suffix, such that no two are the same."""
    firsts = [posixpath.splitext(address)[0] + ending for address in wanted]
    clashes = Counter(firsts)
    for address, first in zip(wanted, firsts, strict=True):
        target = first if clashes[first] == 1 else address + ending
        numbers = count(2)
        while target in taken:
            stem, suffix = posixpath.splitext(ending)[0], posixpath.splitext(first)[1]
            target = f"{address}{stem if stem != ending else ''}-{next(numbers)}{suffix}"
        taken.add(target)
        yield target


def run_remote_job(job: Job, options: JobOptions) -> JobResult:
    """Compress one image in a store, as `job.run_job` does on disk; it raises nothing."""
    start = time.perf_counter()
    try:
        if not options.overwrite and _exists(job.target):
            return JobResult(job.source, job.target, EXISTS)
        data = read(job.source)
    except Exception as error:
        return failed(job, one_line(error), start)
    put = partial(_put, job.target, overwrite=options.overwrite)
    return run_bytes(job, data, put, options, start)


def _put(url: str, data: bytes, *, overwrite: bool) -> str:
    """Write a target; one with the same bytes is of a worker that died before it could tell."""
    try:
        write(url, data, overwrite=overwrite)
    except FileExistsError:
        return DONE if read(url) == data else EXISTS
    return DONE


def _expand(given: str, output: str | None, recursive: bool) -> Iterator[tuple[str, str]]:
    """Yield the addresses that a source stands for, each with its path below what was named."""
    files, path = _locate(given)
    if MAGIC.search(path):
        root = posixpath.dirname(path[: MAGIC.search(path).start()])  # type: ignore[union-attr]
        matches = files.glob(path)
    elif files.isdir(path):
        root = path.rstrip("/")
        listed = files.find(root, detail=True) if recursive else files.ls(root, detail=True)
        entries = listed.values() if isinstance(listed, dict) else listed
        matches = [entry["name"] for entry in entries if entry["type"] == "file"]
        matches = [name for name in matches if _is_image(name.removeprefix(root))]
    else:
        root, matches = posixpath.dirname(path), [path]
    # What an earlier run wrote below a folder, or glob, that is searched.
    is_below = output is not None and output.startswith(f"{files.unstrip_protocol(root)}/")
    for match in sorted(matches):
        url = str(files.unstrip_protocol(match))
        if not (is_below and url.startswith(f"{output}/")):
            yield url, match.removeprefix(root).lstrip("/")


def _is_image(path: str) -> bool:
    is_hidden = any(part.startswith(".") for part in path.split("/"))
    return not is_hidden and posixpath.splitext(path)[1].lower() in SUFFIXES


def _exists(url: str) -> bool:
    files, path = _locate(url)
    return bool(files.exists(path))


def _address(path: str) -> str:
    """Return a path, or an address, as its file system has it."""
    files, inside = _locate(path)
    return str(files.unstrip_protocol(inside)).rstrip("/")


def _protocol(url: str) -> str:
    return url.partition("://")[0].lower()


def _locate(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of an address, and the path there."""
    try:
        from fsspec.core import url_to_fs

        found: tuple[Any, str] = url_to_fs(url)
    except ImportError as error:
        raise RuntimeError(
            f"{url}: cannot be read, since {one_line(error)}; `pip install "
            '"fastkq[remote]"` and the package of the store, such as s3fs, are needed'
        ) from None
    files, path = found
    files.invalidate_cache()  # others write there as well
    return files, path
