"""TIFF of any size, by rows of its tiles or strips (tifffile)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from fastkq.files import rows as blocks
from fastkq.files.attached import Attached, gather
from fastkq.files.decode import fitting, get_info, open_image
from fastkq.files.errors import ImageReadError, PixelsNotAllowedError, silence
from fastkq.files.pages import MAX_IMAGES, NEW_TYPE, OLD_TYPE, check_page, is_page
from fastkq.files.profiles import plan_conversion
from fastkq.files.reading import DEFAULT, ReadOptions
from fastkq.files.rows import Source, block_rows, is_large, open_array
from fastkq.files.signatures import TIFF, find_format
from fastkq.types import Array

# No large TIFF is smaller than this: deflate gives at most 1032 bytes for one.
MIN_TIFF_BYTES = blocks.LARGE_PIXELS // 1032
MINISBLACK, RGB, YCBCR = 1, 2, 6
CONTIGUOUS, UPRIGHT, UNSIGNED, HIGH_BITS_FIRST, JPEG = 1, 1, 1, 1, 7
JPEGS = (6, JPEG, 33007, 34892)  # with the old one, and those of other programs
STRAIGHT_ALPHA = 2  # a kind of extra samples: alpha that the colors are not multiplied by
# Samples a pixel of a color model: without alpha, and with it.
N_SAMPLES = {MINISBLACK: (1, 2), RGB: (3, 4), YCBCR: (3, 3)}


def open_tiff(
    path: str, reading: ReadOptions = DEFAULT, *, large_pixels: int | None = None
) -> Source | None:
    """Return the blocks of a large TIFF, or None for what is decoded whole.

    Raises
    ------
    ImageReadError
        It has more pixels than are allowed; or it is damaged: its tiles or strips are not those
        that it needs.
    """
    if not os.path.isfile(path) or os.path.getsize(path) < MIN_TIFF_BYTES:
        return None
    with open(path, "rb") as file:
        if find_format(file, path) != TIFF:
            return None
    try:
        import tifffile
    except ImportError:  # what fits into memory is decoded whole
        return None

    silence("tifffile")
    try:
        with tifffile.TiffFile(path) as tiff:
            page = _find_page(tiff, reading.page)
            shape = (page.imagelength, page.imagewidth)
            profile = page.tags.valueof("InterColorProfile")
            comes_by_rows = is_large(shape, large_pixels) and _comes_by_rows(page)
    except Exception:  # damaged: the error of decoding it whole is the one for all formats
        return None
    if not comes_by_rows:
        return None
    reading.check_size(path, shape[1], shape[0], by_blocks=True)
    try:
        source = _blocks_of_page(path, page, _gather(path, page.index, profile, reading))
        convert, attached = plan_conversion(source.attached, source.shape, reading.icc)
    except PixelsNotAllowedError as error:
        raise ImageReadError(f"{path}: {error}") from error
    read = source.read
    if convert is not None:
        read = lambda: (convert(block) for block in source.read())  # noqa: E731 - one of two
    return replace(source, attached=attached, read=read)


def _find_page(tiff: Any, wanted: int | str | None) -> Any:
    """Return a page of a TIFF, or raise what `check_page` does."""
    images = list(islice(tiff.pages, MAX_IMAGES))
    values = [[image.tags.valueof(tag) for tag in (NEW_TYPE, OLD_TYPE)] for image in images]
    pages = [i for i, types in enumerate(values) if i == 0 or is_page(*types)]
    return images[pages[check_page(len(pages), wanted) - 1]]


def _gather(path: str, index: int, profile: bytes | None, reading: ReadOptions) -> Attached:
    """Return what comes with a page; where Pillow cannot tell, its profile alone."""
    try:
        with open(path, "rb") as file, open_image(file, TIFF) as image:
            image.seek(index)
            return gather(image, get_info(image), metadata=reading.keeps_metadata)
    except (MemoryError, PixelsNotAllowedError):
        raise
    except Exception:
        return Attached(profile)


def _comes_by_rows(page: Any) -> bool:
    """Return whether the pixels of a page, tile by tile, are those of the image in 8 bits."""
    model, alphas = int(page.photometric), tuple(int(kind) for kind in page.extrasamples)
    n_samples = int(page.samplesperpixel)
    sides = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip,)
    return (
        n_samples in N_SAMPLES.get(model, ())
        and alphas in ((), (STRAIGHT_ALPHA,))
        # What is YCbCr is converted by the decoder of JPEG, and by nothing else.
        and (model != YCBCR or int(page.compression) == JPEG)
        and page.bitspersample == 8
        and page.sampleformat == UNSIGNED
        and int(page.fillorder) == HIGH_BITS_FIRST
        and int(page.planarconfig) == CONTIGUOUS
        and int(page.tags.valueof("Orientation", UPRIGHT)) == UPRIGHT
        and page.shape[:2] == (page.imagelength, page.imagewidth)
        and len(page.shape) == (2 if n_samples == 1 else 3)
        and all(isinstance(side, int) and side > 0 for side in sides)
    )


def _blocks_of_page(path: str, page: Any, attached: Attached) -> Source:
    shape, index = tuple(page.shape), page.index
    n_bytes = os.path.getsize(path)
    _check_segments(path, page, n_bytes)
    chunk_rows = page.tilelength if page.is_tiled else min(page.rowsperstrip, shape[0])
    rows = block_rows(shape[1], chunk_rows)
    return Source(
        shape=shape,
        name=path,
        n_bytes=n_bytes,
        # Uncompressed strips are often one, of all rows: mapped, they are read by any.
        read=(
            _map_tiff(path, index).read
            if page.is_memmappable
            else lambda: _read_tiff(path, index, shape, rows)
        ),
        attached=fitting("RGB" if shape[2:] in ((3,), (4,)) else "L", attached),
        path=path,
        is_file=True,
    )


def _check_segments(path: str, page: Any, n_bytes: int) -> None:
    """Raise ImageReadError if a page has not the tiles or strips that it needs, in the file.

    One with neither an offset nor a length was left out, and is black; one that lacks only either,
    or ends beyond the file, is damaged.
    """
    height, width = page.imagelength, page.imagewidth
    if page.is_tiled:
        n_needed = -(-height // page.tilelength) * -(-width // page.tilewidth)
    else:
        n_needed = -(-height // min(page.rowsperstrip, height))
    offsets, lengths = _numbers(page.dataoffsets), _numbers(page.databytecounts)
    kind = "tiles" if page.is_tiled else "strips"
    if len(offsets) != n_needed or len(lengths) != n_needed:
        raise ImageReadError(
            f"{path}: is damaged: it has {len(offsets)} offsets and {len(lengths)} lengths of "
            f"{kind}, and needs {n_needed}"
        )
    is_whole = (offsets >= 0) & (lengths >= 0) & (offsets + lengths <= n_bytes)
    is_whole &= (offsets == 0) == (lengths == 0)
    if not is_whole.all():
        first = int(np.argmin(is_whole))
        raise ImageReadError(
            f"{path}: is damaged: {np.count_nonzero(~is_whole)} of its {n_needed} {kind} are not "
            f"in the file, the first at byte {offsets[first]:.0f} with {lengths[first]:.0f} bytes"
        )


def _numbers(values: Any) -> Array:
    """Return the values of a tag; none where a damaged type makes them something else.

    Floats, since a damaged type may also make them negative, or larger than any integer.
    """
    try:
        return np.array(values, np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        return np.empty(0)


def _map_tiff(path: str, index: int) -> Source:
    import tifffile

    return open_array(tifffile.memmap(path, page=index, mode="r"))


def _read_tiff(path: str, page_index: int, shape: tuple[int, ...], rows: int) -> Iterator[Array]:
    """Decode tiles or strips, which come in rows from the top, into blocks of so many rows."""
    import tifffile

    with open(path, "rb") as file, tifffile.TiffFile(path) as tiff:
        page = tiff.pages[page_index]
        options = {}
        if int(page.compression) in JPEGS:
            options = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        top, block = 0, np.zeros((min(rows, shape[0]), *shape[1:]), np.uint8)
        # Not by `page.segments`: it takes tiles around one that was left out for neighbours in the
        # file. And one by one: in threads, tifffile holds over 1 GB of decoded tiles.
        places = zip(page.dataoffsets, page.databytecounts, strict=True)
        for index, (offset, length) in enumerate(places):
            file.seek(offset)
            data = file.read(length) if length else None
            segment, (_, _, row, column, _), _ = page.decode(data, index, **options)
            if row >= top + rows:
                yield block
                top += rows
                block = np.zeros((min(rows, shape[0] - top), *shape[1:]), np.uint8)
            if segment is not None:  # a tile that is left out is black
                part = block[row - top : row - top + segment.shape[1], column:]
                part = part[:, : segment.shape[2]]
                part[...] = segment[0, : part.shape[0], : part.shape[1]].reshape(part.shape)
        yield block
