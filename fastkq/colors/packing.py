"""Whole numbers as few bytes, for histograms that go from process to process."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from fastkq.types import Array


def pack_numbers(values: Array) -> bytes:
    """Return unsigned numbers as deflated bytes, low bytes first: the high ones are mostly 0.

    Examples
    --------
    >>> unpack_numbers(pack_numbers(np.array([[1, 2], [3, 1 << 40]]))).tolist()
    [1, 2, 3, 1099511627776]
    """
    planes = np.ascontiguousarray(values, "<u8").reshape(-1).view(np.uint8).reshape(-1, 8).T
    return zlib.compress(planes.tobytes(), level=1)


def unpack_numbers(packed: bytes) -> NDArray[np.int64]:
    """Return the numbers of `pack_numbers`, flat."""
    planes = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(8, -1)
    return np.ascontiguousarray(planes.T).view("<i8").ravel().astype(np.int64, copy=False)
