"""The contrast around each pixel, looked up in a table of strengths, weights or levels."""

from __future__ import annotations

import numpy as np

from fastkq import kernels
from fastkq.types import Array, UInt8Array

N_WITH_ALPHA = 4


def map_by_contrast(pixels: Array, table: Array, width: int) -> UInt8Array:
    """Return what a table (256,) uint8 has for the contrast in each pixel's 3x3 surroundings.

    Parameters
    ----------
    pixels : (h, W * C) uint8, of an image of C = 1, 3 or 4 channels
    table : (256,) uint8
    width : int, W
    """
    mapped = np.empty((len(pixels), width), np.uint8)
    if pixels.shape[1] == N_WITH_ALPHA * width:
        kernels.contrast.map_alpha_strengths(pixels, table, mapped)
    else:
        kernels.contrast.map_strengths(pixels, table, mapped)
    return mapped
