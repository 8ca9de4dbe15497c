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
MAX_SWEEPS = 16  # of swaps; photos need 3 to 8
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


def insertion_order(counts: Array) -> NDArray[np.intp]:
    """Return the entries in an order found by Zeng's choice, inserted where it costs least.

    The next entry is the one with the most neighbours among those that are placed, as in W. Zeng,
    J. Li and S. Lei, "An efficient color re-indexing scheme for palette-based compression", ICIP
    2000; it may go between two of them, which moves all behind it one away from those before. What
    an order costs is the sum of the counts times the differences of the indices.

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
    >>> insertion_order(chain).tolist()
    [0, 2, 1]
    """
    counts = counts - np.diag(np.diag(counts))
    first = int(counts.sum(axis=1).argmax())
    order = [first]
    is_left = np.ones(len(counts), np.bool_)
    is_left[first] = False
    ties = counts[first].copy()
    # For each place p, the counts of the first p entries with those behind them.
    between = np.zeros(2, counts.dtype)
    while len(order) < len(counts):
        entry = int(np.where(is_left, ties, -1).argmax())
        # The counts of the entry with the first p, and the same times their places.
        own = counts[entry, order]
        before = np.concatenate([[0], np.cumsum(own)])
        moments = np.concatenate([[0], np.cumsum(own * np.arange(len(own)))])
        places = np.arange(len(order) + 1)
        to_left_ones = places * before - moments
        behind = before[-1] - before
        to_right_ones = moments[-1] - moments + (1 - places) * behind
        place = int((to_left_ones + to_right_ones + between).argmin())
        between = np.concatenate([(between + before)[: place + 1], (between + behind)[place:]])
        order.insert(place, entry)
        is_left[entry] = False
        ties += counts[entry]
    return np.array(order, np.intp)


def swap_pairs(counts: Array, order: Array) -> NDArray[np.intp]:
    """Return an order with pairs of entries swapped as long as that costs less.

    Entry by entry, the partner is the one that saves most; so sweeps go over all entries, until one
    finds none. For the cost, see `insertion_order`.

    Parameters
    ----------
    counts : (K, K) integer, symmetric
    order : (K,) integer

    Returns
    -------
    (K,) integer
    """
    order = np.array(order, np.intp)
    # Whole numbers below 2^53, so that sums are exact in any order.
    ties = (counts - np.diag(np.diag(counts)))[np.ix_(order, order)].astype(np.float64)
    places = np.arange(len(order))
    distances = np.abs(np.subtract.outer(places, places)).astype(np.float64)
    costs = ties @ distances  # [i, j]: of the entry at i, if it alone were at j
    for _ in range(MAX_SWEEPS):
        is_changed = False
        for i in range(len(order)):
            # Both entries at their new places, whose distance to each other has not changed.
            moved = costs[i] + costs[:, i] + 2 * ties[i] * distances[i]
            gains = costs[i, i] + costs.diagonal() - moved
            j = int(gains.argmax())
            if gains[j] <= 0:
                continue
            costs += np.outer(ties[:, i] - ties[:, j], distances[j] - distances[i])
            for array in (costs, ties):
                array[[i, j]] = array[[j, i]]
            ties[:, [i, j]] = ties[:, [j, i]]
            order[[i, j]] = order[[j, i]]
            is_changed = True
        if not is_changed:
            break
    return order


def find_orders(labels: UInt8Array, n_colors: int, n_kept: int) -> list[NDArray[np.intp]]:
    """Return orders of a palette's entries that may filter well, with the first ones in place.

    Parameters
    ----------
    labels : (H, W) uint8
    n_colors : int
    n_kept : int
        How many entries, the first, stay, such as those with transparency.

    Returns
    -------
    list of (K,) integer
        None where no entry may move.
    """
    if n_kept >= n_colors:
        return []
    counts = neighbour_counts(labels, n_colors)[n_kept:, n_kept:]
    found = [zeng_order(counts), swap_pairs(counts, insertion_order(counts))]
    return [np.concatenate([np.arange(n_kept), n_kept + order]) for order in found]


def relabel(labels: UInt8Array, order: NDArray[np.intp]) -> UInt8Array:
    """Return labels that show the same with `palette[order]` as the given ones with `palette`."""
    places = np.empty(len(order), np.uint8)
    places[order] = np.arange(len(order), dtype=np.uint8)
    return places[labels]
