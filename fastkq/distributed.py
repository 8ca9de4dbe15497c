"""The stages on a Dask cluster: palettes of many images, labels by block, folders of files.

Needs the extra ``fastkq[dask]``. A task runs its kernels on one thread, since a cluster's workers
have a thread for each core already. Paths must name the same files on every worker: a shared file
system.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from fastkq import kernels
from fastkq.api import color_histogram
from fastkq.batch import prepare
from fastkq.batch.job import FAILED, JobResult
from fastkq.batch.plan import Job
from fastkq.batch.pool import WorkerDiedError
from fastkq.batch.run import run_jobs
from fastkq.batch.shared import count_colors
from fastkq.colors.histogram import ColorHistogram, count_nothing, histogram_of_array
from fastkq.colors.pixels import ALLOWED_ARRAYS, as_rows
from fastkq.engine.fit import apply_palette, fit_histogram
from fastkq.files.palettes import check_palette
from fastkq.files.reading import ReadOptions
from fastkq.options import HistogramKeywords, JobKeywords, check_options
from fastkq.paint.dither import MAP_ROWS, Dithering, rows_above
from fastkq.paint.labels import Labeler
from fastkq.types import MAX_COLORS, UInt8Array
from fastkq.validate import check_integer

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["compress_many", "fit_palette", "remap"]

# Histograms added by one task. Of more, each waits in memory for the last; of two, a cluster's
# scheduler has twice the tasks.
SPLIT_EVERY = 8


def fit_palette(
    images: Any,
    n_colors: int = MAX_COLORS,
    *,
    split_every: int = SPLIT_EVERY,
    **options: Unpack[HistogramKeywords],
) -> UInt8Array:
    """Find the palette that represents a Dask array, or many files together, best.

    Each block or file becomes a histogram on a worker; the histograms are added in a tree, and
    K-means runs in this process. The palette is that of `fastkq.fit_palette` for all the pixels'
    histogram, bit for bit, however the pixels are cut into blocks.

    Parameters
    ----------
    images : dask.array.Array, dask.bag.Bag or iterable of paths
        A (H, W) or (H, W, 2 to 4) array of uint8, cut along any axis; or what
        `fastkq.color_histogram` takes, in a bag; or the paths of files.
    n_colors, effort, color_space, init, max_iter, tol, random_state, locked
        As in `fastkq.quantize`; all pixels are counted at any effort.
    split_every : int
        How many histograms a task adds, 2 or more.

    Returns
    -------
    (K, 3) uint8, or (K, 4) where a pixel is not opaque

    Raises
    ------
    ValueError, TypeError, OSError
        As `fastkq.fit_palette`, and where there are no images at all.

    Notes
    -----
    The work is done by Dask's current scheduler: a `distributed.Client` if there is one.

    Examples
    --------
    >>> import dask.array, fastkq.distributed
    >>> image = np.array([[[9, 9, 9], [9, 9, 9], [200, 0, 0]]], np.uint8)
    >>> blocks = dask.array.from_array(image, chunks=(1, 2, 3))
    >>> fastkq.distributed.fit_palette(blocks, n_colors=2).tolist()
    [[9, 9, 9], [200, 0, 0]]
    """
    check_integer(split_every, "split_every", 2)
    # Wrong options show before the work, not after it.
    checked = check_options(n_colors, **options)
    histogram = _add_in_a_tree(_histograms(images), split_every).compute()
    if len(histogram) == 0:
        raise ValueError("there are no pixels; one or more are allowed")
    return fit_histogram(histogram, checked.fit).palette


def remap(
    array: Any,
    palette: ArrayLike,
    *,
    dither: str = "none",
    dither_strength: float = 1.0,
    lossy: float = 0,
) -> Any:
    """Label every pixel of a Dask array with its nearest palette entry, or dither, lazily.

    Parameters
    ----------
    array : dask.array.Array
        (H, W) or (H, W, 2 to 4) of uint8, cut along any axis; opaque, unless the palette has alpha.
    palette : (K, 3) or (K, 4) uint8 array_like
        1 to 256 colors; one without alpha is for opaque pixels only.
    dither, dither_strength, lossy
        As in `fastkq.quantize`. Dithered blocks are read with the rows above that their pattern
        depends on, so that no border shows.

    Returns
    -------
    dask.array.Array, (H, W) uint8
        As `fastkq.remap` labels the whole. Cut along H and W as the array is; if dithered, along H
        only, at whole strips of 128 rows.

    Raises
    ------
    ValueError, TypeError
        What is not such an array, palette or option; pixels that are not opaque raise when
        computed.

    Examples
    --------
    >>> import dask.array, fastkq.distributed
    >>> image = dask.array.from_array(np.array([[9, 240, 90]], np.uint8), chunks=(1, 2))
    >>> fastkq.distributed.remap(image, [[0, 0, 0], [255, 255, 255]]).compute().tolist()
    [[0, 1, 0]]
    """
    array, colors = _check_dask_array(array), check_palette(palette)
    dithering = Dithering(dither, dither_strength, lossy)
    if dithering:
        return _dither_array(array, colors, dithering)
    return array.map_blocks(
        _label_block,
        palette=colors,
        dithering=dithering,
        drop_axis=[2] if array.ndim == 3 else None,
        meta=np.empty((0, 0), np.uint8),
    )


def compress_many(
    sources: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    directory: str | os.PathLike[str],
    n_colors: int = MAX_COLORS,
    *,
    client: Client | None = None,
    retries: int = 2,
    recursive: bool = False,
    min_savings: float = 0.0,
    overwrite: bool = False,
    allow_larger: bool = False,
    copy_unchanged: bool = False,
    palette: ArrayLike | str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    fail_fast: bool = False,
    **options: Unpack[JobKeywords],
) -> Iterator[JobResult]:
    """Quantize many image files into indexed PNGs, WebPs or GIFs, on the workers of a Dask cluster.

    A worker that dies costs nothing: its images go to others, until as many workers have died of
    one as Dask's option `distributed.scheduler.allowed-failures` says; that image has then failed.

    Parameters
    ----------
    sources, directory
        As in `fastkq.compress_many`; the paths must be the same files for all workers and for this
        process, which looks for the sources and writes the report.
    client : distributed.Client, optional
        By default, the current one.
    retries : int
        How often an image that failed is tried again, perhaps by a worker that can read it.
    n_colors, recursive, min_savings, overwrite, allow_larger, copy_unchanged, palette, report, \
    fail_fast, and options of images
        As in `fastkq.compress_many`. With `fail_fast`, images that workers have begun are finished
        without a result; a repeated run reports them.

    Returns
    -------
    iterator of JobResult
        In the order in which they finish; one for each image.

    Raises
    ------
    ValueError, TypeError, OSError
        A wrong option, palette or report, or no client. Bad images raise nothing: their result
        says what is wrong.

    Examples
    --------
    >>> import distributed, fastkq.distributed
    >>> with distributed.Client(processes=False, dashboard_address=None) as client:
    ...     results = fastkq.distributed.compress_many(["missing.jpg"], "out", client=client)
    ...     [result.error for result in results]
    ['missing.jpg: no such file']
    """
    if isinstance(sources, (str, os.PathLike)):
        sources = [sources]
    check_integer(retries, "retries", 0)
    is_shared = isinstance(palette, str) and palette == prepare.SHARED
    checked = prepare.check_job_options(
        n_colors,
        min_savings=min_savings,
        overwrite=overwrite,
        allow_larger=allow_larger,
        copy_unchanged=copy_unchanged,
        palette=palette,
        **options,
    )
    if client is None:
        from distributed import default_client

        client = default_client()
    planned = prepare.plan_for(checked, sources, directory, recursive=recursive)
    if is_shared:
        histogram = _add_readable(client, planned, prepare.reading_of_shared(checked))
        checked = prepare.use_shared(histogram, checked)
    mapper = partial(_map_jobs, client, retries)
    return run_jobs(planned, checked, mapper=mapper, report=report, fail_fast=fail_fast)


def _map_jobs(
    client: Client, retries: int, function: Callable[[Job], JobResult], jobs: Sequence[Job]
) -> Iterator[tuple[Job, JobResult | WorkerDiedError]]:
    """Call a function for each job on the cluster and yield each with its result as it comes."""
    from distributed import KilledWorker, as_completed

    call = partial(_on_one_thread, function)
    # Impure: a job that another run has done is not done, and two runs share no task.
    futures = client.map(call, jobs, pure=False)
    waiting = {future: (job, retries) for future, job in zip(futures, jobs, strict=True)}
    del futures  # a result stays in a worker's memory while a future of it is held
    completed = as_completed(waiting)
    try:
        for future in completed:
            job, n_left = waiting.pop(future)
            try:
                result = future.result()
            except KilledWorker as error:
                yield job, WorkerDiedError(f"the workers died that tried it, {error.last_worker}")
                continue
            if result.status == FAILED and n_left > 0:
                again = client.submit(call, job, pure=False)
                waiting[again] = job, n_left - 1
                completed.add(again)
            else:
                yield job, result
    finally:
        client.cancel(list(waiting))


def _add_readable(client: Client, jobs: Sequence[Job], reading: ReadOptions) -> ColorHistogram:
    """Return the histogram of all images that can be read; fastkq's own output is left out."""
    from dask import delayed

    sources = dict.fromkeys(job.source for job in jobs)
    parts = [delayed(_count_if_readable)(source, reading) for source in sources]
    histogram: ColorHistogram = client.compute(_add_in_a_tree(parts, SPLIT_EVERY)).result()
    if len(histogram) == 0:
        raise ValueError(f"no palette: none of {len(sources)} images could be read")
    return histogram


