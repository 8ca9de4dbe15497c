"""Dithering: mix palette entries, so that from afar no color is missing.

Error diffusion passes each pixel's error on to its neighbours; ordered dithering does so within
squares of 2x2 pixels; adaptive dithering diffuses less in flat and smooth parts of an image, where
noise shows and costs bytes, than in texture, which hides it.

All compare colors in Oklab, whatever space the palette was found in: dithering is for the eye.
With few colors, whose mixtures the eye takes for the mean of their light, all compare light, and
ordered dithering compares each pixel with a mask of blue noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fastkq import kernels
from fastkq.colors.contrast import map_by_contrast
from fastkq.colors.spaces import linear_levels
from fastkq.paint.mask import blue_noise_ranks
from fastkq.paint.squares import Squares
from fastkq.paint.tables import LIGHT_BOX, NO_TABLE, OKLAB_BOX, make_tables
from fastkq.types import UInt8Array
from fastkq.validate import check_number

METHODS = ("none", "diffusion", "ordered", "adaptive")
FULL = 255  # strength of a pixel, in a map
MOST_LOSSY = 200  # as gifsicle's --lossy
# Of an error, so much is passed on at a strength of 1. All of it makes worms, for up to 1 less
# SSIMULACRA2 and more bytes; less of it makes flat patches of one entry: see
# bench/diffusion_trials.py.
PASSED_ON = 0.8
# Adaptive dithering: the same by the contrast of a pixel with its eight neighbours, in levels. From
# 0.2 to 0.7, as it was once, saved 4 to 15 % of the bytes, but banded at 64 colors: 1 to 6 less.
CONTRASTS = (0, 3, 8, 24, 64)
STRENGTHS = (0.7, 0.75, 0.8, 0.85, 0.875)
# A squared error as small as this, a level of gray, is not seen and not passed on: flat areas stay
# flat.
LEAST_ERROR = 12.0
MAP_ROWS = 1  # above and below a pixel, that its strength depends on
N_WITH_ALPHA = 4


@dataclass(frozen=True)
class Dithering:
    """How an image is dithered.

    Attributes
    ----------
    method : {"none", "diffusion", "ordered", "adaptive"}
    strength : float, 0 (as "none") to 1
        Error diffusion passes `PASSED_ON` of each error on at 1, all of it with few colors.
    lossy : float, 0 to 200
        How many errors are made for fewer bytes, see `paint.lossy`.
    format : {"png", "webp", "gif"}
        Whose bytes.
    """

    method: str = "none"
    strength: float = 1.0
    lossy: float = 0.0
    format: str = "png"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"dither is {self.method!r}; one of {METHODS} is allowed")
        check_number(self.strength, "dither_strength", 0, 1)
        check_number(self.lossy, "lossy", 0, MOST_LOSSY)
        if self.lossy and self.method == "ordered":
            raise ValueError(
                f"dither is 'ordered' and lossy is {self.lossy:g}; lossy passes errors on, so that "
                "with it one of ('none', 'diffusion', 'adaptive') is allowed"
            )

    def __bool__(self) -> bool:
        """Whether other entries than the nearest are taken."""
        return self.lossy > 0 or (self.method != "none" and self.strength > 0)

    def __str__(self) -> str:
        """Return the method, its strength, and how lossy it is."""
        method = f"dither {self.method} {self.strength:g}"
        if not self.lossy:
            return method
        return f"lossy {self.lossy:g}" + (f", {method}" if self.method != "none" else "")

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
    """What dithering with a palette (K, 3 or 4) uint8 needs to know of it.

    With alpha, fully transparent pixels take the most transparent entry, and neither take errors
    nor pass them on; opaque pixels take opaque entries only, if there are any.
    """

    def __init__(self, palette: UInt8Array, dithering: Dithering) -> None:
        self._method, self._strength = dithering.method, dithering.strength
        self._has_alpha = palette.shape[1] == N_WITH_ALPHA
        self._light = linear_levels().astype(np.float32)
        self._tables = tables = make_tables(palette)
        self._packed, self._members = tables.packed, tables.members
        if self._method == "ordered":
            if not tables.is_coarse:
                self._squares = Squares(tables, self._strength)
            return
        self._groups = tables.groups
        has_table = tables.has_opaque and not tables.is_coarse
        self._table = tables.nearest_table() if has_table else NO_TABLE
        # With few colors, less than all of an error in flat areas would change their color.
        self._is_adaptive = self._method == "adaptive" and not tables.is_coarse
        if not (self._is_adaptive or tables.is_coarse):
            self._strength *= PASSED_ON
        self._least = np.float32(LEAST_ERROR if self._is_adaptive else -1)
        self._strengths = strengths_by_contrast(STRENGTHS)

    def dither(self, array: UInt8Array, labels: UInt8Array) -> float:
        """Dither an image; see `Dithering.apply`."""
        return self._dither_rows(array, 0, labels, 0)

    def dither_blocks(
        self, blocks: Iterable[UInt8Array], label: Callable[[UInt8Array], UInt8Array]
    ) -> Iterator[tuple[UInt8Array, float]]:
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
        rows, lead, first = None, 0, 0  # of the rows, so many are done; the number of the next
        for block in blocks:
            rows = block if rows is None else np.concatenate([rows, block])
            strip = self._strip_rows(rows.shape[1])
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
    ) -> tuple[UInt8Array, float]:
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

    def _strip_rows(self, width: int) -> int:
        """Return how many rows of so many pixels go together."""
        return int(kernels.dither.STRIP_ROWS)

    def _dither_rows(self, rows: UInt8Array, lead: int, labels: UInt8Array, first: int) -> float:
        """Dither rows of an image; see the kernels for the parameters."""
        pixels = rows.reshape(len(rows), -1).view()
        pixels.flags.writeable = False  # as the kernels are compiled for
        is_plain = rows.shape[2:] != (N_WITH_ALPHA,)
        if is_plain and self._tables.has_opaque and not self._tables.is_coarse:
            dither = self._mix if self._method == "ordered" else self._diffuse
            return dither(pixels, lead, labels, first)
        dither = self._mix_any if self._method == "ordered" else self._diffuse_any
        return self._in_levels(dither(pixels, lead, labels, first))

    def _in_levels(self, error: int) -> float:
        """Return a squared error that kernels counted in 1 / 510^2."""
        unit = int(kernels.steps.ERROR_UNIT) ** 2
        return error / unit if self._has_alpha else error // unit

    def _mix(self, pixels: UInt8Array, lead: int, labels: UInt8Array, first: int) -> int:
        """Dither an opaque image in order."""
        return int(self._squares.mix(pixels[lead : lead + len(labels)], first, labels).sum())

    def _mix_any(self, pixels: UInt8Array, lead: int, labels: UInt8Array, first: int) -> int:
        """Dither an image with alpha, or with few colors, in order."""
        own = pixels[lead : lead + len(labels)]
        tables = self._tables
        if not tables.is_coarse:
            return sum(self._squares.mix_any(own, first, labels).tolist())  # without an end
        errors = np.empty(len(labels), np.int64)
        kernels.ordered.blend(
            own,
            first,
            blue_noise_ranks(),
            np.float32(self._strength),
            self._light,
            tables.colors,
            tables.has_opaque,
            tables.transparent,
            tables.points,
            *self._members,
            labels,
            errors,
        )
        return sum(errors.tolist())

    def _diffuse(self, pixels: UInt8Array, lead: int, labels: UInt8Array, first: int) -> int:
        """Diffuse the errors of an opaque image."""
        errors = np.empty(_n_pairs(labels), np.int64)
        kernels.dither.diffuse(
            pixels,
            lead,
            self.map_contrast(pixels, labels.shape[1]),
            np.float32(self._strength / FULL),
            self._light,
            self._packed,
            self._tables.points[:3],
            self._tables.limits[0],
            self._least,
            *self._table,
            labels,
            errors,
        )
        return int(errors.sum())

    def _diffuse_any(self, pixels: UInt8Array, lead: int, labels: UInt8Array, first: int) -> int:
        """Diffuse the errors of an image with alpha, or with few colors."""
        errors, tables = np.empty(_n_pairs(labels), np.int64), self._tables
        lowest, highest = LIGHT_BOX if tables.is_coarse else OKLAB_BOX
        kernels.general.diffuse_any(
            pixels,
            lead,
            self.map_contrast(pixels, labels.shape[1]),
            np.float32(self._strength / FULL),
            self._light,
            tables.colors,
            tables.is_coarse,
            tables.has_opaque,
            tables.transparent,
            np.array(lowest, np.float32),
            np.array(highest, np.float32),
            tables.points,
            tables.limits,
            self._least,
            *self._table,
            *self._groups,
            *self._members,
            labels,
            errors,
        )
        return sum(errors.tolist())  # without an end

    def map_contrast(self, pixels: UInt8Array, width: int) -> UInt8Array:
        """Return how strongly each pixel is dithered, (h, W), or (1, 1) for all."""
        if not self._is_adaptive:
            return np.full((1, 1), FULL, np.uint8)
        return map_by_contrast(pixels, self._strengths, width)


def strengths_by_contrast(strengths: tuple[float, ...]) -> UInt8Array:
    """Return the strength (256,) of pixels by their contrast, of those at `CONTRASTS`."""
    return np.rint(FULL * np.interp(np.arange(256), CONTRASTS, strengths)).astype(np.uint8)


def _n_pairs(labels: UInt8Array) -> int:
    """Return how many pairs of strips an image has."""
    return -(-len(labels) // (2 * int(kernels.dither.STRIP_ROWS)))


def rows_above() -> int:
    """Return how many rows above a strip its pattern depends on."""
    return int(kernels.dither.WARM_UP_ROWS) + MAP_ROWS
