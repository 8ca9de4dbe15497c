"""Loading the kernels, in the time that an image takes to be opened."""

from __future__ import annotations

import sys

import numpy as np

from fastkq import kernels
from fastkq.colors.histogram import SORT_LIMIT, ColorHistogram, histogram_of_array
from fastkq.colors.pixels import as_rows
from fastkq.engine import seeding
from fastkq.engine.cells import ColorCells
from fastkq.engine.model import Fit
from fastkq.files.reading import ReadOptions
from fastkq.files.rows import Source
from fastkq.files.source import open_source
from fastkq.paint.dither import Dithering
from fastkq.paint.labels import Labeler
from fastkq.types import ImageSource

# Time in which most bad files are found out: their error need not wait for the kernels.
BAD_FILE_SECONDS = 0.02


def open_while_kernels_load(image: ImageSource, reading: ReadOptions) -> Source:
    """Open an image; where a process has no kernels yet, load them meanwhile.

    LLVM and the kernels take 0.1 s to load, and 0.7 s where Numba must be loaded, a JPEG of 24 MP
    0.4 s to decode, mostly without the interpreter's lock.
    """
    if isinstance(image, np.ndarray) or "fastkq.kernels.cells" in sys.modules:
        return open_source(image, reading)
    from concurrent.futures import ThreadPoolExecutor, wait

    with ThreadPoolExecutor(max_workers=1) as pool:
        opening = pool.submit(open_source, image, reading)
        wait([opening], timeout=BAD_FILE_SECONDS)
        if not (opening.done() and opening.exception()):
            load_kernels()
        return opening.result()


def load_kernels() -> None:
    """Load, or compile, the kernels that quantizing an image needs."""
    kernels.events.begin_loading()
    load_pixel_kernels()
    kernels.events.end_loading()
    compile_kmeans()


def load_pixel_kernels() -> None:
    """Load, or compile, those that count pixels, seed K-means, and label pixels."""
    # Noise of so many pixels goes the way of large images. Not by NumPy's random module, which
    # takes 10 ms to load: a color is 3 bytes of a multiple of 2^64 / golden ratio.
    numbers = np.arange(SORT_LIMIT, dtype=np.uint64) * np.uint64(11400714819323198485)
    noise = as_rows(numbers.view(np.uint8).reshape(-1, 256, 8)[..., -3:].copy())
    for on_numba_threads in kernels.threads.forms():
        with kernels.threads.always(on_numba_threads):
            histogram = histogram_of_array(noise)
            black = np.zeros((1, 3), np.uint8)
            labels = np.zeros(len(histogram), np.uint8)
            nearest = Fit(black, labels, histogram.codes, 0.0, 0.0, 0)
            Labeler(nearest, Dithering(), 3).label(noise)
    seeding.wu_centers(np.array([[0, 0, 0], [1, 1, 1]]), np.ones((2, 5)), 2)


def compile_kmeans() -> None:
    """Load, or compile, the kernels that `ColorCells` has for `quantize`."""
    few = ColorHistogram(np.arange(4, dtype=np.uint32), np.ones(4, np.int64))
    for on_numba_threads in kernels.threads.forms():
        with kernels.threads.always(on_numba_threads):
            ColorCells(few).assign(np.zeros((2, 3)))


def compile_kmeans_of_commands() -> None:
    """Load, or compile, those of them that commands and their workers use."""
    with kernels.threads.always(False):
        compile_kmeans()
