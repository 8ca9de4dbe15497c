"""What ordered dithering with many colors needs to know of a palette, and how it shares errors.

An image is dithered by squares of 2x2 pixels, clockwise from the left and above: a pixel takes the
entry nearest to its color and a share of the error of the one before it. The last pixel of a square
takes a share that depends on its place, as blue noise does: without, flat colors would be quarters
of the way between two entries.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from fastkq import kernels
from fastkq.colors.spaces import linear_levels
from fastkq.paint.mask import blue_noise_ranks
from fastkq.paint.tables import NO_TABLE, PaletteTables
from fastkq.types import Array, UInt8Array

# Chosen by `bench/ordered_trials.py`, whose table is in docs/decisions.md: what of an error pixels
# take, and the last one of a square, the least and the most; and what errors in a and b count
# beside those in lightness.
SHARE = 0.6
LAST_SHARES = (0.3, 0.9)
CHROMA = 0.85


class Squares:
    """A palette in the coordinates that squares are dithered in.

    Parameters
    ----------
    tables : PaletteTables
        Of a palette that is not coarse.
    strength : float, 0 to 1
        Of the shares of errors.
    """

    def __init__(self, tables: PaletteTables, strength: float) -> None:
        middle = kernels.steps.MIDDLE
        points, chroma = tables.points.copy(), np.float32(CHROMA)
        points[1:3] = middle + chroma * (points[1:3] - middle)
        self._tables = tables = dataclasses.replace(tables, points=points)
        self._table = tables.nearest_table() if tables.has_opaque else NO_TABLE
        least, most = LAST_SHARES
        ranks = blue_noise_ranks()
        last_shares = least + (most - least) * (ranks + 0.5) / ranks.size
        self._how = (
            np.float32(strength * SHARE),
            (strength * last_shares).astype(np.float32),
            chroma,
            linear_levels().astype(np.float32),
        )

    def mix(self, pixels: UInt8Array, first: int, labels: UInt8Array) -> Array:
        """Dither rows (n, W * C) of an opaque image in place of their nearest entries (n, W).

        Returns the squared errors (n_pairs,) int64 of pairs of rows.
        """
        totals = np.empty(_n_pairs(labels), np.int64)
        tables = self._tables
        kernels.ordered.mix(
            pixels, first, *self._how, tables.packed, tables.points, *self._table, labels, totals
        )
        return totals

    def mix_any(self, pixels: UInt8Array, first: int, labels: UInt8Array) -> Array:
        """Dither rows of any image, with alpha too; errors are in 1 / 510^2."""
        totals = np.empty(_n_pairs(labels), np.int64)
        tables = self._tables
        kernels.ordered.mix_any(
            pixels,
            first,
            *self._how,
            tables.colors,
            tables.has_opaque,
            tables.transparent,
            tables.points,
            *self._table,
            *tables.groups,
            labels,
            totals,
        )
        return totals


def _n_pairs(labels: UInt8Array) -> int:
    return -(-len(labels) // int(kernels.ordered.SIDE))
