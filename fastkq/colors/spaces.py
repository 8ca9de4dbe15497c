"""The spaces that distances are measured in: sRGB as it comes, and Oklab.

Oklab (Ottosson 2020, https://bottosson.github.io/posts/oklab) is made so that equal distances look
equally large. Its coordinates are rounded here to whole numbers, so fine that every 8-bit color has
its own and comes back from it: sums of whole numbers are exact, in any order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastkq.kernels.oklab import LMS_TO_OKLAB, RGB_TO_LMS
from fastkq.types import Array, UInt8Array

COLOR_SPACES = ("srgb", "oklab")
MAX_LEVEL = 255
OKLAB_UNITS = 1 << 18  # of a lightness from 0 to 1; float32 holds whole numbers up to 2^24
NEUTRAL = 0.5  # levels between the channels of what is taken for gray
BLOCK = 1 << 13  # colors that are computed in float64 at a time, in the core's own cache


def to_points(colors: UInt8Array, space: str) -> NDArray[np.float32]:
    """Return the coordinates of colors in a space.

    Parameters
    ----------
    colors : (N, 3) uint8
    space : one of `COLOR_SPACES`

    Returns
    -------
    (N, 3) float32
        Whole numbers.
    """
    if space == "srgb":
        return colors.astype(np.float32)
    points = np.empty((3, len(colors)), np.float32)
    # (3, 3, 256): what each level of a channel adds to each cone's response.
    shares = RGB_TO_LMS[:, :, None] * linear_levels()
    for start in range(0, len(colors), BLOCK):
        channels = colors[start : start + BLOCK].T
        responses = [
            np.cbrt(sum(table[levels] for table, levels in zip(tables, channels, strict=True)))
            for tables in shares
        ]
        for row, factors in zip(points, OKLAB_UNITS * LMS_TO_OKLAB, strict=True):
            mixed = sum(f * response for f, response in zip(factors, responses, strict=True))
            np.rint(mixed, out=row[start : start + BLOCK], casting="same_kind")
    return points.T


def to_colors(points: Array, space: str) -> UInt8Array:
    """Return the 8-bit colors (N, 3) at points (N, 3) of a space, rounded by channel."""
    if space == "srgb":
        return np.rint(points).astype(np.uint8)
    lms = (points.astype(np.float64) / OKLAB_UNITS) @ np.linalg.inv(LMS_TO_OKLAB).T
    linear = np.clip(lms**3 @ np.linalg.inv(RGB_TO_LMS).T, 0, 1)
    # The transfer function of IEC 61966-2-1.
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    levels = MAX_LEVEL * encoded
    # A mean of grays is gray, whatever the last digits of its hue.
    is_gray = np.ptp(levels, axis=1) < NEUTRAL
    levels[is_gray] = levels[is_gray, 1:2]
    colors: UInt8Array = np.rint(levels).astype(np.uint8)
    return colors


def linear_levels() -> NDArray[np.float64]:
    """Return the light (256,) of each level, from 0 to 1."""
    encoded = np.arange(MAX_LEVEL + 1) / MAX_LEVEL
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
