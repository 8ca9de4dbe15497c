"""Which share of an image's pixels each color of a palette stands for."""

from __future__ import annotations

import numpy as np

from fastkq.colors.histogram import ColorHistogram
from fastkq.colors.pixels import OPAQUE
from fastkq.colors.spaces import to_alpha_points
from fastkq.engine.dense import DensePoints
from fastkq.types import Array, UInt8Array


def palette_shares(histogram: ColorHistogram, palette: UInt8Array, space: str = "srgb") -> Array:
    """Return the share of the pixels that are nearest to each color of a palette.

    Parameters
    ----------
    histogram : ColorHistogram of at least one pixel
    palette : (K, 3) or (K, 4) uint8
        Opaque pixels count for opaque colors, if there are any; fully transparent ones for the
        first color with an alpha of 0, or the nearest.
    space : one of `colors.spaces.COLOR_SPACES`
        Where distances are measured.

    Returns
    -------
    (K,) float64, whose sum is 1
    """
    rgba = _with_alpha(palette)
    counts = np.zeros(len(rgba))
    opaque = np.flatnonzero(rgba[:, 3] == OPAQUE)
    if len(opaque) == 0:
        opaque = np.arange(len(rgba))
    solid = to_alpha_points(_with_alpha(histogram.colors), space)
    _count(solid, histogram.counts, rgba, opaque, space, counts)
    every = np.arange(len(rgba))
    points, weights = histogram.translucent.points(space)
    _count(points, weights, rgba, every, space, counts)
    clear = np.flatnonzero(rgba[:, 3] == 0)[:1]
    nothing = to_alpha_points(np.zeros((1, 4), np.uint8), space)
    transparent = np.array([histogram.n_transparent])
    _count(nothing, transparent, rgba, clear if len(clear) else every, space, counts)
    return np.asarray(counts / counts.sum())


def _with_alpha(colors: UInt8Array) -> UInt8Array:
    if colors.shape[1] == 4:
        return colors
    return np.pad(colors, ((0, 0), (0, 1)), constant_values=OPAQUE)


def _count(
    points: Array, weights: Array, rgba: UInt8Array, entries: Array, space: str, counts: Array
) -> None:
    """Add the weights of points (N, 4) to the nearest of some entries."""
    if len(points) == 0:
        return
    dense = DensePoints(np.ascontiguousarray(points, np.float32), weights)
    labels, _ = dense.assign(to_alpha_points(rgba[entries], space).astype(np.float32))
    counts += np.bincount(entries[labels], weights, len(counts))
