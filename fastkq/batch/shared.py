"""One palette for many images: their histograms add up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import partial

import numpy as np

from fastkq.api import color_histogram
from fastkq.batch.job import check_source
from fastkq.batch.remote import is_url, read
from fastkq.batch.text import one_line, printable
from fastkq.colors.histogram import CODE_BITS, ColorHistogram, count_nothing
from fastkq.files.pages import count_pages
from fastkq.files.reading import ALL_PAGES, DEFAULT, ReadOptions


def sum_histograms(
    sources: Iterable[str],
    *,
    n_workers: int = 1,
    timeout: float | None = None,
    reading: ReadOptions = DEFAULT,
) -> tuple[ColorHistogram, dict[str, str]]:
    """Count the colors of many images together; own output is left out.

    Opaque colors go into one table of 2^24 counters (128 MB), however many the images are; what is
    not opaque is added as histograms.

    Returns
    -------
    histogram : ColorHistogram
        The same in any order of the sources.
    errors : dict
        Of each source that could not be read, what is wrong with it.

    Raises
    ------
    ValueError
        None of the sources could be read.
    """
    from fastkq.batch.pool import WorkerDiedError, map_images
    from fastkq.files.mark import is_own_output

    totals = np.zeros(1 << CODE_BITS, np.int64)
    others = nothing = count_nothing()
    errors: dict[str, str] = {}
    count = partial(count_colors, reading=reading)
    images = [source for source in sources if not is_own_output(source)]
    for source, counted in map_images(count, images, str, n_workers, timeout):
        if isinstance(counted, ColorHistogram):
            totals[counted.codes] += counted.counts
            others += replace(counted, codes=nothing.codes, counts=nothing.counts)
        elif isinstance(counted, WorkerDiedError):
            errors[source] = printable(f"{source}: {counted}")
        else:
            errors[source] = counted
    if len(errors) == len(images):
        raise ValueError(f"no palette: none of {len(images)} images could be read")
    codes = np.flatnonzero(totals).astype(np.uint32)
    return replace(others, codes=codes, counts=totals[codes]), errors


def count_colors(source: str, reading: ReadOptions = DEFAULT) -> ColorHistogram | str:
    """Return an image's histogram, or of all its pages, or what is wrong with it."""
    try:
        if is_url(source):
            return color_histogram(read(source))
        check_source(source)
        pages = [reading.page]
        if reading.page == ALL_PAGES:
            pages = list(range(1, count_pages(source) + 1))
        options = {key: value for key, value in asdict(reading).items() if key != "page"}
        histograms = (color_histogram(source, page=page, **options) for page in pages)
        return sum(histograms, start=count_nothing())
    except Exception as error:
        return one_line(error)
