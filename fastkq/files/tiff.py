"""TIFF of any size, by rows of its tiles or strips (tifffile)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastkq.colors.pixels import check_layout
from fastkq.files import rows as blocks
from fastkq.files.decode import SIGNATURE_BYTES, SIGNATURES, rgb_profile
from fastkq.files.rows import Source, block_rows, is_large, open_array
from fastkq.types import Array

TIFF_SIGNATURES = tuple(start for start, name in SIGNATURES if name == "TIFF")


# No large TIFF is smaller than this: deflate gives at most 1032 bytes for one.
MIN_TIFF_BYTES = blocks.LARGE_PIXELS // 1032


TIFF_BUFFER_BYTES = 1 << 22


TIFF_COLOR_MODELS = ("MINISBLACK", "RGB", "YCBCR")


def open_tiff(path: str, large_pixels: int | None = None) -> Source | None:
    """Return the blocks of a large TIFF, or None for what imageio reads."""
    if not os.path.isfile(path) or os.path.getsize(path) < MIN_TIFF_BYTES:
        return None
    with open(path, "rb") as file:
        if not file.read(SIGNATURE_BYTES).startswith(TIFF_SIGNATURES):
            return None
    try:
        import tifffile
    except ImportError:  # imageio reads those that fit into memory
        return None

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            shape = (page.imagelength, page.imagewidth)
            profile = page.tags.valueof("InterColorProfile")
    except Exception:  # damaged: imageio's error is the one for all formats
        return None
    return _blocks_of_page(path, page, profile) if is_large(shape, large_pixels) else None


def _blocks_of_page(path: str, page: Any, profile: bytes | None) -> Source:
    shape = tuple(page.shape)
    photometric = getattr(page.photometric, "name", page.photometric)
    check_layout(shape, page.dtype, path)
    orientation = page.tags.valueof("Orientation", 1)
    if photometric not in TIFF_COLOR_MODELS or page.planarconfig != 1 or orientation != 1:
        raise ValueError(
            f"{path}: is {photometric}, planar configuration {int(page.planarconfig)}, orientation "
            f"{int(orientation)}; a TIFF of over {blocks.LARGE_PIXELS >> 20} MiP may be "
            f"{', '.join(TIFF_COLOR_MODELS)}, planar configuration 1, orientation 1"
        )
    chunk_rows = page.tilelength if page.is_tiled else min(page.rowsperstrip, shape[0])
    rows = block_rows(shape[1], chunk_rows)
    return Source(
        shape=shape,
        name=path,
        n_bytes=os.path.getsize(path),
        # Uncompressed strips are often one, of all rows: mapped, they are read by any.
        read=_map_tiff(path).read if page.is_memmappable else lambda: _read_tiff(path, shape, rows),
        icc_profile=rgb_profile(profile) if len(shape) == 3 else None,
    )


def _map_tiff(path: str) -> Source:
    import tifffile

    return open_array(tifffile.memmap(path, page=0, mode="r"))


def _read_tiff(path: str, shape: tuple[int, ...], rows: int) -> Iterator[Array]:
    """Decode tiles or strips, which come in rows from the top, into blocks of so many rows."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        top, block = 0, np.zeros((min(rows, shape[0]), *shape[1:]), np.uint8)
        # One thread: with more, tifffile holds all tiles of a buffer decoded, over 1 GB.
        segments = tiff.pages[0].segments(maxworkers=1, buffersize=TIFF_BUFFER_BYTES)
        for segment, (_, _, row, column, _), _ in segments:
            if row >= top + rows:
                yield block
                top += rows
                block = np.zeros((min(rows, shape[0] - top), *shape[1:]), np.uint8)
            if segment is not None:  # a tile that is left out is black
                part = block[row - top : row - top + segment.shape[1], column:]
                part = part[:, : segment.shape[2]]
                part[...] = segment[0, : part.shape[0], : part.shape[1]].reshape(part.shape)
        yield block
