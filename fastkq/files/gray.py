"""Gray PNG, whose pixels are levels instead of indices: no palette, which is all that it saves.

Levels are written in as many bits as indices would be, so only where these name them exactly: black
and white in 1 bit, multiples of 85 in 2 and of 17 in 4, all in 8.
"""

from __future__ import annotations

import struct

import numpy as np

from fastkq.colors.pixels import OPAQUE
from fastkq.files.attached import NOTHING, Attached
from fastkq.files.png import (
    COLOR_TYPE_GRAY,
    assemble,
    attached_chunks,
    bits_per_index,
    deflate_fast,
    deflate_rows,
    pays_filtering,
)
from fastkq.types import MAX_LEVEL, UInt8Array


def gray_values(palette: UInt8Array, bit_depth: int | None = None) -> UInt8Array | None:
    """Return what stands for each entry in a gray PNG of as many bits as indices have.

    Parameters
    ----------
    palette : (K, 3) or (K, 4) uint8
    bit_depth : int, optional
        Of an index; as few as number the palette by default.

    Returns
    -------
    (K,) uint8, or None
        The entries' levels, divided by the step from one to the next. None where an entry is
        colored, translucent, or no such level, and where a transparent one is not black or another
        is black as well: the one level that a gray PNG can make transparent is to be seen nowhere.

    Examples
    --------
    >>> gray_values(np.array([[0, 0, 0], [170, 170, 170], [85, 85, 85]], np.uint8)).tolist()
    [0, 2, 1]
    """
    levels = palette[:, 0]
    bits = bit_depth or bits_per_index(len(palette))
    step = MAX_LEVEL // ((1 << bits) - 1)
    if np.any(palette[:, :3] != levels[:, None]) or np.any(levels % step):
        return None
    if palette.shape[1] == 4:
        is_transparent = palette[:, 3] < OPAQUE
        n_black = np.count_nonzero(levels == 0)
        if np.any(palette[is_transparent] != 0) or (np.any(is_transparent) and n_black > 1):
            return None
    values: UInt8Array = levels // np.uint8(step)
    return values


def encode_gray_png(
    labels: UInt8Array,
    palette: UInt8Array,
    *,
    attached: Attached = NOTHING,
    optimize: bool = False,
    bit_depth: int | None = None,
) -> bytes | None:
    """Return a gray PNG of the same pixels as an indexed one, or None where there is no such.

    Parameters
    ----------
    labels : (H, W) uint8
    palette : (K, 3) or (K, 4) uint8
    attached : Attached
        What comes with the image; with no profile, which would be one of RGB.
    optimize : bool
        Whether to take several times as long for a smaller file.
    bit_depth : int, optional
        Of a pixel; as few as number the palette by default.
    """
    values = gray_values(palette, bit_depth)
    if values is None:
        return None
    bits = bit_depth or bits_per_index(len(palette))
    pixels = np.take(values, labels)
    if optimize:
        deflated = deflate_rows(pixels, bits, filtered=pays_filtering(pixels, bits))
    else:
        deflated = deflate_fast(pixels, bits)
    chunks = attached_chunks(attached)
    if palette.shape[1] == 4 and np.any(palette[:, 3] < OPAQUE):
        chunks.append((b"tRNS", struct.pack(">H", 0)))
    return assemble(labels.shape, bits, COLOR_TYPE_GRAY, chunks, deflated)
