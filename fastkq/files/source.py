"""Any source of pixels as blocks of rows."""

from __future__ import annotations

import os

import numpy as np

from fastkq.files.rows import RowArray, RowBlocks, open_array
from fastkq.files.tiff import open_tiff
from fastkq.types import UInt8Array


def open_blocks(source: str | os.PathLike[str] | RowArray) -> RowBlocks | None:
    """Return the blocks of an array or a large TIFF; None for any other path.

    Raises
    ------
    ValueError, TypeError
        What is not an 8-bit gray, RGB or RGBA image.
    """
    if isinstance(source, (str, os.PathLike)):
        return open_tiff(os.fspath(source))
    if not isinstance(source, RowArray):
        raise TypeError(
            f"source is a {type(source).__name__}; a path or an array with shape, dtype and "
            "slicing is allowed"
        )
    return open_array(source)


def read_whole(blocks: RowBlocks) -> UInt8Array:
    """Return an image that is small enough for it, with its alpha."""
    return np.concatenate(list(blocks.raw_blocks()))
