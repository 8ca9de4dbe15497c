"""How a picture is turned before it is seen, as its EXIF data say (CIPA DC-008, 4.6.5.A)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastkq.files.attached import ORIENTATION_TAG
from fastkq.types import UInt8Array

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

UPRIGHT, LAST = 1, 8
# From these on, rows become columns.
FIRST_ON_SIDE = 5


def read_orientation(image: PillowImage) -> int:
    """Return the orientation of an image that is open, 1 to 8; damaged EXIF data say nothing."""
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, UPRIGHT)
    except Exception:  # of damaged data, anything; where they are wanted, `attached` tells
        return UPRIGHT
    is_known = isinstance(orientation, int) and UPRIGHT <= orientation <= LAST
    return orientation if is_known else UPRIGHT


def lies_on_side(orientation: int) -> bool:
    """Return whether height and width change places."""
    return orientation >= FIRST_ON_SIDE


def turn(pixels: UInt8Array, orientation: int) -> UInt8Array:
    """Return pixels (H, W, C) upright, in C order.

    Examples
    --------
    >>> turn(np.array([[[1], [2]], [[3], [4]]], np.uint8), 6)[..., 0].tolist()
    [[3, 1], [4, 2]]
    """
    if lies_on_side(orientation):
        pixels = pixels.swapaxes(0, 1)
    # What is at the bottom, or on the right, comes first.
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
