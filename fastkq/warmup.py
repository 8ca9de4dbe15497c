"""Compile every kernel for the array types that the package uses."""

from __future__ import annotations

import time

import numpy as np

from fastkq.histogram import SORT_LIMIT
from fastkq.kmeans import kmeans
from fastkq.quantize import quantize


def warm_up() -> float:
    """Run every kernel once on small data; return the seconds it took."""
    start = time.perf_counter()
    height = 512
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, -(-SORT_LIMIT // height), 3), dtype=np.uint8)
    for init in ("wu", "k-means++"):
        quantize(image, 2, init=init, max_iter=1)
    for dtype in (np.float32, np.float64):
        kmeans(image[0].astype(dtype), 2, max_iter=1)
    return time.perf_counter() - start
