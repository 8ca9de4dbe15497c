"""The report of a batch: a table of all images, that can be sorted, and their totals."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fastkq.batch.job import DONE, EXISTS, FAILED, NO_GAIN, NOT_REACHED, OWN_OUTPUT, JobResult
from fastkq.batch.pool import n_cores
from fastkq.batch.remote import is_url
from fastkq.files.previews import thumbnail
from fastkq.report.page import check_extra, check_page, read_part, render, write_page
from fastkq.report.pictures import to_address

THUMBNAIL_SIDE = 96
# Of all thumbnails, as text: with them a page has less than 10 MB, if its names are not very many.
MOST_THUMBNAIL_BYTES = 6_000_000
TOGETHER = 64  # thumbnails that are made before their bytes are looked at
STATUSES = (DONE, NO_GAIN, NOT_REACHED, EXISTS, OWN_OUTPUT, FAILED)


@dataclass(frozen=True)
class Totals:
    """The totals of a table.

    Attributes
    ----------
    counts : dict of str to int, the images of each status that there is
    before, after : int
        The bytes of the images that were compressed, as they came and as they are written; those
        by an earlier run as well, where its lines of JSON tell of them.
    """

    counts: dict[str, int]
    before: int
    after: int

    @property
    def saving(self) -> float | None:
        """The share of the bytes that was saved; None where no image was compressed."""
        return 1 - self.after / self.before if self.before else None


def report_batch(
    results: Iterable[JobResult],
    target: str | os.PathLike[str],
    *,
    overwrite: bool = True,
) -> list[JobResult]:
    """Write a page with a table of the images of a batch, which can be sorted.

    The page is one HTML file that needs no network. It shows each image small, its bytes before and
    after, what is saved, and what became of it, and the totals.

    Parameters
    ----------
    results : iterable of JobResult
        What `compress_many` returns: the work is done while they are taken. What is wrong with the
        target is told before.
    target : path ending in .html
    overwrite : bool
        Whether an existing file is replaced, or a FileExistsError unless it is such a page.

    Returns
    -------
    list of JobResult, as they came

    Raises
    ------
    RuntimeError
        The libraries of `fastkq[report]` are missing.
    ValueError, OSError
        The target cannot be written.

    Examples
    --------
    >>> import fastkq, os, tempfile
    >>> from fastkq.report import report_batch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     results = fastkq.compress_many(["missing.jpg"], folder)
    ...     table = report_batch(results, os.path.join(folder, "report.html"))
    >>> [result.status for result in table]
    ['failed']
    """
    check_extra()
    path = check_page(target, overwrite=overwrite, makes_folder=True)
    table = list(results)
    write_page(path, make_page(table))
    return table


def make_page(results: Sequence[JobResult]) -> str:
    """Return the page that tells what became of some images."""
    pictures = make_thumbnails([_picture_of(result) for result in results])
    folders = [_common_folder(paths) for paths in zip(*map(_paths_of, results), strict=True)]
    rows = [
        {
            "result": result,
            "names": _names(result, folders),
            "saving": _saving(result),
            "thumbnail": picture,
        }
        for result, picture in zip(results, pictures, strict=True)
    ]
    return render(
        "batch.html",
        [read_part("batch.js")],
        title=f"{len(results)} images" if len(results) != 1 else "1 image",
        rows=rows,
        folders=folders,
        infinity=math.inf,
        totals=add_up(results),
        has_score=any(result.score is not None for result in results),
        n_thumbnails=sum(picture is not None for picture in pictures),
        side=THUMBNAIL_SIDE,
    )


def add_up(results: Iterable[JobResult]) -> Totals:
    """Return the totals of some images."""
    counts: Counter[str] = Counter()
    before = after = 0
    for result in results:
        counts[result.status] += 1
        if result.status in (DONE, EXISTS) and result.source_bytes and result.target_bytes:
            before += result.source_bytes
            after += result.target_bytes
    return Totals({status: counts[status] for status in STATUSES if counts[status]}, before, after)


def _paths_of(result: JobResult) -> tuple[str, str]:
    """Return where an image comes from, and where it is now."""
    return result.source, result.copy or result.target


def _common_folder(paths: Sequence[str]) -> str:
    """Return the folder that all paths lie in, which needs to be told once; or none."""
    if any(map(is_url, paths)):
        return ""
    try:
        return os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:  # of relative and absolute paths
        return ""


def _names(result: JobResult, folders: Sequence[str]) -> list[str]:
    """Return what an image is called, within its folder, and what its output is, if otherwise."""
    names = [
        os.path.relpath(path, folder) if folder else path
        for path, folder in zip(_paths_of(result), folders, strict=True)
    ]
    return names[:1] if names[0] == names[1] else names


def _saving(result: JobResult) -> float | None:
    if result.target_bytes is None or not result.source_bytes:
        return None
    return 1 - result.target_bytes / result.source_bytes


def _picture_of(result: JobResult) -> str | None:
    """Return the file that is shown small; None for what failed: its decoder may crash."""
    if result.status == FAILED or is_url(result.source):
        return None
    return result.source


def make_thumbnails(
    paths: Sequence[str | None], most_bytes: int = MOST_THUMBNAIL_BYTES
) -> list[str | None]:
    """Return thumbnails as addresses, of the first files, so that they have about so many bytes."""
    made: list[str | None] = []
    n_bytes = 0
    with ThreadPoolExecutor(n_cores()) as pool:
        for part in _cut(paths, TOGETHER):
            if n_bytes > most_bytes:
                break
            for data in pool.map(_thumbnail, part):
                made.append(None if data is None else to_address(data))
                n_bytes += len(made[-1] or "")
    return made + [None] * (len(paths) - len(made))


def _thumbnail(path: str | None) -> bytes | None:
    return None if path is None else thumbnail(path, THUMBNAIL_SIDE)


def _cut(paths: Sequence[str | None], n_together: int) -> Iterator[Sequence[str | None]]:
    for start in range(0, len(paths), n_together):
        yield paths[start : start + n_together]
