"""Colors for pixels that are fully transparent, from the visible ones around them.

A filter that mixes neighbours, as game engines and scaling do, takes in the color under an alpha of
0: a black one leaves a dark rim. Pixels next to visible ones get the mean of these; the others that
of the smallest block of 2, 4, 8 ... pixels a side with a visible one (push and pull: Gortler et al.
1996, doi:10.1145/237170.237200).
"""

from __future__ import annotations

import numpy as np

from fastkq.colors.pixels import as_rows
from fastkq.types import Array, UInt8Array


def bleed(array: UInt8Array) -> UInt8Array:
    """Return an image whose transparent pixels have the colors of visible neighbours.

    Parameters
    ----------
    array : (H, W, 2) or (H, W, 4) uint8

    Returns
    -------
    of the same shape
        Alpha and all visible pixels are as they were; where nothing is visible, all is.
    """
    is_hidden = array[..., -1] == 0
    if not is_hidden.any() or is_hidden.all():
        return array
    # Sums of alpha and of alpha * color: what is hardly seen counts little.
    alphas = array[..., -1:].astype(np.float32)
    sums = np.concatenate([array[..., :-1] * alphas, alphas], axis=2)
    near = _sum_neighbours(sums)
    filled = _pull(sums)
    filled = np.where(near[..., -1:] > 0, near, filled)
    colors = np.rint(filled[..., :-1] / np.maximum(filled[..., -1:], 1)).astype(np.uint8)
    result = array.copy()
    result[..., :-1][is_hidden] = colors[is_hidden]
    return as_rows(result)


def _sum_neighbours(sums: Array) -> Array:
    """Return the sums of the 3x3 pixels around each pixel (H, W, C)."""
    rows = sums.copy()
    rows[1:] += sums[:-1]
    rows[:-1] += sums[1:]
    around = rows.copy()
    around[:, 1:] += rows[:, :-1]
    around[:, :-1] += rows[:, 1:]
    return around


def _pull(sums: Array) -> Array:
    """Return sums (H, W, C) that are nowhere empty: those of the smallest block that is not."""
    height, width = sums.shape[:2]
    if height == width == 1:
        return sums
    padded = np.pad(sums, ((0, height % 2), (0, width % 2), (0, 0)))
    blocks = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2, -1).sum(axis=(1, 3))
    coarse = _pull(blocks).repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(sums[..., -1:] > 0, sums, coarse)
