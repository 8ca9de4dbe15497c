"""Distinct colors and their pixel counts: what K-means needs to know of an image.

K-means over the distinct colors, weighted by their counts, is K-means over all the pixels: a photo
of 24 million pixels has 0.2 to 0.7 million colors, and histograms of several images add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastkq import kernels
from fastkq.colors.packing import pack_numbers, unpack_numbers
from fastkq.colors.pixels import OPAQUE, split_with_alpha
from fastkq.colors.translucent import NO_TRANSLUCENT, TranslucentColors, TranslucentCounter
from fastkq.types import UInt8Array

CODE_BITS = 24
# Below this many pixels, sorting their codes is faster than a pass over a table of 2^24 counters.
SORT_LIMIT = 1 << 16
PIXELS_PER_SLAB = 1 << 19  # that are worth a table of 16 MB, and a thread
GRAY_BLOCK = 1 << 20  # pixels that np.bincount may widen to 8 bytes at a time


def _spread_bits() -> NDArray[np.uint32]:
    values = np.arange(256, dtype=np.uint32)
    spread = np.zeros(256, np.uint32)
    for bit in range(8):
        spread |= ((values >> np.uint32(bit)) & np.uint32(1)) << np.uint32(3 * bit)
    return np.stack([spread << np.uint32(2), spread << np.uint32(1), spread])


# (3, 256): the bits of each channel's value in a color's Morton code, r7 g7 b7 r6 g6 b6 ... b0.
SPREAD = _spread_bits()


def encode_colors(colors: UInt8Array) -> NDArray[np.uint32]:
    """Return the Morton codes (N,) of colors (N, 3)."""
    codes: NDArray[np.uint32] = SPREAD[0][colors[:, 0]]
    codes |= SPREAD[1][colors[:, 1]]
    codes |= SPREAD[2][colors[:, 2]]
    return codes


def decode_colors(codes: NDArray[np.uint32]) -> UInt8Array:
    """Return the colors (N, 3) of Morton codes (N,)."""
    colors = np.empty((len(codes), 3), np.uint8)
    for channel in range(3):
        # Halve the gaps between the channel's bits until they are next to each other.
        bits = (codes >> np.uint32(2 - channel)) & np.uint32(0o11111111)
        bits = (bits | bits >> np.uint32(2)) & np.uint32(0o03030303)
        bits = (bits | bits >> np.uint32(4)) & np.uint32(0o00170017)
        colors[:, channel] = bits | bits >> np.uint32(8)
    return colors


@dataclass(frozen=True, eq=False)
class ColorHistogram:
    """The distinct colors of one or more images and the number of pixels having each.

    Attributes
    ----------
    codes : (U,) uint32
        The opaque colors as ascending Morton codes, which group similar colors.
    counts : (U,) int64
        The pixels having each of them, at least 1.
    translucent : TranslucentColors
        The colors with an alpha from 1 to 254; none in an opaque image.
    n_transparent : int
        The pixels with an alpha of 0, whatever color was stored under them.

    Examples
    --------
    >>> import fastkq, numpy as np
    >>> image = np.array([[[9, 9, 9], [9, 9, 9], [200, 0, 0]]], np.uint8)
    >>> histogram = fastkq.color_histogram(image)
    >>> histogram.colors.tolist(), histogram.counts.tolist()
    ([[9, 9, 9], [200, 0, 0]], [2, 1])
    >>> (histogram + histogram).counts.tolist()
    [4, 2]
    """

    codes: NDArray[np.uint32]
    counts: NDArray[np.int64]
    translucent: TranslucentColors = NO_TRANSLUCENT
    n_transparent: int = 0

    @cached_property
    def colors(self) -> UInt8Array:
        """The distinct opaque colors, (U, 3) uint8; gray images have R = G = B."""
        return decode_colors(self.codes)

    @property
    def is_opaque(self) -> bool:
        """Whether all pixels are opaque."""
        return self.n_transparent == 0 and len(self.translucent) == 0

    @property
    def n_pixels(self) -> int:
        """How many pixels were counted."""
        return int(self.counts.sum()) + self.translucent.n_pixels + self.n_transparent

    def __len__(self) -> int:
        """How many distinct colors there are; all that is fully transparent is one."""
        return len(self.codes) + len(self.translucent) + int(self.n_transparent > 0)

    def __add__(self, other: ColorHistogram) -> ColorHistogram:
        """Return the histogram of both, as of the images side by side."""
        if not isinstance(other, ColorHistogram):
            return NotImplemented
        return ColorHistogram(
            *_merge(self, other),
            self.translucent + other.translucent,
            self.n_transparent + other.n_transparent,
        )

    def __reduce__(self) -> tuple[Callable[..., ColorHistogram], tuple[Any, ...]]:
        # A tenth of the bytes: gaps between ascending codes, and counts, are small numbers.
        gaps = np.diff(self.codes, prepend=np.uint32(0))
        return _unpack, (
            pack_numbers(gaps),
            pack_numbers(self.counts),
            self.translucent,
            self.n_transparent,
        )

    def __repr__(self) -> str:
        """Sizes, not contents."""
        return f"ColorHistogram({len(self)} colors, {self.n_pixels} pixels)"


def _merge(
    one: ColorHistogram, other: ColorHistogram
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Return the opaque codes and counts of two histograms together."""
    if len(one.codes) == 0 or len(other.codes) == 0:
        return (one.codes, one.counts) if len(one.codes) else (other.codes, other.counts)
    codes = np.concatenate([one.codes, other.codes])
    # Stable sorting merges two sorted runs: half the time of np.unique for 24 MP photos.
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    is_first = np.ones(len(codes), np.bool_)
    is_first[1:] = codes[1:] != codes[:-1]
    starts = np.flatnonzero(is_first)
    counts = np.concatenate([one.counts, other.counts])[order]
    return codes[starts], np.add.reduceat(counts, starts)


