"""The spaces that distances are measured in: sRGB as it comes, and Oklab.

Oklab (Ottosson 2020, https://bottosson.github.io/posts/oklab) is made so that equal distances look
equally large. Its coordinates are rounded here to whole numbers, so fine that every 8-bit color has
its own and comes back from it: sums of whole numbers are exact, in any order.

**Colors with alpha.** An image with alpha is seen over a background that is not known. The distance
of two colors is their squared difference over black plus that over white, halved; summed over R, G
and B. With A the alpha, p = A / 255 * color the premultiplied color, and d the differences, it is

    mean of dp^2 and (dp - dA)^2, summed  =  |dp - dA / 2|^2 + 3/4 dA^2.

So it is Euclidean, in four coordinates: the color as it is seen over middle gray, and the share of
the background that is seen, 255 - A, times sqrt(3) / 2. Opaque colors have R, G, B and 0: among
them it is the plain distance, and the error of opaque pixels means what it means without alpha. The
color under an alpha of 0 does not matter. (libimagequant takes, of black and white, the larger
difference channel by channel, which is no Euclidean distance and so has no means.)

In Oklab the first three are those of the color seen over middle gray. Black and white are a
lightness of 1 apart, so that the fourth is half of that at full transparency.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fastkq.kernels.oklab import LMS_TO_OKLAB, RGB_TO_LMS
from fastkq.types import MAX_LEVEL, Array, UInt8Array

COLOR_SPACES = ("srgb", "oklab")
OKLAB_UNITS = 1 << 18  # of a lightness from 0 to 1; float32 holds whole numbers up to 2^24
NEUTRAL = 0.5  # levels between the channels of what is taken for gray
EVERY_LEVEL = np.arange(MAX_LEVEL + 1)
MIDDLE = 127.5
# sqrt(3) / 2: of a difference of alpha, that is what is seen beyond a shift over middle gray.
ALPHA_WEIGHT = math.sqrt(3) / 2
OKLAB_ALPHA = OKLAB_UNITS / 2 / MAX_LEVEL  # the fourth coordinate of a level of 255 - alpha
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
    return np.rint(_levels_of_oklab(points)).astype(np.uint8)


def _levels_of_oklab(points: Array) -> NDArray[np.float64]:
    """Return the levels (N, 3) of points (N, 3) in Oklab, from 0 to 255."""
    lms = (points.astype(np.float64) / OKLAB_UNITS) @ np.linalg.inv(LMS_TO_OKLAB).T
    linear = np.clip(lms**3 @ np.linalg.inv(RGB_TO_LMS).T, 0, 1)
    # The transfer function of IEC 61966-2-1.
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    levels = MAX_LEVEL * encoded
    # A mean of grays is gray, whatever the last digits of its hue.
    is_gray = np.ptp(levels, axis=1) < NEUTRAL
    levels[is_gray] = levels[is_gray, 1:2]
    return levels


def linear_levels(levels: Array = EVERY_LEVEL) -> NDArray[np.float64]:
    """Return the light of levels, which may lie between whole ones, from 0 to 1."""
    encoded = levels / MAX_LEVEL
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


@cache
def shown_levels() -> NDArray[np.float64]:
    """Return what is seen over middle gray, (256, 256), of each alpha and level."""
    shining = MAX_LEVEL - EVERY_LEVEL.astype(np.float64)
    # What a level is multiplied with, and what gray adds to it.
    factors, offsets = 1 - shining / MAX_LEVEL, MIDDLE / MAX_LEVEL * shining
    levels = EVERY_LEVEL * factors[:, None] + offsets[:, None]
    levels.flags.writeable = False
    return levels


def to_alpha_points(colors: UInt8Array, space: str) -> NDArray[np.float32]:
    """Return the points of colors with alpha, between which distances are Euclidean.

    Parameters
    ----------
    colors : (N, 4) uint8
    space : one of `COLOR_SPACES`

    Returns
    -------
    (N, 4) float32
        Of opaque colors, those of `to_points` and 0.
    """
    alphas = colors[:, 3:]
    shown = shown_levels()[alphas, colors[:, :3]]
    return to_space(shown, MAX_LEVEL - alphas[:, 0].astype(np.float64), space)


def to_space(shown: Array, shining: Array, space: str) -> NDArray[np.float32]:
    """Return the points (N, 4) of what is seen over middle gray (N, 3) and of 255 - alpha (N,).

    Both may lie between whole levels.
    """
    points = np.empty((len(shown), 4), np.float32)
    if space == "srgb":
        points[:, :3] = shown
        points[:, 3] = ALPHA_WEIGHT * shining
        return points
    points[:, 3] = np.rint(OKLAB_ALPHA * shining)
    for start in range(0, len(shown), BLOCK):
        linear = linear_levels(shown[start : start + BLOCK]).T
        responses = [
            np.cbrt(sum(factor * light for factor, light in zip(factors, linear, strict=True)))
            for factors in RGB_TO_LMS
        ]
        for channel, factors in enumerate(OKLAB_UNITS * LMS_TO_OKLAB):
            mixed = sum(f * response for f, response in zip(factors, responses, strict=True))
            points[start : start + BLOCK, channel] = np.rint(mixed)
    return points


def to_alpha_colors(points: Array, space: str) -> UInt8Array:
    """Return the nearest colors (N, 4) uint8 of points (N, 4); none is fully transparent."""
    points = points.astype(np.float64)
    if space == "srgb":
        shining, shown = points[:, 3:] / ALPHA_WEIGHT, points[:, :3]
    else:
        shining, shown = points[:, 3:] / OKLAB_ALPHA, _levels_of_oklab(points[:, :3])
    alphas = np.clip(np.rint(MAX_LEVEL - shining), 1, MAX_LEVEL)
    over_black = shown - MIDDLE / MAX_LEVEL * shining
    colors = np.clip(np.rint(MAX_LEVEL / alphas * over_black), 0, MAX_LEVEL)
    return np.concatenate([colors, alphas], axis=1).astype(np.uint8)
