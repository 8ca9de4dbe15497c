"""What a page shows of pixels: small copies, a part at full size, what differs, and colors."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastkq.colors.histogram import ColorHistogram
from fastkq.colors.pixels import has_alpha, with_alpha
from fastkq.files.previews import PREVIEW_QUALITY, shrink, to_webp
from fastkq.files.profiles import palette_to_srgb
from fastkq.types import MAX_LEVEL, Array, UInt8Array

# A picture of up to so many bytes is shown as it is: of noise, a page of three has 10 MB then.
MOST_BYTES = 1024 * 768 * 3
PREVIEW_SIDE = 1280
PART = (600, 800)  # rows and columns that are shown of a larger one at full size
STEP = 8  # pixels to which the place of that part is found
AMPLIFIED = 8  # of differences: 32 levels and more are white
CUBE_LEVELS = 16  # of a cube of colors that is one point


@dataclass(frozen=True)
class View:
    """A picture beside its original, as texts that a page can hold.

    Attributes
    ----------
    original, result, difference : str, addresses with all data
    width, height : int, in pixels
    top, left : int, where in the whole picture it begins
    is_reduced : bool, whether it is a copy with losses, and smaller where it need be
    """

    original: str
    result: str
    difference: str
    width: int
    height: int
    top: int = 0
    left: int = 0
    is_reduced: bool = False


def make_views(original: UInt8Array, result: UInt8Array, profile: bytes | None) -> list[View]:
    """Return the whole picture; of a larger one a small copy, and a part at full size.

    Parameters
    ----------
    original, result : (H, W), or with 2, 3 or 4 channels, of one size; uint8
    profile : bytes or None
        What their values refer to; the views are sRGB.
    """
    difference = find_difference(original, result)
    height, width = difference.shape
    if height * width * as_shown(original[:1, :1]).shape[2] <= MOST_BYTES:
        return [_view(original, result, difference, profile)]
    small = [shrink(as_shown(image), PREVIEW_SIDE) for image in (original, result)]
    small_difference = shrink(difference, PREVIEW_SIDE)
    reduced = _view(small[0], small[1], small_difference, profile, is_reduced=True)
    top, left = find_worst(difference, PART)
    part = np.s_[top : top + PART[0], left : left + PART[1]]
    full = _view(original[part], result[part], difference[part], profile, (top, left))
    return [reduced, full]


def _view(
    original: UInt8Array,
    result: UInt8Array,
    difference: UInt8Array,
    profile: bytes | None,
    corner: tuple[int, int] = (0, 0),
    *,
    is_reduced: bool = False,
) -> View:
    quality = PREVIEW_QUALITY if is_reduced else None
    height, width = difference.shape
    # As uint16 first: NumPy 1 takes the type of an array and not of a number beside it.
    amplified = np.minimum(difference.astype(np.uint16) * AMPLIFIED, MAX_LEVEL).astype(np.uint8)
    return View(
        to_address(to_webp(_in_srgb(as_shown(original), profile), quality)),
        to_address(to_webp(_in_srgb(as_shown(result), profile), quality)),
        to_address(to_webp(amplified, quality)),
        width,
        height,
        *corner,
        is_reduced=is_reduced,
    )


def as_shown(image: UInt8Array) -> UInt8Array:
    """Return an image of any number of channels as (H, W, 3) or (H, W, 4)."""
    shown = with_alpha(image)
    return shown if has_alpha(image) else np.ascontiguousarray(shown[..., :3])


def _in_srgb(image: UInt8Array, profile: bytes | None) -> UInt8Array:
    channels = image.shape[2]
    return palette_to_srgb(image.reshape(-1, channels), profile).reshape(image.shape)


def to_address(webp: bytes) -> str:
    """Return a picture as the address of an image that has all data in itself."""
    return f"data:image/webp;base64,{base64.b64encode(webp).decode('ascii')}"


def find_difference(original: UInt8Array, result: UInt8Array) -> UInt8Array:
    """Return how many levels two images differ in each pixel (H, W), in the worst channel.

    What is transparent is laid over black and over white, and the larger difference counts.
    """
    if has_alpha(original) or has_alpha(result):
        return _find_alpha_difference(original, result)
    one, other = (image if image.ndim == 3 else image[..., None] for image in (original, result))
    worst = np.zeros(one.shape[:2], np.uint8)
    for channel in range(max(one.shape[2], other.shape[2])):
        first = one[..., min(channel, one.shape[2] - 1)]
        second = other[..., min(channel, other.shape[2] - 1)]
        np.maximum(worst, np.maximum(first, second) - np.minimum(first, second), out=worst)
    return worst


def _find_alpha_difference(original: UInt8Array, result: UInt8Array) -> UInt8Array:
    one, other = _premultiplied(original), _premultiplied(result)
    over_black = one[..., :3] - other[..., :3]
    over_white = over_black - (one[..., 3:] - other[..., 3:])
    worst = np.maximum(np.abs(over_black), np.abs(over_white)).max(axis=2)
    return np.asarray(np.rint(worst).astype(np.uint8))


def _premultiplied(image: UInt8Array) -> NDArray[np.float32]:
    shown = with_alpha(image).astype(np.float32)
    shown[..., :3] *= shown[..., 3:] / MAX_LEVEL
    return shown


def find_worst(difference: UInt8Array, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the corner (top, left) of the part of a shape whose squared differences are largest.

    It is found to 8 pixels; of equal ones, the first.
    """
    height, width = difference.shape
    n_rows, n_columns = min(shape[0], height), min(shape[1], width)
    rows = np.add.reduceat(
        np.square(difference, dtype=np.int32), np.arange(0, height, STEP), axis=0, dtype=np.int64
    )
    squares = np.add.reduceat(rows, np.arange(0, width, STEP), axis=1)
    sums = np.zeros((squares.shape[0] + 1, squares.shape[1] + 1), np.int64)
    sums[1:, 1:] = squares.cumsum(axis=0).cumsum(axis=1)
    down, along = -(-n_rows // STEP), -(-n_columns // STEP)
    inside = (
        sums[down:, along:] - sums[:-down, along:] - sums[down:, :-along] + sums[:-down, :-along]
    )
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return min(int(top) * STEP, height - n_rows), min(int(left) * STEP, width - n_columns)


def cube_means(histogram: ColorHistogram) -> tuple[UInt8Array, Array]:
    """Return the mean opaque colors (N, 3) of cubes of 16x16x16 colors, and their pixels (N,)."""
    if len(histogram.codes) == 0:
        return np.empty((0, 3), np.uint8), np.empty(0)
    # A cube is a run of Morton codes, which ascend.
    cubes = histogram.codes // np.uint32(CUBE_LEVELS**3)
    starts = np.flatnonzero(np.diff(cubes, prepend=cubes[0] + 1))
    counts = np.add.reduceat(histogram.counts, starts)
    sums = np.add.reduceat(histogram.colors * histogram.counts[:, None], starts, axis=0)
    return np.rint(sums / counts[:, None]).astype(np.uint8), counts
