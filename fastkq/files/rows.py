"""Images as rows: one in memory is one block; memory maps, Zarr arrays and large TIFF are many.

Each pass reads the blocks anew, so that one of them is in memory at a time.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from fastkq.colors.pixels import check_layout
from fastkq.files.attached import NOTHING, Attached
from fastkq.files.errors import ImageReadError, reason
from fastkq.types import Array, UInt8Array

# 67 MP. Above this many pixels, `compress` works by blocks and PNG are written in strips, however
# the image came: so it has the same bytes from a file, an array or a memory map.
LARGE_PIXELS = 1 << 26
BLOCK_PIXELS = 1 << 23  # 24 MB of RGB


@runtime_checkable
class RowArray(Protocol):
    """What can be read by rows: NumPy and Zarr arrays, memory maps, HDF5 datasets."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) or (H, W, 2 to 4)."""

    @property
    def dtype(self) -> Any:
        """Equal to uint8."""

    def __getitem__(self, rows: slice) -> Any:
        """Return some rows."""


@dataclass(frozen=True, eq=False)
class Source:
    """An image that is read by blocks of rows.

    Attributes
    ----------
    shape : (H, W), (H, W, 2), (H, W, 3) or (H, W, 4), with the channels that the blocks have
    name : what errors and reports call it
    n_bytes : int, of the file or array
    read : start a pass: returns an iterator of blocks (h, W) or (h, W, C), from the top
    attached : what comes with it, such as the RGB profile that its values refer to
    array : the whole image as `check_array` gives it, if it is in memory
    path : the file that it comes from, if it is one
    is_file : whether `n_bytes` are those of a file, named or not, and no array's
    """

    shape: tuple[int, ...]
    name: str
    n_bytes: int
    read: Callable[[], Iterator[Array]]
    attached: Attached = NOTHING
    array: UInt8Array | None = None
    path: str | None = None
    is_file: bool = False

    @property
    def icc_profile(self) -> bytes | None:
        """The RGB profile that its values refer to, if it came with one."""
        return self.attached.icc_profile

    @property
    def n_pixels(self) -> int:
        """H * W."""
        return self.shape[0] * self.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.shape[0], self.shape[1]

    @property
    def n_channels(self) -> int:
        """1 to 4, with alpha."""
        return 1 if len(self.shape) == 2 else self.shape[2]

    @property
    def is_gray(self) -> bool:
        """Whether the image has one channel of color."""
        return self.n_channels < 3

    def __iter__(self) -> Iterator[UInt8Array]:
        """Start a pass over blocks (h, W) or (h, W, C) uint8, in C order and read-only.

        Raises
        ------
        ImageReadError
            The source cannot be read, or gives other rows than its shape says.
        """
        source, n_rows = self.read(), 0
        while True:
            try:
                block = next(source)
                check_layout(block.shape, block.dtype, "the block")
            except StopIteration:
                break
            except MemoryError:
                raise
            except Exception as error:
                # Storage and decoders raise anything, also OSError, which is not the target's.
                raise ImageReadError(f"{self.name}: cannot be read: {reason(error)}") from error
            n_rows += len(block)
            if block.shape[1:] != self.shape[1:] or n_rows > self.shape[0]:
                n_rows = -1
                break
            block = np.ascontiguousarray(block).view()
            block.flags.writeable = False  # one type for the kernels, whatever the source
            yield block
        if n_rows != self.shape[0]:
            raise ImageReadError(
                f"{self.name}: does not give the rows that its shape {self.shape} says"
            )


def hold(
    array: UInt8Array,
    name: str,
    n_bytes: int | None = None,
    attached: Attached = NOTHING,
    path: str | None = None,
    *,
    is_file: bool = False,
) -> Source:
    """Return a checked array in memory as a source: of one block, or of more where it is large."""
    rows = block_rows(array.shape[1], 1) if is_large(array.shape) else array.shape[0]

    def read() -> Iterator[Array]:
        return (array[start : start + rows] for start in range(0, len(array), rows))

    n_bytes = array.nbytes if n_bytes is None else n_bytes
    return Source(array.shape, name, n_bytes, read, attached, array, path, is_file)


def is_large(shape: tuple[int, ...], large_pixels: int | None = None) -> bool:
    """Return whether an image is read by blocks; `large_pixels` is `LARGE_PIXELS` by default."""
    return shape[0] * shape[1] > (LARGE_PIXELS if large_pixels is None else large_pixels)


def open_array(array: RowArray) -> Source:
    """Return an array as blocks of rows."""
    kind, shape = type(array).__name__, tuple(array.shape)
    check_layout(shape, array.dtype, f"image ({kind})")
    rows = block_rows(shape[1], _chunk_rows(array))

    def read() -> Iterator[Array]:
        for start in range(0, shape[0], rows):
            block = np.asarray(array[slice(start, min(start + rows, shape[0]))])
            if block.shape[0] != min(rows, shape[0] - start):
                raise ValueError(f"rows {start} to {start + rows} have shape {block.shape}")
            yield block
            _drop_pages(array)

    name = f"{kind} {shape}"
    return Source(shape, name, math.prod(shape), read)


def _chunk_rows(array: RowArray) -> int:
    """Return the rows that storage holds together."""
    chunks = getattr(array, "shards", None) or getattr(array, "chunks", None)
    return chunks[0] if isinstance(chunks, tuple) and isinstance(chunks[0], int) else 1


def block_rows(width: int, chunk_rows: int) -> int:
    """Return the rows of a block: whole chunks, so that each is decoded once a pass."""
    return max(1, BLOCK_PIXELS // (width * chunk_rows)) * chunk_rows


def _drop_pages(array: object) -> None:
    """Give back the memory of the part of a mapped file that was read."""
    # Not in mode "c", whose changes are in memory only.
    if isinstance(array, np.memmap) and array.mode != "c":
        mapped = cast("mmap.mmap | None", getattr(array, "_mmap", None))
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)
