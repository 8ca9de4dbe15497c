"""GIF: the labels of an image and its palette."""

from __future__ import annotations

import numpy as np

from fastkq.files import gif_blocks
from fastkq.files.gif_codes import encode_still
from fastkq.types import UInt8Array


def encode_gif(labels: UInt8Array, palette: UInt8Array) -> bytes:
    """Return the GIF of an image.

    Parameters
    ----------
    labels : (H, W) uint8
    palette : (K, 3) or (K, 4) uint8

    Raises
    ------
    ValueError
        The palette has translucent entries.
    """
    gif_blocks.check_opaque_or_clear(palette)
    height, width = labels.shape
    control = b""
    entries = np.flatnonzero(palette[:, 3] == 0) if palette.shape[1] == 4 else np.empty(0, int)
    if len(entries):
        # One index is transparent; equal entries become one.
        control = gif_blocks.control(int(entries[0]))
        if len(entries) > 1:
            is_clear = np.isin(labels, entries)
            labels = np.where(is_clear, entries[0], labels).astype(np.uint8)
    codes = encode_still(labels, len(palette))
    frame = gif_blocks.picture((0, 0, width, height), codes)
    start = gif_blocks.begin((height, width), palette)
    return b"".join([start, control, frame, gif_blocks.TRAILER])
