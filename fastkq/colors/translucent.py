"""The translucent colors of one or more images, as K-means needs to know them.

They are exact while they are few. A photo under a gradient of alpha has millions: then cells of
similar colors are counted, with exact sums, so that the mean of each is known. How large the cells
are depends on all the colors together, never on the order in which they are counted or added: cells
have 1, 2, 4, 8 or 16 levels a side, and the smallest that are at most `MAX_EXACT`.

Cells lie in the space that distances are measured in (`colors.spaces`): three coordinates are the
color as it is seen over middle gray, the fourth is how much shines through, 255 - alpha.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fastkq import kernels
from fastkq.colors.packing import pack_numbers, unpack_numbers
from fastkq.colors.spaces import ALPHA_WEIGHT, to_alpha_points, to_space
from fastkq.types import Array, UInt8Array

MAX_EXACT = 1 << 16  # what a table of the kernel may hold
EXACT = -1  # the level of exact colors; at level n, cells are 2^n levels a side
TOP_LEVEL = 4  # 16^4 cells of 16 levels a side: never more than MAX_EXACT
N_SUMS = 5  # of the count and of the four coordinates
SLAB_BYTES = 7 << 20  # of the tables that a thread fills
MIN_SLAB = 1 << 18  # pixels; a slab of fewer is not worth the adding up


def _no_keys() -> NDArray[np.uint32]:
    return np.empty(0, np.uint32)


def _no_moments() -> NDArray[np.int64]:
    return np.empty((0, N_SUMS), np.int64)


@dataclass(frozen=True, eq=False)
class TranslucentColors:
    """The colors with an alpha from 1 to 254, or cells of similar ones, and the pixels of each.

    Attributes
    ----------
    level : int
        -1: exact colors; otherwise cells of 2^level levels a side.
    keys : (T,) uint32, ascending
        The colors as numbers, R in the lowest byte and alpha in the highest; or those of the cells.
    moments : (T, 5) int64
        Of each color or cell the number of pixels; of cells also the sums of the pixels'
        coordinates, in levels from the low corner of the cell.

    Examples
    --------
    >>> pixels = np.array([[9, 8, 7, 0], [6, 5, 4, 255], [3, 2, 1, 128], [3, 2, 1, 128]], np.uint8)
    >>> colors, n_transparent = count_translucent(pixels)
    >>> colors.colors.tolist(), colors.counts.tolist(), n_transparent
    ([[3, 2, 1, 128]], [2], 1)
    """

    level: int = EXACT
    keys: NDArray[np.uint32] = field(default_factory=_no_keys)
    moments: NDArray[np.int64] = field(default_factory=_no_moments)

    @property
    def is_exact(self) -> bool:
        """Whether these are colors and not cells."""
        return self.level == EXACT

    @property
    def colors(self) -> UInt8Array:
        """The exact colors (T, 4) uint8; those of cells are not known."""
        if not self.is_exact:
            raise ValueError(f"these are {len(self)} cells; only exact colors can be listed")
        return self.keys.astype("<u4").view(np.uint8).reshape(-1, 4)

    @property
    def counts(self) -> NDArray[np.int64]:
        """The pixels (T,) of each color or cell."""
        return self.moments[:, 0]

    @property
    def n_pixels(self) -> int:
        """How many pixels were counted."""
        return int(self.counts.sum())

    def __len__(self) -> int:
        """How many distinct colors, or cells, there are."""
        return len(self.keys)

    @cached_property
    def _points(self) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float64]]]:
        return {}

    def points(self, space: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the points (T, 4) of the colors, or the means of the cells, and their weights."""
        if space not in self._points:  # a fit asks for them several times
            self._points[space] = self._find_points(space)
        return self._points[space]

    def _find_points(self, space: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        weights = self.counts.astype(np.float64)
        if self.is_exact:
            return to_alpha_points(self.colors, space), weights
        corners = self.keys.astype("<u4").view(np.uint8).reshape(-1, 4).astype(np.float64)
        means = corners * 2**self.level + self.moments[:, 1:] / weights[:, None]
        return to_space(means[:, :3], means[:, 3], space), weights

    @property
    def spread(self) -> float:
        """The squared error in sRGB of the colors in cells, about, if each becomes their mean.

        That of colors which are evenly spread over their cells; 0 of exact colors.
        """
        if self.is_exact:
            return 0.0
        of_a_side = (4.0**self.level - 1) / 12
        # A mean is nearest to few colors: one pixel alone is its own.
        return (self.n_pixels - len(self)) * of_a_side * (3 + ALPHA_WEIGHT**2)

    def __add__(self, other: TranslucentColors) -> TranslucentColors:
        """Return the colors of both, as of the images side by side."""
        if not isinstance(other, TranslucentColors):
            return NotImplemented
        if len(self) == 0 or len(other) == 0:
            return self if len(other) == 0 else other
        return _unite([self, other])

    def coarsened(self, max_cells: int) -> TranslucentColors:
        """Return the smallest cells that are at most so many, or those of 16 levels a side."""
        result = self
        while len(result) > max_cells and result.level < TOP_LEVEL:
            result = _add_up([result._at(result.level + 1)])
        return result

    def _at(self, level: int) -> TranslucentColors:
        """Return cells of a level that is not below the own; several may be the same."""
        if level == self.level:
            return self
        keys, moments = self.keys.copy(), self.moments.copy()
        for lower in range(self.level, level):
            kernels.unite.coarsen_rows(keys, moments, lower)
        return TranslucentColors(level, keys, moments)

    def __reduce__(
        self,
    ) -> tuple[Callable[[int, bytes, bytes], TranslucentColors], tuple[int, bytes, bytes]]:
        # Gaps between ascending keys, and most sums, are small numbers: a third of the bytes.
        gaps = np.diff(self.keys, prepend=np.uint32(0))
        n_columns = 1 if self.is_exact else N_SUMS
        return _unpack, (
            self.level,
            pack_numbers(gaps),
            pack_numbers(self.moments[:, :n_columns].T),
        )

    def __repr__(self) -> str:
        """Sizes, not contents."""
        kind = "colors" if self.is_exact else "cells"
        return f"TranslucentColors({len(self)} {kind}, {self.n_pixels} pixels)"


NO_TRANSLUCENT = TranslucentColors()


class TranslucentCounter:
    """Counts the translucent pixels of an image that comes in parts, in the same tables.

    Parameters
    ----------
    n_pixels : int
        Of the whole image, at most.
    """

    def __init__(self, n_pixels: int) -> None:
        self._n_slabs = kernels.threads.n_slabs(n_pixels, MIN_SLAB, SLAB_BYTES)
        self._n_rows = min(MAX_EXACT, n_pixels)
        self._tables: tuple[Array, ...] = ()
        self._states = np.zeros((self._n_slabs, 3), np.int64)
        self._states[:, 1] = EXACT

    def add(self, pixels: UInt8Array, weights: Array | None = None) -> None:
        """Count the pixels (N, 4), in C order, with weights (N,) of integers or all alike."""
        if not self._tables:
            self._tables = _borrow_tables(self._n_slabs, self._n_rows)
        numbers = pixels.reshape(-1).view("<u4")
        numbers.flags.writeable = False  # one type for the kernel, whatever the source
        own = np.empty(0, np.int64)
        if weights is not None:
            own = np.ascontiguousarray(weights, np.int64).view()
        own.flags.writeable = False
        kernels.translucent.count_pixels(numbers, own, *self._tables, self._states)

    def finish(self) -> tuple[TranslucentColors, int]:
        """Return the translucent colors, and the sum of the weights of transparent pixels."""
        parts = [NO_TRANSLUCENT]
        for slab, (n_taken, level, _) in enumerate(self._states.tolist()):
            if n_taken == 0:
                continue
            keys, words, rows, row_keys, row_slots, sums = (table[slab] for table in self._tables)
            own_keys, moments = row_keys[:n_taken].copy(), np.empty((n_taken, N_SUMS), np.int64)
            kernels.translucent.gather_rows(
                keys, words, rows, row_slots[:n_taken], sums[:n_taken], moments
            )
            parts.append(TranslucentColors(level, own_keys, moments))
        _give_back(self._tables)
        self._tables = ()
        n_transparent = int(self._states[:, 2].sum())
        return (_unite(parts) if len(parts) > 1 else parts[0]), n_transparent


# Tables that are empty, as `gather_rows` leaves them, for the next image: most of the time that
# 60,000 colors take to count went into pages of memory that the system hands out and clears. One
# set is kept, however many calls ran at once, and a call that fails drops its own.
_spare_tables: list[tuple[Array, ...]] = []


def _borrow_tables(n_slabs: int, n_rows: int) -> tuple[Array, ...]:
    """Return empty tables of so many slabs, in which so many rows have room."""
    if n_rows == MAX_EXACT:
        try:
            tables = _spare_tables.pop()
        except IndexError:
            tables = ()
        if tables and len(tables[0]) == n_slabs:
            return tables
    n_slots = size = 2 << (n_rows - 1).bit_length()
    if n_rows == MAX_EXACT:
        n_slots = max(size, kernels.translucent.N_DIRECT)
    return (
        np.full((n_slabs, size), kernels.translucent.FREE),
        # Only the pages that a color falls into are ever touched.
        np.zeros((n_slabs, n_slots), np.uint64),
        np.zeros((n_slabs, n_slots), np.int32),
        np.empty((n_slabs, n_rows), np.uint32),
        np.empty((n_slabs, n_rows), np.uint32),
        np.zeros((n_slabs, n_rows, N_SUMS), np.int64),
    )


def _give_back(tables: tuple[Array, ...]) -> None:
    if tables and tables[3].shape[1] == MAX_EXACT:
        _spare_tables[:] = [tables]


def count_translucent(
    pixels: UInt8Array, weights: Array | None = None
) -> tuple[TranslucentColors, int]:
    """Count the translucent pixels, and those that are fully transparent.

    Parameters
    ----------
    pixels : (N, 4) uint8, in C order
    weights : (N,) integer, or None: each pixel counts once

    Returns
    -------
    colors : TranslucentColors
    n_transparent : int, the sum of the weights of the pixels of alpha 0
    """
    counter = TranslucentCounter(len(pixels))
    counter.add(pixels, weights)
    return counter.finish()


def _unite(parts: list[TranslucentColors]) -> TranslucentColors:
    """Return the colors of all parts: exact ones, or the smallest cells that are few enough."""
    level = max(part.level for part in parts)
    return _add_up([part._at(level) for part in parts]).coarsened(MAX_EXACT)


def _add_up(parts: list[TranslucentColors]) -> TranslucentColors:
    """Return the colors or cells of parts of one level, by ascending keys, each once."""
    keys = np.concatenate([part.keys for part in parts])
    moments = np.concatenate([part.moments for part in parts])
    united_keys, united = np.empty_like(keys), np.empty_like(moments)
    n_kept = kernels.unite.unite_rows(keys, moments, united_keys, united)
    return TranslucentColors(parts[0].level, united_keys[:n_kept], united[:n_kept])


def _unpack(level: int, gaps: bytes, columns: bytes) -> TranslucentColors:
    keys = np.cumsum(unpack_numbers(gaps), dtype=np.uint32)
    moments = np.zeros((len(keys), N_SUMS), np.int64)
    if len(keys):
        given = unpack_numbers(columns).reshape(-1, len(keys)).T
        moments[:, : given.shape[1]] = given
    return TranslucentColors(level, keys, moments)
