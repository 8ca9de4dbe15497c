"""From the frames that a file has, rectangles that change a picture, to whole pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastkq.colors.pixels import OPAQUE, with_alpha
from fastkq.files.decode import decode_file
from fastkq.types import UInt8Array

# What becomes of a frame before the next one: it stays, its rectangle becomes transparent, or what
# was there before it.
KEEP, BACKGROUND, PREVIOUS = range(3)
# How a frame is drawn: it replaces its rectangle, or lies over it.
SOURCE, OVER = range(2)


@dataclass(frozen=True, eq=False)
class Patch:
    """A frame as a file has it.

    Attributes
    ----------
    x, y, width, height : int, the rectangle in pixels
    still : bytes, a file of the rectangle alone
    duration : float, in ms
    disposal : KEEP, BACKGROUND or PREVIOUS
    blend : SOURCE or OVER
    """

    x: int
    y: int
    width: int
    height: int
    still: bytes
    duration: float
    disposal: int
    blend: int


@dataclass(frozen=True, eq=False)
class Film:
    """What a file says of an animation: its size, its frames and how often they are played."""

    width: int
    height: int
    patches: list[Patch]
    loop: int


def compose(film: Film, name: str) -> Iterator[UInt8Array]:
    """Yield each frame (H, W, 4) uint8 as it is seen.

    Raises
    ------
    ValueError
        A frame cannot be decoded.
    """
    canvas = np.zeros((film.height, film.width, 4), np.uint8)
    for number, patch in enumerate(film.patches):
        # A rectangle may reach beyond the picture; that part is not seen.
        place = canvas[patch.y : patch.y + patch.height, patch.x : patch.x + patch.width]
        before = place.copy() if patch.disposal == PREVIOUS else None
        decoded = decode_file(io.BytesIO(patch.still), f"{name}: frame {number}").array
        _draw(place, with_alpha(decoded)[: place.shape[0], : place.shape[1]], patch.blend)
        yield canvas.copy()
        if patch.disposal == BACKGROUND:
            place[:] = 0
        elif before is not None:
            place[:] = before


def _draw(place: UInt8Array, pixels: UInt8Array, blend: int) -> None:
    """Draw a frame's pixels into their place, in place."""
    alphas = pixels[..., 3]
    if blend == SOURCE:
        place[:] = pixels
    elif np.isin(alphas, (0, OPAQUE)).all():
        np.copyto(place, pixels, where=(alphas == OPAQUE)[..., None])
    elif place.size:
        from PIL import Image

        below, above = (Image.fromarray(np.ascontiguousarray(a)) for a in (place, pixels))
        place[:] = np.asarray(Image.alpha_composite(below, above))
