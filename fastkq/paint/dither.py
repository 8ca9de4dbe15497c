"""Dithering: mix palette entries, so that from afar no color is missing.

Error diffusion passes each pixel's error on to its neighbours; ordered dithering compares each
pixel with a mask of blue noise; adaptive dithering diffuses less in flat and smooth parts of an
image, where noise shows and costs bytes, than in texture, which hides it.

All compare colors in Oklab, whatever space the palette was found in: dithering is for the eye.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fastkq import kernels
from fastkq.colors.spaces import linear_levels
from fastkq.types import Array, UInt8Array
from fastkq.validate import check_number

METHODS = ("none", "diffusion", "ordered", "adaptive")
FULL = 255  # strength of a pixel, in a map
# An error may be as large as the distance to an entry's fourth neighbour: colors between entries
# have smaller ones. Those of colors beyond all entries are damped, so that they do not smear.
LIMIT_NEIGHBOURS = 4
# Adaptive dithering: the strength by the contrast of a pixel with its eight neighbours, in levels.
# Strengths up to 1 gave 0.4 more SSIMULACRA2 on Kodak and CQ100 at 256 colors, for 3 % more bytes.
CONTRASTS = (0, 3, 8, 24, 64)
STRENGTHS = (0.2, 0.35, 0.5, 0.6, 0.7)
# A squared error as small as this, a level of gray, is not seen and not passed on: flat areas stay
# flat.
LEAST_ERROR = 12.0
MAP_ROWS = 1  # above and below a pixel, that its strength depends on
MASK_SIDE = 64
MASK_SIGMA = 1.5
MASK_DOTS = 10  # one in so many places has a dot in the pattern that the mask starts from


@dataclass(frozen=True)
class Dithering:
    """How an image is dithered.

    Attributes
    ----------
    method : {"none", "diffusion", "ordered", "adaptive"}
    strength : float, 0 (as "none") to 1
    """

    method: str = "none"
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"dither is {self.method!r}; one of {METHODS} is allowed")
        check_number(self.strength, "dither_strength", 0, 1)

    def __bool__(self) -> bool:
        """Whether anything is to be done."""
        return self.method != "none" and self.strength > 0

    def __str__(self) -> str:
        """Return the method and its strength."""
        return f"{self.method} {self.strength:g}"

    def apply(self, array: UInt8Array, palette: UInt8Array, labels: UInt8Array) -> float:
        """Dither an image.

        Parameters
        ----------
        array : (H, W) or (H, W, 3) uint8
        palette : (K, 3) uint8
        labels : (H, W) uint8
            The nearest entries; replaced by those of the dithered image.

        Returns
        -------
        float
            The squared error, summed over channels and pixels.
        """
        return float(Ditherer(palette, self).dither(array, labels))


class Ditherer:
    """What dithering with a palette (K, 3) uint8 needs to know of it."""

    def __init__(self, palette: UInt8Array, dithering: Dithering) -> None:
        self._method, self._strength = dithering.method, dithering.strength
        self._colors = palette.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
        self._light = linear_levels().astype(np.float32)
        self._palette = np.empty((3, len(palette)), np.float32)
        kernels.steps.convert_row(_one_row(palette), self._light, self._palette)
        distances = np.sum((self._palette[:, :, None] - self._palette[:, None]) ** 2, axis=0)
        if self._method == "ordered":
            order = np.argsort(distances, axis=1, kind="stable").astype(np.uint8)
            n_lanes = int(kernels.nearest.LANES)
            neighbours = order[:, 1 : 1 + n_lanes]
            ways = self._palette.T[neighbours] - self._palette.T[:, None]
            lengths = np.sum(ways**2, axis=2, keepdims=True)
            # Where there is no neighbour, or an equal entry: no way, and no share.
            self._neighbours = np.zeros((len(palette), n_lanes), np.uint8)
            self._ways = np.zeros((len(palette), 3, n_lanes), np.float32)
            self._neighbours[:, : neighbours.shape[1]] = neighbours
            ways = ways / np.where(lengths == 0, np.float32(1), lengths)
            self._ways[:, :, : neighbours.shape[1]] = ways.transpose(0, 2, 1)
            return
        self._table = nearest_table(self._palette)
        neighbour = min(LIMIT_NEIGHBOURS, len(palette) - 1)
        self._limits = np.ascontiguousarray(np.sort(distances, axis=1)[:, neighbour])
        is_adaptive = self._method == "adaptive"
        self._least = np.float32(LEAST_ERROR if is_adaptive else -1)
        strengths = np.interp(np.arange(256), CONTRASTS, STRENGTHS)
        self._strengths = np.rint(FULL * strengths).astype(np.uint8)

    def dither(self, array: UInt8Array, labels: UInt8Array) -> int:
        """Dither an image; see `Dithering.apply`."""
        return self._dither_rows(array, 0, labels, 0)

    def dither_blocks(
        self, blocks: Iterable[UInt8Array], label: Callable[[UInt8Array], UInt8Array]
    ) -> Iterator[tuple[UInt8Array, int]]:
        """Dither an image that comes by blocks of rows, as `dither` does the whole.

        Parameters
        ----------
        blocks : of (h, W) or (h, W, 3) uint8, from the top
        label : returns the nearest entries (h, W) of a block

        Yields
        ------
        labels, squared error
            Of some rows, from the top.
        """
        above = rows_above()
        strip = kernels.dither.STRIP_ROWS
        rows, lead, first = None, 0, 0  # of the rows, so many are done; the number of the next
        for block in blocks:
            rows = block if rows is None else np.concatenate([rows, block])
            n_ready = (len(rows) - lead - MAP_ROWS) // strip * strip
            if n_ready > 0:
                part = rows[: lead + n_ready + MAP_ROWS]
                yield self.dither_part(part, lead, n_ready, first, label)
                first += n_ready
                kept = max(0, lead + n_ready - above)
                rows, lead = rows[kept:], lead + n_ready - kept
        if rows is not None and len(rows) > lead:
            yield self.dither_part(rows, lead, len(rows) - lead, first, label)

    def dither_part(
        self,
        rows: UInt8Array,
        lead: int,
        n_rows: int,
        first: int,
        label: Callable[[UInt8Array], UInt8Array],
    ) -> tuple[UInt8Array, int]:
        """Dither some rows of an image, given also those that their pattern depends on.

        Parameters
        ----------
        rows : (h, W) or (h, W, 3) uint8
            With `rows_above()` rows above those to dither and `MAP_ROWS` below, if there are any.
        lead : int
            How many of them are above.
        n_rows : int
            How many to dither.
        first : int
            The number of the first of these in the image, a whole number of strips.
        label : returns the nearest entries (h, W) of rows

        Returns
        -------
        labels (n_rows, W), squared error
        """
        labels = label(rows[lead : lead + n_rows])
        return labels, self._dither_rows(np.ascontiguousarray(rows), lead, labels, first)

    def _dither_rows(self, rows: UInt8Array, lead: int, labels: UInt8Array, first: int) -> int:
        """Dither rows of an image; see the kernels for the parameters."""
        n_rows, width = labels.shape
        pixels = rows.reshape(len(rows), -1)
        if self._method == "ordered":
            errors = np.empty(n_rows, np.int64)
            kernels.ordered.mix(
                pixels[lead : lead + n_rows],
                first,
                blue_noise(),
                np.float32(self._strength),
                self._light,
                self._colors,
                self._palette,
                self._neighbours,
                self._ways,
                labels,
                errors,
            )
            return int(errors.sum())
        if self._method == "adaptive":
            strengths = np.empty((len(rows), width), np.uint8)
            kernels.dither.map_strengths(pixels, self._strengths, strengths)
        else:
            strengths = np.full((1, 1), FULL, np.uint8)
        errors = np.empty(-(-n_rows // (2 * kernels.dither.STRIP_ROWS)), np.int64)
        kernels.dither.diffuse(
            pixels,
            lead,
            strengths,
            np.float32(self._strength / FULL),
            self._light,
            self._colors,
            self._palette,
            self._limits,
            self._least,
            *self._table,
            labels,
            errors,
        )
        return int(errors.sum())


def _one_row(palette: UInt8Array) -> UInt8Array:
    """Return a palette (K, 3) as a row of an image: read-only, as kernels expect them."""
    row = np.ascontiguousarray(palette).reshape(-1).view()
    row.flags.writeable = False
    return row


def rows_above() -> int:
    """Return how many rows above a strip its pattern depends on."""
    return int(kernels.dither.WARM_UP_ROWS) + MAP_ROWS


def nearest_table(palette: Array) -> tuple[Array, Array, Array]:
    """Return the tables by which kernels find the palette entry nearest to any color.

    Parameters
    ----------
    palette : (3, K) float32
        In Oklab, in steps.

    Returns
    -------
    cells, further, groups
        See `kernels.dither.diffuse`.
    """
    nearest = kernels.nearest
    entries = np.rint(palette)
    n_colors, n_cells = palette.shape[1], int(nearest.N_CELLS)
    lists, lengths = np.empty((n_cells, n_colors), np.uint8), np.empty(n_cells, np.int64)
    nearest.list_candidates(entries, lists, lengths)
    is_crowded = lengths > nearest.LANES
    crowded, others = np.flatnonzero(is_crowded), np.flatnonzero(~is_crowded)
    small_lists = np.empty((len(crowded), nearest.N_SMALL, n_colors), np.uint8)
    small_lengths = np.empty((len(crowded), nearest.N_SMALL), np.int64)
    nearest.list_small_candidates(entries, crowded, lists, lengths, small_lists, small_lengths)

    n_groups = np.where(is_crowded, nearest.N_SMALL, 1)
    firsts = np.cumsum(n_groups) - n_groups
    small_firsts = firsts[crowded][:, None] + np.arange(nearest.N_SMALL)
    n_further = np.zeros(n_groups.sum(), np.int64)
    n_further[small_firsts] = -(-small_lengths // nearest.LANES) - 1
    further = len(n_further) + np.concatenate([[0], np.cumsum(n_further)])
    groups = np.empty((further[-1], 4, nearest.LANES), np.int16)
    nearest.fill_groups(entries, lists[others], lengths[others], firsts[others], further, groups)
    nearest.fill_groups(
        entries,
        small_lists.reshape(-1, n_colors),
        small_lengths.ravel(),
        small_firsts.ravel(),
        further,
        groups,
    )
    cells = firsts << int(nearest.SPLIT_SHIFT) | np.where(is_crowded, nearest.SPLIT, 0)
    return cells.astype(np.int32), further, groups


@functools.cache
def blue_noise() -> UInt8Array:
    """Return a mask (64, 64) of thresholds 0 to 255 without low frequencies, which repeats well.

    Method: void and cluster (Ulichney 1993, doi:10.1117/12.152707). Dots are ranked by how they
    would be taken from the tightest cluster, or added in the largest void. Crowding is measured in
    integers, so that the mask is the same everywhere; it takes 0.1 s.
    """
    n_places = MASK_SIDE**2
    away = np.minimum(np.arange(MASK_SIDE), MASK_SIDE - np.arange(MASK_SIDE))
    bell = np.exp(-np.add.outer(away**2, away**2) / (2 * MASK_SIGMA**2))
    around = np.tile(np.rint(2.0**30 * bell).astype(np.int64), (2, 2))
    n_dots = n_places // MASK_DOTS
    dots = np.zeros(n_places, bool)
    dots[np.random.default_rng(0).permutation(n_places)[:n_dots]] = True
    crowding = np.zeros(n_places, np.int64)

    def change(place: int, sign: int) -> None:
        y, x = divmod(place, MASK_SIDE)
        part = around[MASK_SIDE - y : 2 * MASK_SIDE - y, MASK_SIDE - x : 2 * MASK_SIDE - x]
        np.add(crowding, sign * part.ravel(), out=crowding)
        dots[place] = sign > 0

    def cluster() -> int:
        return int(np.argmax(np.where(dots, crowding, -1)))

    def void() -> int:
        return int(np.argmin(np.where(dots, np.iinfo(np.int64).max, crowding)))

    for place in np.flatnonzero(dots).tolist():
        change(place, 1)
    for _ in range(n_places):  # spread the dots; it ends when the same place is taken and given
        taken = cluster()
        change(taken, -1)
        given = void()
        change(given, 1)
        if taken == given:
            break
    ranks = np.empty(n_places, np.int64)
    start, start_crowding = dots.copy(), crowding.copy()
    for rank in range(n_dots - 1, -1, -1):
        place = cluster()
        change(place, -1)
        ranks[place] = rank
    dots[:], crowding[:] = start, start_crowding
    for rank in range(n_dots, n_places):
        place = void()
        change(place, 1)
        ranks[place] = rank
    return (ranks * 256 // n_places).astype(np.uint8).reshape(MASK_SIDE, MASK_SIDE)
