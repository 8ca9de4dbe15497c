"""What changes from one frame of an animation to the next, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastkq.colors.pixels import OPAQUE
from fastkq.files.compose import BACKGROUND, KEEP, PREVIOUS
from fastkq.types import UInt8Array

Mask: TypeAlias = NDArray[np.bool_]
Packed: TypeAlias = NDArray[np.uint32]  # colors with alpha, a number each; 0: fully transparent

# Of a pixel of a frame: it is drawn, may show what was there before as well, or must.
DRAWN, MAY_HOLD, MUST_HOLD = range(3)


@dataclass(frozen=True)
class Rectangle:
    """A part of a picture, in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


@dataclass(frozen=True, eq=False)
class Drawing:
    """A rectangle of a frame, as it is to be written.

    Attributes
    ----------
    place : Rectangle
    labels : (h, w) uint8, C order
        Entries of the palette, also of pixels that may be held.
    kinds : (h, w) uint8
        DRAWN, MAY_HOLD or MUST_HOLD: a color that the palette need not have, or nothing visible.
    shown : (h, w) uint32
        The colors that are seen, packed.
    palette : (K, 3) or (K, 4) uint8
    transparent : int or None
        The entry that holds a pixel, or is transparent.
    is_over : bool
        Whether all that is drawn is opaque: so that the frame can lie over what was there.
    """

    place: Rectangle
    labels: UInt8Array
    kinds: UInt8Array
    shown: Packed
    palette: UInt8Array
    transparent: int | None
    is_over: bool


def pack_colors(colors: UInt8Array) -> Packed:
    """Return colors (..., 3 or 4) as numbers (...); all that is fully transparent is 0.

    Examples
    --------
    >>> pack_colors(np.array([[1, 0, 0], [0, 2, 0]], np.uint8)).tolist() == [
    ...     1 | 255 << 24,
    ...     2 << 8 | 255 << 24,
    ... ]
    True
    """
    packed: Packed = with_alpha_of(colors).view("<u4")[..., 0].astype(np.uint32)
    packed[packed >> 24 == 0] = 0
    return packed


def with_alpha_of(colors: UInt8Array) -> UInt8Array:
    """Return colors (..., 3 or 4) as (..., 4), in C order."""
    if colors.shape[-1] == 4:
        return np.ascontiguousarray(colors)
    return np.concatenate([colors, np.full((*colors.shape[:-1], 1), OPAQUE, np.uint8)], axis=-1)


def unpack_colors(packed: Packed) -> UInt8Array:
    """Return colors (..., 4) of numbers (...)."""
    numbers = np.ascontiguousarray(packed, "<u4")
    return numbers.view(np.uint8).reshape(*packed.shape, 4)


def bounds(mask: Mask) -> Rectangle | None:
    """Return the smallest rectangle around what is set in a mask (H, W); None if nothing is.

    Examples
    --------
    >>> mask = np.zeros((4, 5), bool)
    >>> mask[1, 2] = mask[2, 4] = True
    >>> bounds(mask)
    Rectangle(x=2, y=1, width=3, height=2)
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None
    x, y = int(columns[0]), int(rows[0])
    return Rectangle(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)


def whole(shape: tuple[int, ...]) -> Rectangle:
    """Return the rectangle of a picture (H, W, ...)."""
    return Rectangle(0, 0, shape[1], shape[0])


def join(one: Rectangle | None, other: Rectangle | None) -> Rectangle | None:
    """Return the smallest rectangle around two."""
    if one is None or other is None:
        return one or other
    x, y = min(one.x, other.x), min(one.y, other.y)
    right = max(one.x + one.width, other.x + other.width)
    bottom = max(one.y + one.height, other.y + other.height)
    return Rectangle(x, y, right - x, bottom - y)


def align(place: Rectangle) -> Rectangle:
    """Return a rectangle that begins at even places, as those of a WebP do."""
    x, y = place.x // 2 * 2, place.y // 2 * 2
    return Rectangle(x, y, place.width + place.x - x, place.height + place.y - y)


def clearing(now: Packed, then: Packed) -> Mask:
    """Return which pixels are visible in a frame and fully transparent in the next one."""
    cleared: Mask = (now != 0) & (then == 0)
    return cleared


def choose_disposal(
    before: Packed | None, now: Packed, then: Packed, place: Rectangle | None
) -> int:
    """Return what becomes of a frame of a GIF before the next one, so that little is drawn there.

    A GIF cannot make a visible pixel transparent by drawing.

    Parameters
    ----------
    before, now, then : (H, W) uint32
        The picture that the frame is drawn upon, if there is one, the frame, and the next one.
    place : Rectangle
        Where the frame is drawn, with all that is transparent in the next one.
    """
    if place is None:
        return KEEP
    cleared = now.copy()
    cleared[place.slices] = 0
    best, fewest = BACKGROUND, now.size + 1
    for disposal, left in ((KEEP, now), (PREVIOUS, before), (BACKGROUND, cleared)):
        if left is None or clearing(left, then).any():
            continue
        n_changed = int(np.count_nonzero(left != then))
        if n_changed < fewest:
            best, fewest = disposal, n_changed
    return best