def _histograms(images: Any) -> list[Any]:
    """Return the delayed histograms of the parts of an array, bag or list of paths."""
    import dask.array
    import dask.bag

    if isinstance(images, dask.array.Array):
        blocks = _check_dask_array(images).to_delayed().ravel()
        return [dask.delayed(_count_block)(block) for block in blocks]
    if isinstance(images, dask.bag.Bag):
        return [dask.delayed(_count_images)(partition) for partition in images.to_delayed()]
    if isinstance(images, (str, bytes, np.ndarray)) or not isinstance(images, Iterable):
        raise TypeError(
            f"images is a {type(images).__name__}; a Dask array, a bag of images or an iterable of "
            "paths is allowed"
        )
    return [dask.delayed(_count_images)([os.fspath(path)]) for path in images]


def _add_in_a_tree(histograms: list[Any], split_every: int) -> Any:
    """Return the delayed sum of delayed histograms."""
    from dask import delayed

    add = delayed(_add)
    while len(histograms) > 1:
        starts = range(0, len(histograms), split_every)
        histograms = [add(histograms[start : start + split_every]) for start in starts]
    return histograms[0] if histograms else add([])


def _add(histograms: Iterable[ColorHistogram]) -> ColorHistogram:
    return sum(histograms, start=count_nothing())


