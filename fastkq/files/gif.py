"""GIF: the labels of an image and its palette, compressed by LZW."""

from __future__ import annotations

import struct

import numpy as np

from fastkq import kernels
from fastkq.colors.pixels import OPAQUE
from fastkq.files.mark import GIF_COMMENT
from fastkq.types import UInt8Array

BLOCK_BYTES = 255


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
    height, width = labels.shape
    transparent = None
    if palette.shape[1] == 4:
        alphas = palette[:, 3]
        if np.any((alphas > 0) & (alphas < OPAQUE)):
            raise ValueError(
                "the palette has translucent colors; png and webp are allowed, not gif, or a "
                "background, which makes the image opaque"
            )
        entries = np.flatnonzero(alphas == 0)
        if len(entries):
            # One index is transparent; equal entries become one.
            transparent = int(entries[0])
            if len(entries) > 1:
                is_clear = np.isin(labels, entries)
                labels = np.where(is_clear, entries[0], labels).astype(np.uint8)
    table_bits = max(1, (len(palette) - 1).bit_length())
    flags = 0x80 | 0x70 | table_bits - 1  # a palette, of colors of 8 bits, and its size
    parts = [b"GIF89a", struct.pack("<HHBBB", width, height, flags, 0, 0)]
    parts.append(palette[:, :3].tobytes().ljust(3 << table_bits, b"\0"))
    parts.append(GIF_COMMENT)
    if transparent is not None:
        parts.append(struct.pack("<4sHBB", b"!\xf9\x04\x01", 0, transparent, 0))
    parts.append(struct.pack("<cHHHHB", b",", 0, 0, width, height, 0))
    root_bits = kernels.lzw.root_bits(len(palette))
    stream = _compress(labels, root_bits)
    parts.append(bytes([root_bits]))
    for start in range(0, len(stream), BLOCK_BYTES):
        block = stream[start : start + BLOCK_BYTES]
        parts += [bytes([len(block)]), block]
    return b"".join([*parts, b"\0;"])


def _compress(labels: UInt8Array, root_bits: int) -> bytes:
    """Return the codes of labels: with a table for all rows, or one a strip, which is smaller.

    `lossy` chooses labels for tables of strips.
    """
    height, width = labels.shape
    strip_rows = kernels.lzw.rows_of_strip(width)
    labels = np.ascontiguousarray(labels)
    streams = [_compress_strips(labels, root_bits, height)]
    if strip_rows < height:
        streams.append(_compress_strips(labels, root_bits, strip_rows))
    return min(streams, key=len)


def _compress_strips(labels: UInt8Array, root_bits: int, strip_rows: int) -> bytes:
    n_slots = int(kernels.lzw.N_SLOTS)
    keys, codes = np.empty(n_slots, np.int32), np.empty(n_slots, np.int16)
    stream = np.empty(2 * labels.size + 8, np.uint8)
    labels = labels.view()
    labels.flags.writeable = False  # as the kernel is compiled for
    n_bytes = kernels.lzw.compress(labels, root_bits, strip_rows, keys, codes, stream)
    return stream[:n_bytes].tobytes()
