"""The nearest entries of pixels that are not opaque, which have no table of all their colors."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastkq import kernels
from fastkq.colors.pixels import OPAQUE
from fastkq.colors.spaces import (
    OKLAB_UNITS,
    linear_levels,
    shown_levels,
    to_alpha_points,
)
from fastkq.kernels.oklab import LMS_TO_OKLAB, RGB_TO_LMS
from fastkq.types import MAX_COLORS, Array, UInt8Array

# Slabs of pixels, each with tables of its own: the labels are the same with any number of them.
MIN_SLAB, SLAB_BYTES = 1 << 16, 33 << 20  # pixels; of its tables
# Between which coordinates of points lie.
SRGB_ENDS = (0.0, 0.0, 0.0, 0.0), (255.0, 255.0, 255.0, 255.0)
OKLAB_ENDS = (0.0, -(2.0**18), -(2.0**18), 0.0), (2.0**18, 2.0**18, 2.0**18, 2.0**17)
# 2 * 255^2, what the kernel multiplies squared errors by to have whole numbers.
ERROR_UNITS = 2 * OPAQUE**2


@dataclass(frozen=True, eq=False)
class _Tables:
    """What the kernel keeps from call to call, for each slab; see `kernels.entries`."""

    parents: NDArray[np.int32]
    n_used: NDArray[np.int64]
    parent_sizes: NDArray[np.uint64]
    parent_names: UInt8Array
    lists: NDArray[np.uint64]
    group_points: NDArray[np.float32]
    group_names: NDArray[np.int64]
    memos: NDArray[np.uint64]


class NearestEntries:
    """Labels translucent and transparent pixels with the nearest entries of a palette.

    A palette whose pixels are all opaque costs nothing: the tables are made at the first call.

    Parameters
    ----------
    palette : (K, 4) uint8
    space : str, one of `colors.spaces.COLOR_SPACES`
        Where entries are compared.
    """

    def __init__(self, palette: UInt8Array, space: str = "srgb") -> None:
        self._palette, self._space = palette, space
        self._inputs: tuple[Array, ...] = ()
        self._spare: list[_Tables] = []  # of calls that have ended; threads do not share them
        weakref.finalize(self, _give_back, self._spare).atexit = False

    def label(self, pixels: UInt8Array, labels: UInt8Array) -> float:
        """Write the labels of the pixels that are not opaque; return their squared error in sRGB.

        Translucent pixels get the nearest of all entries, ties to the lowest index. Fully
        transparent ones get the first entry with an alpha of 0, and the nearest where there is
        none.

        Parameters
        ----------
        pixels : (N, 4) uint8, in C order
        labels : (N,) uint8
            Those of opaque pixels stay as they are.

        Returns
        -------
        float
            The mean of the squared errors over black and over white, summed over the pixels.
        """
        numbers = pixels.reshape(-1).view("<u4")
        numbers.flags.writeable = False  # one type for the kernel, whatever the source
        if not self._inputs:
            self._inputs = _prepare(self._palette, self._space)
        n_slabs = kernels.threads.n_slabs(len(numbers), MIN_SLAB, SLAB_BYTES)
        tables = self._borrow_tables(n_slabs)
        errors = np.empty(len(tables.lists), np.int64)
        kernels.entries.label_pixels(
            numbers,
            *self._inputs,
            tables.parents,
            tables.n_used,
            tables.parent_sizes,
            tables.parent_names,
            tables.lists,
            tables.group_points,
            tables.group_names,
            tables.memos,
            labels,
            errors,
        )
        self._spare.append(tables)
        return sum(errors.tolist()) / ERROR_UNITS

    def _borrow_tables(self, n_slabs: int) -> _Tables:
        try:
            tables = self._spare.pop()
        except IndexError:
            tables = None
        if tables is None or len(tables.lists) < n_slabs:
            return _borrow_empty(n_slabs, to_alpha_points(self._palette, self._space))
        return tables


def _prepare(palette: UInt8Array, space: str) -> tuple[Array, ...]:
    """Return what the kernel must know of a palette and of the space."""
    every_alpha = np.zeros((OPAQUE + 1, 4), np.uint8)
    every_alpha[:, 3] = np.arange(OPAQUE + 1)
    fourths = np.ascontiguousarray(to_alpha_points(every_alpha, space)[:, 3])
    light, matrices = np.empty((0, 0)), np.empty((0, 3, 3))
    ends = SRGB_ENDS
    if space != "srgb":
        light = linear_levels(shown_levels())
        matrices = np.stack([RGB_TO_LMS, OKLAB_UNITS * LMS_TO_OKLAB])
        ends = OKLAB_ENDS
    entries = to_alpha_points(palette, space)
    # Over middle gray, in 510ths of a level, and alpha: all are whole numbers.
    shown = palette.astype(np.int64)
    shown[:, :3] = 2 * shown[:, :3] * shown[:, 3:] + OPAQUE * (OPAQUE - shown[:, 3:])
    return (
        fourths,
        light,
        matrices,
        _lay_grid(entries, ends),
        np.ascontiguousarray(entries.T, np.float64),
        shown,
    )


def _lay_grid(entries: Array, ends: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    """Return a grid (5, 4) of cells around entries: its corner, the sides, 1 / side, the ends.

    Sides are powers of two, and the corner a multiple of them, so that no rounding moves a point
    into another cell.
    """
    low, high = entries.min(axis=0).astype(np.float64), entries.max(axis=0).astype(np.float64)
    sides = np.ones(4)
    n_sides = kernels.entry_lists.N_SIDES
    while np.any(is_small := np.floor(low / sides) + n_sides <= high / sides):
        sides[is_small] *= 2
    return np.array([np.floor(low / sides) * sides, sides, 1 / sides, *ends])


# Tables that the last palette has left, for the next: so the system need not clear memory, in pages
# of 2 MB, where a drawing has a few translucent pixels; that took 3 ms. One set is kept, however
# many were in use at once.
_spare_tables: list[_Tables] = []


def _borrow_empty(n_slabs: int, entries: Array) -> _Tables:
    """Return tables of at least so many slabs, with the list of all entries (K, 4) alone."""
    try:
        tables = _spare_tables.pop()
    except IndexError:
        tables = None
    if tables is None or len(tables.lists) < n_slabs:
        tables = _make_tables(n_slabs)
    kernel = kernels.entry_lists
    # By the slab, and by the coordinates of parents and of cells in these, the last ones first.
    sides, side = kernel.N_SIDES // kernel.SIDE, kernel.SIDE
    slab, *parent = tables.parents.reshape(-1, *[sides] * 4).nonzero()
    cells = tables.lists.reshape(-1, *[sides, side] * 4)
    cells[slab, parent[0], :, parent[1], :, parent[2], :, parent[3]] = 0
    tables.parents[:], tables.memos[:] = 0, 0
    n_groups = -(-len(entries) // kernel.LANES)
    tables.n_used[:] = 0, n_groups
    padded = np.full((n_groups * kernel.LANES, 4), kernel.FAR)
    padded[: len(entries)] = entries
    names = np.minimum(np.arange(len(padded)), OPAQUE).reshape(n_groups, kernel.LANES)
    columns = padded.reshape(n_groups, kernel.LANES, 4).transpose(0, 2, 1)
    tables.group_points[:, :n_groups], tables.group_names[:, :n_groups] = columns, names
    return tables


def _give_back(spare: list[_Tables]) -> None:
    if spare:
        _spare_tables[:] = spare[:1]


def _make_tables(n_slabs: int) -> _Tables:
    kernel = kernels.entry_lists
    return _Tables(
        np.zeros((n_slabs, kernel.N_PARENTS), np.int32),
        np.zeros((n_slabs, 2), np.int64),
        np.zeros((n_slabs, kernel.N_PARENTS), np.uint64),
        np.empty((n_slabs, kernel.N_PARENTS, MAX_COLORS), np.uint8),
        # Of these, only what is used is ever touched.
        np.zeros((n_slabs, kernel.N_CELLS), np.uint64),
        np.empty((n_slabs, kernel.N_GROUPS, 4, kernel.LANES), np.float32),
        np.empty((n_slabs, kernel.N_GROUPS, kernel.LANES), np.int64),
        np.zeros((n_slabs, 1 << kernels.entries.MEMO_BITS), np.uint64),
    )
