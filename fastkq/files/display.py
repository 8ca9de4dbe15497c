"""What a result shows of itself: a Pillow image, a picture of its palette, a notebook's cell."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fastkq.colors.pixels import OPAQUE
from fastkq.types import Array, UInt8Array

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

MOST_SHOWN = 1024  # pixels of the longer side of a picture in a notebook
# What is seen behind translucent swatches: squares of two grays, as in image editors.
SQUARE, LIGHT, DARK = 8, 255, 204


def indexed_image(
    labels: UInt8Array, palette: UInt8Array, icc_profile: bytes | None = None
) -> PillowImage:
    """Return a Pillow image of mode "P", as Pillow reads an indexed PNG.

    Parameters
    ----------
    labels : (H, W) uint8
    palette : (K, 3) or (K, 4) uint8
        Its alpha goes into `info["transparency"]`, where Pillow keeps it.
    icc_profile : bytes, optional
    """
    from PIL import Image

    height, width = labels.shape
    image = Image.frombytes("P", (width, height), np.ascontiguousarray(labels).tobytes())
    image.putpalette(np.ascontiguousarray(palette[:, :3]).tobytes())
    if palette.shape[1] == 4:
        image.info["transparency"] = palette[:, 3].tobytes()
    if icc_profile is not None:
        image.info["icc_profile"] = icc_profile
    return image


def swatches(palette: UInt8Array, *, size: int = 32, columns: int = 16) -> UInt8Array:
    """Return a picture of a palette, (H, W, 3) uint8: a square for each color, in order.

    Parameters
    ----------
    palette : (K, 3) or (K, 4) uint8
        What is translucent is seen over a checkerboard.
    size : int
        Of a square, in pixels.
    columns : int
        Squares in a row; the last row is filled with white.
    """
    columns = min(columns, len(palette))
    n_rows = -(-len(palette) // columns)
    squares = np.full((n_rows * columns, size, size, 3), 255, np.uint8)
    colors = np.broadcast_to(palette[:, None, None, :3], (len(palette), size, size, 3))
    squares[: len(palette)] = colors
    if palette.shape[1] == 4:
        place = np.arange(size) // SQUARE
        board = np.where(np.add.outer(place, place) % 2, DARK, LIGHT)[None, :, :, None]
        alpha = palette[:, None, None, 3:] / OPAQUE
        squares[: len(palette)] = np.rint(alpha * colors + (1 - alpha) * board)
    rows = squares.reshape(n_rows, columns, size, size, 3)
    return rows.swapaxes(1, 2).reshape(n_rows * size, columns * size, 3)


def as_image(array: UInt8Array) -> PillowImage:
    """Return an array (H, W, 3) as a Pillow image."""
    from PIL import Image

    return Image.fromarray(array)


def picture(image: Array) -> bytes:
    """Return an image (H, W), or with 2, 3 or 4 channels, as a PNG of at most 1024 pixels a side.

    A larger one is made smaller by the mean of squares of pixels.
    """
    from PIL import Image

    shown = (
        Image.fromarray(image, "LA") if image.ndim == 3 and image.shape[2] == 2 else as_image(image)
    )
    step = -(-max(shown.size) // MOST_SHOWN)
    if step > 1:
        shown = shown.reduce(step)
    buffer = io.BytesIO()
    shown.save(buffer, "PNG")
    return buffer.getvalue()


def to_html(png: bytes, palette: UInt8Array, shares: Array, numbers: Mapping[str, str]) -> str:
    """Return a picture, a strip of the palette and a line of numbers, for a notebook.

    Parameters
    ----------
    png : bytes
    palette : (K, 3) or (K, 4) uint8
    shares : (K,) float
        Of the pixels, that each color has: the widths of the strip.
    numbers : mapping of str to str
        Names, in plain text, and what is told of each.
    """
    strip = "".join(
        f'<span title="{hex_of(color)}, {share:.1%}" style="flex:{share:.6f};'
        f'background:{hex_of(color)}"></span>'
        for color, share in zip(palette, shares, strict=True)
    )
    facts = " · ".join(f"{name} <b>{value}</b>" for name, value in numbers.items())
    encoded = base64.b64encode(png).decode("ascii")
    return (
        '<figure style="margin:0;max-width:40em">'
        f'<img alt="the image of {len(palette)} colors" style="max-width:100%" '
        f'src="data:image/png;base64,{encoded}">'
        f'<div role="img" aria-label="the palette, by share of the pixels" '
        f'style="display:flex;height:1.5em">{strip}</div>'
        f"<figcaption>{facts}</figcaption></figure>"
    )


def hex_of(color: UInt8Array) -> str:
    """Return a color as CSS has it.

    Examples
    --------
    >>> hex_of(np.array([255, 128, 0], np.uint8)), hex_of(np.array([0, 0, 0, 0], np.uint8))
    ('#ff8000', '#00000000')
    """
    return f"#{color.tobytes().hex()}"