def _unpack(
    gaps: bytes, counts: bytes, translucent: TranslucentColors, n_transparent: int
) -> ColorHistogram:
    codes = np.cumsum(unpack_numbers(gaps), dtype=np.uint32)
    return ColorHistogram(codes, unpack_numbers(counts), translucent, n_transparent)


def count_nothing() -> ColorHistogram:
    """Return the histogram of no pixels, the neutral element of the sum."""
    return ColorHistogram(np.empty(0, np.uint32), np.empty(0, np.int64))


def histogram_of_array(array: UInt8Array) -> ColorHistogram:
    """Count the distinct colors of a checked array (H, W), (H, W, 2), (H, W, 3) or (H, W, 4)."""
    return histogram_of_blocks([array], array.shape)


def histogram_of_blocks(blocks: Iterable[UInt8Array], shape: tuple[int, ...]) -> ColorHistogram:
    """Count the distinct colors of an image that comes in blocks of rows.

    Parameters
    ----------
    blocks : iterable of checked arrays (h, W) or (h, W, C)
        Held one at a time. The result does not depend on how the image is cut.
    shape : (H, W) or (H, W, C) of the image
    """
    if len(shape) == 2:
        return reduce(add, map(_count_gray, blocks))
    height, width, n_channels = shape
    # Translucent and transparent pixels are counted on the way.
    others = TranslucentCounter(height * width)

    def pixels() -> Iterator[UInt8Array]:
        for block in blocks:
            for part in split_with_alpha(block) if n_channels in (2, 4) else [block]:
                flat = part.reshape(-1, part.shape[2])
                if n_channels in (2, 4):
                    others.add(flat)
                yield flat

    if height * width < SORT_LIMIT:
        opaque = reduce(add, map(_count_by_sorting, pixels()))
    else:
        opaque = _count_by_table(pixels(), height * width, height)  # no block is lower than a row
    return ColorHistogram(opaque.codes, opaque.counts, *others.finish())


def _count_gray(array: UInt8Array) -> ColorHistogram:
    pixels = array.reshape(-1)
    counts = np.zeros(256, np.int64)
    for start in range(0, len(pixels), GRAY_BLOCK):
        counts += np.bincount(pixels[start : start + GRAY_BLOCK], minlength=256)
    levels = np.flatnonzero(counts)  # the Morton code grows with the level
    return ColorHistogram(SPREAD.sum(axis=0, dtype=np.uint32)[levels], counts[levels])


def _count_by_sorting(pixels: UInt8Array) -> ColorHistogram:
    if pixels.shape[1] == 4:
        pixels = pixels[pixels[:, 3] == OPAQUE]
    codes, counts = np.unique(encode_colors(pixels), return_counts=True)
    return ColorHistogram(codes, counts.astype(np.int64, copy=False))


def _count_by_table(blocks: Iterable[UInt8Array], n_pixels: int, max_blocks: int) -> ColorHistogram:
    kernel = kernels.histogram
    n_slabs = kernels.threads.n_slabs(n_pixels, PIXELS_PER_SLAB, kernel.N_CODES)
    tables = _borrow_tables(n_slabs, kernel.N_CODES)
    occupied = np.zeros((n_slabs, kernel.N_CELLS), np.uint8)
    # A slab has its share of each block, rounded up; every carry stands for COUNTER_MAX pixels.
    max_carries = (n_pixels // n_slabs + max_blocks) // kernel.COUNTER_MAX + 2
    carries = np.empty((n_slabs, max_carries), np.uint32)
    n_carries = np.zeros(n_slabs, np.int64)
    for pixels in blocks:
        kernel.count_colors(pixels, tables, occupied, carries, n_carries)

    is_occupied = occupied.any(axis=0)
    cells, ranks = np.flatnonzero(is_occupied), np.cumsum(is_occupied) - 1
    starts = np.zeros(len(cells) + 1, np.int64)
    kernel.count_distinct(tables, cells, starts[1:])
    np.cumsum(starts, out=starts)
    codes = np.empty(starts[-1], np.uint32)
    counts = np.empty(starts[-1], np.int64)
    kernel.gather_colors(tables, tables.view(np.uint64), cells, starts, codes, counts)
    kernel.add_carries(codes, ranks, starts, carries, n_carries, counts)
    _spare_tables[:] = [tables]
    return ColorHistogram(codes, counts)


# Tables that are all zero, as `gather_colors` leaves them: 16 MB a slab that the system need not
# give and clear for the next image (10 ms for a photo of 2.4 MP). One set is kept, however many
# calls ran at once, and a call that fails drops its own.
_spare_tables: list[UInt8Array] = []


def _borrow_tables(n_slabs: int, n_codes: int) -> UInt8Array:
    try:
        tables = _spare_tables.pop()
    except IndexError:
        return np.zeros((n_slabs, n_codes), np.uint8)
    # Another number of threads than last time: start anew.
    return tables if len(tables) == n_slabs else np.zeros((n_slabs, n_codes), np.uint8)
