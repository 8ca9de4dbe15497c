"""Find patches of colors that a palette misses: a red sign in a gray street.

K-means spends its centers where the squared error is, so a patch of a few thousandths of the pixels
gets none, however far its color is from all others. Such a color is looked for among the solid
pixels, those that look like their neighbors: noise has far colors as well, but not in patches (the
coherence of Pass, Zabih and Miller 1996, doi:10.1145/244130.244148, of 2x2 pixels).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fastkq.colors.histogram import CODE_BITS, decode_colors, encode_colors
from fastkq.colors.pixels import OPAQUE, has_alpha
from fastkq.types import Array, UInt8Array

SIMILAR = 24  # levels by which neighbors of a patch may differ, in each channel
# Distance from the nearest entry beyond which a color is missed. Differences of lightness count
# half: shadows and lights are no colors of their own.
LOST = 48.0
# Or so many times the root mean squared error, if that is more: where the palette fits nothing
# well, as in a heap of candy, a patch is not lost for being like the rest.
LOST_ERRORS = 3.0
LIGHTNESS_SHARE = 0.5
LEAST_SHARE = 2e-4  # of the pixels; fewer solid ones make no patch
CUBE_BITS = 12  # of a Morton code: patches are looked for by cubes of 16x16x16 colors
BLOCK_PIXELS = 1 << 20


def solid_counts(
    blocks: Iterable[UInt8Array], codes: NDArray[np.uint32], weights: Array | None = None
) -> NDArray[np.int64]:
    """Count, for each color, the 2x2 squares of similar opaque pixels that begin with it.

    Parameters
    ----------
    blocks : of rows (h, W) or (h, W, C) uint8, which make up an image
    codes : (U,) uint32
        The Morton codes of the colors to count.
    weights : (H, W), optional
        Pixels of weight 0 are left out.

    Returns
    -------
    (U,) int64
    """
    totals = np.zeros(1 << CODE_BITS, np.int64)
    above: UInt8Array | None = None  # the last row of the block before
    first = 0
    for block in blocks:
        rows = block if above is None else np.concatenate([above, block])
        first -= len(rows) - len(block)
        n_rows = max(1, BLOCK_PIXELS // rows.shape[1])
        for start in range(0, len(rows) - 1, n_rows):
            part = rows[start : start + n_rows + 1]
            solid = _solid_squares(part)
            if weights is not None:
                own = weights[first + start : first + start + len(solid), :-1]
                solid &= own > 0
            channels = part[:-1, :-1, None] if part.ndim == 2 else part[:-1, :-1]
            colors = channels[solid][:, : 1 if channels.shape[2] < 3 else 3]
            np.add.at(totals, encode_colors(np.broadcast_to(colors, (len(colors), 3))), 1)
        above, first = rows[-1:], first + len(rows)
    return totals[codes]


def _solid_squares(rows: UInt8Array) -> NDArray[np.bool_]:
    """Tell for each pixel (h - 1, W - 1) if it and those right and below are similar and opaque."""
    is_opaque = None
    if has_alpha(rows):
        is_opaque, rows = rows[..., -1] == OPAQUE, rows[..., :-1]
    rows = rows.reshape(*rows.shape[:2], -1)
    right = _are_similar(rows[:, 1:], rows[:, :-1])
    down = _are_similar(rows[1:], rows[:-1])
    solid = right[1:] & right[:-1] & down[:, 1:] & down[:, :-1]
    if is_opaque is not None:
        solid &= is_opaque[1:, 1:] & is_opaque[1:, :-1] & is_opaque[:-1, 1:] & is_opaque[:-1, :-1]
    return np.asarray(solid)


def _are_similar(a: UInt8Array, b: UInt8Array) -> NDArray[np.bool_]:
    return np.asarray((np.maximum(a, b) - np.minimum(a, b) <= SIMILAR).all(axis=2))


def find_lost_color(
    codes: NDArray[np.uint32],
    counts: NDArray[np.int64],
    palette: UInt8Array,
    labels: UInt8Array,
    *,
    mse: float,
    least_count: float,
) -> UInt8Array | None:
    """Return the color of the worst missed patch; None if there is none.

    Parameters
    ----------
    codes : (U,) uint32
        The colors as Morton codes.
    counts : (U,) int64
        From `solid_counts`.
    palette : (K, 3) uint8
    labels : (U,) uint8
        The colors' nearest entries.
    mse : float
        The squared error a pixel of the palette that was fitted before any color was protected.
    least_count : float
        How many solid pixels make a patch.

    Returns
    -------
    (3,) uint8
        One of the colors, far from all entries. With an entry of this color, no
        color of its patch is missed any more.
    """
    colors = decode_colors(codes).astype(np.float64)
    distances = unlikeness(colors, palette[labels])
    lost = (counts > 0) & (distances > max(LOST**2, LOST_ERRORS**2 * mse))
    codes, counts, distances = codes[lost], counts[lost], distances[lost]
    if len(codes) == 0:
        return None
    colors = colors[lost]
    _, cubes = np.unique(codes >> np.uint32(CUBE_BITS), return_inverse=True)
    errors = np.bincount(cubes, weights=counts * distances)
    for cube in np.argsort(-errors, kind="stable"):
        color = _middle(colors, counts, cubes == cube)
        # A patch may lie across the borders of cubes: what counts is what is near.
        near = np.sum((colors - color) ** 2, axis=1) <= LOST**2
        color = _middle(colors, counts, near)
        near = np.sum((colors - color) ** 2, axis=1) <= LOST**2
        if counts[near].sum() >= least_count:
            return color.astype(np.uint8)
    return None


def unlikeness(colors: Array, others: Array) -> Array:
    """Return the squared distances (N,) of colors (N, 3), with less weight for lightness."""
    differences = colors - others
    lightness = 3 * np.mean(differences, axis=1) ** 2
    squares = np.sum(differences**2, axis=1)
    return np.asarray(squares - (1 - LIGHTNESS_SHARE**2) * lightness)


def _middle(colors: Array, counts: NDArray[np.int64], chosen: NDArray[np.bool_]) -> Array:
    """Return the one of some colors that is nearest to their mean."""
    mean = np.average(colors[chosen], axis=0, weights=counts[chosen])
    distances = np.where(chosen, np.sum((colors - mean) ** 2, axis=1), np.inf)
    return np.asarray(colors[distances.argmin()])
