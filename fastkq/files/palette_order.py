"""An order of the palette in which neighbours in the image have similar indices.

The row filters of PNG store differences, so the closer the indices of neighbouring pixels are, the
smaller the file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastkq import kernels
from fastkq.types import Array, UInt8Array

N_PARTS = 16
MAX_PIXELS = 1 << 22  # that are looked at, in whole rows: more would hardly change the order


def neighbour_counts(labels: UInt8Array, n_colors: int) -> NDArray[np.int64]:
    """Return how often each two entries (K, K) are neighbours in a row, or in some of the rows."""
    step = -(-labels.size // MAX_PIXELS)
    partials = np.empty((N_PARTS, n_colors, n_colors), np.int64)
    kernels.png.count_neighbours(labels, step, partials)
    counts: NDArray[np.int64] = partials.sum(axis=0)
    return counts + counts.T


def zeng_order(counts: Array) -> NDArray[np.intp]:
    """Return the entries in an order that puts frequent neighbours beside each other.

    Modified Zeng: A. J. Pinho and A. J. R. Neves, "A note on Zeng's technique for color reindexing
    of palette-based images", IEEE Signal Processing Letters 11(2), 2004.

    Parameters
    ----------
    counts : (K, K) integer, symmetric
        How often two entries are neighbours.

    Returns
    -------
    (K,) integer

    Examples
    --------
    >>> chain = np.array([[0, 0, 9], [0, 0, 8], [9, 8, 0]])  # 0 beside 2 beside 1
    >>> zeng_order(chain).tolist()
    [1, 2, 0]
    """
    counts = counts - np.diag(np.diag(counts))
    n_colors = len(counts)
    first = int(counts.sum(axis=1).argmax())
    order = [first]
    is_left = np.ones(n_colors, np.bool_)
    is_left[first] = False
    # Of each entry, the sum of its counts with those that are placed.
    ties = counts[first].copy()
    while len(order) < n_colors:
        entry = int(np.where(is_left, ties, -1).argmax())
        # Each place, weighed by how much further it is from the left end than from the right.
        places = len(order) - 1 - 2 * np.arange(len(order))
        if places @ counts[entry, order] > 0:
            order.insert(0, entry)
        else:
            order.append(entry)
        is_left[entry] = False
        ties += counts[entry]
    return np.array(order, np.intp)


def order_palette(
    labels: UInt8Array, palette: UInt8Array, n_kept: int
) -> tuple[UInt8Array, UInt8Array]:
    """Return labels and palette with the entries in order, but for the first, which stay.

    Parameters
    ----------
    labels : (H, W) uint8
    palette : (K, 3) or (K, 4) uint8
    n_kept : int
        How many entries stay, such as those with transparency.
    """
    counts = neighbour_counts(labels, len(palette))
    order = np.arange(len(palette))
    if n_kept < len(palette):
        order[n_kept:] = n_kept + zeng_order(counts[n_kept:, n_kept:])
    places = np.empty(len(palette), np.uint8)
    places[order] = np.arange(len(palette), dtype=np.uint8)
    return places[labels], palette[order]