def _count_block(block: UInt8Array) -> ColorHistogram:
    # Slicing and filtering leave empty blocks in Dask arrays.
    return _on_one_thread(color_histogram, block) if block.size else count_nothing()


def _count_images(images: Iterable[Any]) -> ColorHistogram:
    return _add(_on_one_thread(color_histogram, image) for image in images)


def _count_if_readable(source: str, reading: ReadOptions) -> ColorHistogram:
    from fastkq.files.mark import is_own_output

    counted = None if is_own_output(source) else _on_one_thread(count_colors, source, reading)
    return counted if isinstance(counted, ColorHistogram) else count_nothing()


def _dither_array(array: Any, palette: UInt8Array, dithering: Dithering) -> Any:
    """Dither a Dask array by blocks of whole strips, each read with what is around it."""
    import dask.array

    height, width = array.shape[:2]
    if math.isnan(height) or math.isnan(width):
        raise ValueError(
            "array has blocks of unknown sizes; to dither, known ones are allowed "
            "(array.compute_chunk_sizes())"
        )
    strip = int(kernels.dither.STRIP_ROWS)
    ends = [min(height, -(-int(end) // strip) * strip) for end in np.cumsum(array.chunks[0])]
    parts = []
    for start, end in pairwise(sorted({0, *ends})):
        top, bottom = max(0, start - rows_above()), min(height, end + MAP_ROWS)
        rows = array[top:bottom].rechunk({0: -1, 1: -1})
        parts.append(
            rows.map_blocks(
                _label_block,
                lead=start - top,
                n_rows=end - start,
                first=start,
                palette=palette,
                dithering=dithering,
                chunks=((end - start,), (width,)),
                drop_axis=[2] if array.ndim == 3 else None,
                meta=np.empty((0, 0), np.uint8),
            )
        )
    return dask.array.concatenate(parts) if parts else dask.array.zeros((0, width), np.uint8)


def _label_block(
    block: UInt8Array,
    palette: UInt8Array,
    dithering: Dithering,
    lead: int = 0,
    n_rows: int | None = None,
    first: int = 0,
) -> UInt8Array:
    """Label some rows of a block, which has those around them as well."""
    n_rows = len(block) if n_rows is None else n_rows
    if block.size == 0:
        return np.empty(block.shape[:2], np.uint8)
    n_channels = 1 if block.ndim == 2 else block.shape[2]

    def label() -> UInt8Array:
        rows = as_rows(block)
        fit = apply_palette(histogram_of_array(rows), palette)
        return Labeler(fit, dithering, n_channels).label_part(rows, lead, n_rows, first)

    labels: UInt8Array = _on_one_thread(label)
    return labels


def _check_dask_array(array: Any) -> Any:
    """Return a Dask array whose blocks hold whole pixels, if it can be an image."""
    import dask.array

    if not isinstance(array, dask.array.Array):
        raise TypeError(f"array is a {type(array).__name__}; a Dask array is allowed")
    if array.dtype != np.uint8:
        raise TypeError(f"array has dtype {array.dtype}; allowed are {ALLOWED_ARRAYS}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (2, 3, 4)):
        raise ValueError(f"array has shape {array.shape}; allowed are {ALLOWED_ARRAYS}")
    return array.rechunk({2: -1}) if array.ndim == 3 else array


def _on_one_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function whose kernels run on one thread."""
    with kernels.threads.at_most(1):
        return function(*arguments)
