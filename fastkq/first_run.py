"""The first run on a machine, which compiles: on two cores instead of one.

Numba compiles one kernel at a time, under a lock. So while this process compiles the kernels that
touch pixels, another one compiles those of K-means, which take as long, into the cache on disk.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from fastkq import kernels, seeding
from fastkq.cells import ColorCells
from fastkq.histogram import SORT_LIMIT, ColorHistogram, histogram_of_array
from fastkq.image_io import check_array
from fastkq.remap import apply_labels

if TYPE_CHECKING:
    import subprocess

_helpers: list[subprocess.Popen[bytes]] = []


def share_compilation(notify: Callable[[], None]) -> None:
    """If this process comes to compile a kernel, call `notify` and have another one help it.

    For commands, which own their process and know that `sys.executable` is Python.
    """

    def start() -> None:
        import subprocess

        notify()
        if kernels.compile.cache_directory(kernels.wu.cut_boxes) is not None:
            code = "from fastkq.first_run import compile_kmeans; compile_kmeans()"
            nowhere = subprocess.DEVNULL
            _helpers.append(
                subprocess.Popen(  # noqa: S603 - this Python
                    [sys.executable, "-c", code], stdin=nowhere, stdout=nowhere, stderr=nowhere
                )
            )

    kernels.events.when_compiling(start)


def load_kernels() -> None:
    """Load, or compile, the kernels that quantizing an image needs."""
    # Noise of so many pixels goes the way of large images.
    shape = (SORT_LIMIT // 256, 256, 3)
    noise = check_array(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    histogram = histogram_of_array(noise)
    apply_labels(noise, histogram.codes, np.zeros(len(histogram), np.uint8))
    seeding.wu_centers(np.array([[0, 0, 0], [1, 1, 1]]), np.ones((2, 5)), 2)
    for helper in _helpers:
        helper.wait()  # whether it failed or not: what is not there is compiled here
    compile_kmeans()


def compile_kmeans() -> None:
    """Load, or compile, the kernels that `ColorCells` has for `quantize`."""
    few = ColorHistogram(np.arange(4, dtype=np.uint32), np.ones(4, np.int64))
    ColorCells(few).assign(np.zeros((2, 3)))
