"""Images larger than memory, as blocks of rows: memory maps, Zarr arrays, tiled TIFF.

Each pass reads the blocks anew, so that one of them is in memory at a time.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from fastkq import image_io
from fastkq.types import Array, UInt8Array

# Above this many pixels, `compress` works by blocks and PNG are written in strips, however the
# image came: so it has the same bytes from a file, an array or a memory map.
LARGE_PIXELS = 1 << 26
BLOCK_PIXELS = 1 << 23  # 24 MB of RGB
TIFF_SIGNATURES = tuple(start for start, name in image_io.SIGNATURES if name == "TIFF")
# No large TIFF is smaller than this: deflate gives at most 1032 bytes for one.
MIN_TIFF_BYTES = LARGE_PIXELS // 1032
TIFF_BUFFER_BYTES = 1 << 22
TIFF_COLOR_MODELS = ("MINISBLACK", "RGB", "YCBCR")


@runtime_checkable
class ArrayLike(Protocol):
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
class RowBlocks:
    """An image that is read by blocks of rows.

    Attributes
    ----------
    shape : (H, W) or (H, W, 3), without alpha
    name : what errors and reports call it
    n_bytes : int, of the source
    read : start a pass: returns an iterator of blocks (h, W) or (h, W, 2 to 4), from the top
    icc_profile : the RGB profile that its values refer to, if it came with one
    """

    shape: tuple[int, ...]
    name: str
    n_bytes: int
    read: Callable[[], Iterator[Array]]
    icc_profile: bytes | None = None

    @property
    def n_pixels(self) -> int:
        """H * W."""
        return self.shape[0] * self.shape[1]

    def __iter__(self) -> Iterator[UInt8Array]:
        """Start a pass over checked blocks (h, W) or (h, W, 3).

        Raises
        ------
        ValueError
            The source cannot be read, is not opaque, or gives other rows than asked for.
        """
        for block in self.raw_blocks():
            checked = image_io.check_array(block)
            if image_io.has_alpha(checked):
                raise ValueError(
                    f"{self.name}: has transparent pixels; of over {LARGE_PIXELS >> 20} MiP, only "
                    "opaque images are allowed"
                )
            yield checked

    def raw_blocks(self) -> Iterator[Array]:
        """Start a pass over blocks as they come, which may have alpha; raise as iteration does."""
        source, n_rows = self.read(), 0
        while True:
            try:
                block = next(source)
                image_io.check_layout(block.shape, block.dtype, "image")
            except StopIteration:
                break
            except MemoryError:
                raise
            except Exception as error:
                # Storage and decoders raise anything, also OSError, which is not the target's.
                raise ValueError(f"{self.name}: cannot be read: {error}") from error
            n_rows += len(block)
            if opaque_shape(block.shape)[1:] != self.shape[1:] or n_rows > self.shape[0]:
                break
            yield block
        if n_rows != self.shape[0]:
            raise ValueError(
                f"{self.name}: does not give the rows that its shape {self.shape} says"
            )


def open_blocks(source: str | os.PathLike[str] | ArrayLike) -> RowBlocks | None:
    """Return the blocks of an array or a large TIFF; None for any other path.

    Raises
    ------
    ValueError, TypeError
        What is not an 8-bit gray, RGB or RGBA image.
    """
    if isinstance(source, (str, os.PathLike)):
        return _open_tiff(os.fspath(source))
    if not isinstance(source, ArrayLike):
        raise TypeError(
            f"source is a {type(source).__name__}; a path or an array with shape, dtype and "
            "slicing is allowed"
        )
    return _open_array(source)


def read_whole(blocks: RowBlocks) -> UInt8Array:
    """Return an image that is small enough for it, with its alpha."""
    return np.concatenate(list(blocks.raw_blocks()))


def _open_array(array: ArrayLike) -> RowBlocks:
    kind, shape = type(array).__name__, tuple(array.shape)
    image_io.check_layout(shape, array.dtype, f"source ({kind})")
    rows = _block_rows(shape[1], _chunk_rows(array))

    def read() -> Iterator[Array]:
        for start in range(0, shape[0], rows):
            block = np.asarray(array[slice(start, min(start + rows, shape[0]))])
            if block.shape[0] != min(rows, shape[0] - start):
                raise ValueError(f"rows {start} to {start + rows} have shape {block.shape}")
            yield block
            _drop_pages(array)

    name = f"{kind} {shape}"
    return RowBlocks(opaque_shape(shape), name, int(np.prod(shape, dtype=np.int64)), read)


def opaque_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape (H, W) or (H, W, 3) that an image has without alpha."""
    return shape[:2] if len(shape) == 2 or shape[2] == 2 else (*shape[:2], 3)


