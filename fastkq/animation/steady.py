"""Errors of an animation where they are hardly seen: what changes little stays as it is.

A pixel that is seen already costs nothing, and one that shows an entry which its codes bring anyway
costs little. How much worse either may be than the nearest entry grows with the contrast around,
which hides errors, and with the square of `lossy`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastkq import kernels
from fastkq.colors.pixels import OPAQUE, as_rows, drop_alpha
from fastkq.colors.spaces import linear_levels
from fastkq.files.deltas import (
    DRAWN,
    MAY_HOLD,
    MUST_HOLD,
    Mask,
    Packed,
    Rectangle,
    unpack_colors,
    with_alpha_of,
)
from fastkq.types import Array, UInt8Array

# A squared error in levels of lightness, of which there are 255 in Oklab, at the full `lossy` and
# no contrast; by itself with so many levels of contrast, up to a limit.
MOST_ERROR, CONTRAST_UNIT, MOST_CONTRAST = 60.0, 6.0, 48
# Errors are passed on by this share where so much is allowed, and less where less is: otherwise a
# little `lossy` would dither, for more bytes than without.
PASSED_ON, FULLY_PASSED = 0.5, 40.0
# Of what is allowed beyond the nearest entry, without errors from around: 0 to 0.2 do the same, 0.4
# takes up to 2 % more bytes for the same score, and all 2 to 8 %.
NEAR_SHARE = np.float32(0.1)


@dataclass(frozen=True, eq=False)
class Costs:
    """What decides over the labels of a rectangle with N pixels.

    Attributes
    ----------
    kinds : (N,) uint8, whether a pixel may, or must, show what was there before
    targets : (N, 3) float32, the colors that are wanted
    held : (N, 3) float32, what was there before
    points : (K, 3) float32, the entries
    allowed : (N,) float32, the largest squared error
    near : (N,) float32
        The same of a target by itself, without the errors that are passed to it; one of the two is
        enough.
    passed_on : float, the share of errors that is
    """

    kinds: UInt8Array
    targets: Array
    held: Array
    points: Array
    allowed: Array
    near: Array
    passed_on: float


class Steady:
    """Tells which errors are hardly seen.

    Parameters
    ----------
    lossy : float, above 0 to 100
    """

    def __init__(self, lossy: float) -> None:
        contrasts = 1 + np.minimum(np.arange(256), MOST_CONTRAST) / CONTRAST_UNIT
        self._worths = (MOST_ERROR * (lossy / 100) ** 2 * contrasts).astype(np.float32)
        self._passed_on = PASSED_ON * min(1.0, lossy / FULLY_PASSED)
        self._light = linear_levels()

    def find(self, pixels: UInt8Array, canvas: Packed, seen: Packed) -> Mask:
        """Return which pixels (H, W) may stay as they are seen.

        Parameters
        ----------
        pixels : (H, W, 4) uint8, the frame
        canvas, seen : (H, W) uint32
            What is seen before it, and what would be.
        """
        target = self._points(pixels)
        old, new = (self._points(unpack_colors(colors)) for colors in (canvas, seen))
        is_near = _squares(old, target) <= _squares(new, target) + self._allow(pixels)
        stays: Mask = is_near & (canvas >> 24 == OPAQUE) & (pixels[..., 3] == OPAQUE)
        return stays

    def weigh(
        self,
        pixels: UInt8Array,
        canvas: Packed,
        palette: UInt8Array,
        labels: UInt8Array,
        place: Rectangle,
    ) -> Costs:
        """Return what decides over the labels of a rectangle of a frame."""
        target = self._points(pixels[place.slices])
        held = self._points(unpack_colors(canvas[place.slices]))
        points = self._points(with_alpha_of(palette)[None])[0]
        nearest = _squares(points[labels[place.slices]], target)
        more = self._allow(pixels)[place.slices]
        kinds = np.full(nearest.shape, DRAWN, np.uint8)
        kinds[canvas[place.slices] >> 24 == OPAQUE] = MAY_HOLD
        kinds[pixels[place.slices][..., 3] < OPAQUE] = MUST_HOLD
        return Costs(
            kinds=kinds.reshape(-1),
            targets=target.reshape(-1, 3),
            held=held.reshape(-1, 3),
            points=points,
            allowed=(nearest + more).reshape(-1),
            near=(nearest + NEAR_SHARE * more).reshape(-1),
            passed_on=self._passed_on,
        )

    def _points(self, colors: UInt8Array) -> Array:
        """Return colors (h, w, 4) in Oklab, (h, w, 3) float32."""
        points = np.empty((*colors.shape[:2], 3), np.float32)
        flat = as_rows(colors.reshape(-1, 4))
        kernels.lzw_lossy.to_oklab(flat, self._light, points.reshape(-1, 3))
        return points

    def _allow(self, pixels: UInt8Array) -> Array:
        """Return how much more than the least a squared error may be, (H, W) float32."""
        rows = drop_alpha(pixels)
        contrasts = np.empty(rows.shape[:2], np.uint8)
        every = np.arange(256, dtype=np.uint8)
        flat = as_rows(rows.reshape(len(rows), -1))
        kernels.contrast.map_strengths(flat, every, contrasts)
        allowed: Array = self._worths[contrasts]
        return allowed


def _squares(one: Array, other: Array) -> Array:
    difference = one - other
    squares: Array = np.einsum("...c,...c->...", difference, difference)
    return squares