def _chunk_rows(array: ArrayLike) -> int:
    """Return the rows that storage holds together."""
    chunks = getattr(array, "shards", None) or getattr(array, "chunks", None)
    return chunks[0] if isinstance(chunks, tuple) and isinstance(chunks[0], int) else 1


def _block_rows(width: int, chunk_rows: int) -> int:
    """Return the rows of a block: whole chunks, so that each is decoded once a pass."""
    return max(1, BLOCK_PIXELS // (width * chunk_rows)) * chunk_rows


def _drop_pages(array: object) -> None:
    """Give back the memory of the part of a mapped file that was read."""
    # Not in mode "c", whose changes are in memory only.
    if isinstance(array, np.memmap) and array.mode != "c":
        mapped = cast("mmap.mmap | None", getattr(array, "_mmap", None))
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def _open_tiff(path: str) -> RowBlocks | None:
    """Return the blocks of a large TIFF, or None for what imageio reads."""
    if not os.path.isfile(path) or os.path.getsize(path) < MIN_TIFF_BYTES:
        return None
    with open(path, "rb") as file:
        if not file.read(image_io.SIGNATURE_BYTES).startswith(TIFF_SIGNATURES):
            return None
    try:
        import tifffile
    except ImportError:  # imageio reads those that fit into memory
        return None

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            n_pixels = page.imagelength * page.imagewidth
            profile = page.tags.valueof("InterColorProfile")
    except Exception:  # damaged: imageio's error is the one for all formats
        return None
    return _blocks_of_page(path, page, profile) if n_pixels > LARGE_PIXELS else None


def _blocks_of_page(path: str, page: Any, profile: bytes | None) -> RowBlocks:
    shape = tuple(page.shape)
    photometric = getattr(page.photometric, "name", page.photometric)
    image_io.check_layout(shape, page.dtype, path)
    orientation = page.tags.valueof("Orientation", 1)
    if photometric not in TIFF_COLOR_MODELS or page.planarconfig != 1 or orientation != 1:
        raise ValueError(
            f"{path}: is {photometric}, planar configuration {int(page.planarconfig)}, orientation "
            f"{int(orientation)}; a TIFF of over {LARGE_PIXELS >> 20} MiP may be "
            f"{', '.join(TIFF_COLOR_MODELS)}, planar configuration 1, orientation 1"
        )
    chunk_rows = page.tilelength if page.is_tiled else min(page.rowsperstrip, shape[0])
    rows = _block_rows(shape[1], chunk_rows)
    return RowBlocks(
        shape=opaque_shape(shape),
        name=path,
        n_bytes=os.path.getsize(path),
        # Uncompressed strips are often one, of all rows: mapped, they are read by any.
        read=_map_tiff(path).read if page.is_memmappable else lambda: _read_tiff(path, shape, rows),
        icc_profile=image_io.rgb_profile(profile) if len(shape) == 3 else None,
    )


def _map_tiff(path: str) -> RowBlocks:
    import tifffile

    return _open_array(tifffile.memmap(path, page=0, mode="r"))


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
