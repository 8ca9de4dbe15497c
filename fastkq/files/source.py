"""Any image as a source of rows."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np

from fastkq.colors.bleed import bleed
from fastkq.colors.histogram import histogram_of_blocks
from fastkq.colors.paper import find_paper
from fastkq.colors.pixels import check_array, flatten
from fastkq.files.animations import (
    choose_frame,
    is_animated_pillow_image,
    open_animation,
    refuse_animation,
    too_many_frames,
)
from fastkq.files.decode import check_first_frame, decode_file, open_file
from fastkq.files.errors import ImageReadError, PixelsNotAllowedError
from fastkq.files.frames import Animation
from fastkq.files.profiles import from_srgb
from fastkq.files.read import read_bytes, read_image
from fastkq.files.reading import DEFAULT, ReadOptions
from fastkq.files.rows import RowArray, Source, hold, is_large, open_array
from fastkq.files.tiff import open_tiff
from fastkq.types import Array, ImageSource, UInt8Array


def open_source(
    image: ImageSource | RowArray,
    reading: ReadOptions = DEFAULT,
    *,
    large_pixels: int | None = None,
) -> Source:
    """Return an image as rows: decoded whole, or by blocks where it is large and can be.

    Parameters
    ----------
    image : path, bytes, file object, PIL image or array_like with shape, dtype and slicing
        Of a format in `signatures`; or uint8 arrays, memory maps, Zarr arrays, HDF5 datasets.
    reading : ReadOptions
        How files are read.
    large_pixels : int, optional
        Memory maps and other arrays on storage, and TIFF where tifffile is installed, are read by
        blocks if they have more pixels. `rows.LARGE_PIXELS` by default.

    Returns
    -------
    Source
        With the whole image as its `array` unless it is read by blocks. Alpha that is opaque
        everywhere is dropped from `array`, and kept in blocks, which cannot know it beforehand.

    Raises
    ------
    OSError, ValueError, TypeError
        As `read_image`.
    """
    if reading.frame is not None:
        return _open_frame(read_once(image), reading.frame, reading)
    return _open_picture(image, reading, large_pixels)


def _open_picture(image: Any, reading: ReadOptions, large_pixels: int | None = None) -> Source:
    """Return an image that is no animation, or of a format whose first frame alone is read."""
    if isinstance(image, (str, os.PathLike)):
        path = os.fspath(image)
        source = open_tiff(path, reading, large_pixels=large_pixels)
        if source is None:
            with open_file(path) as file:
                n_bytes = file.seek(0, os.SEEK_END)  # also of a pipe that was read whole
                file.seek(0)
                refuse_animation(file, path)
                decoded = decode_file(file, path, reading)
            source = hold(decoded.array, path, n_bytes, decoded.attached, path, is_file=True)
        return source
    if isinstance(image, RowArray) and reading.page is not None:
        raise ValueError(f"page is {reading.page!r}, and image is an array; a TIFF has pages")
    if isinstance(image, np.ndarray) and not isinstance(image, np.memmap):
        return hold(check_array(image), f"{type(image).__name__} {image.shape}", image.nbytes)
    if isinstance(image, RowArray):
        rows = open_array(image)
        if is_large(rows.shape, large_pixels):
            return rows
        return hold(check_array(read_whole(rows)), rows.name, rows.n_bytes)
    data = read_bytes(image)
    return _hold_decoded(image, reading) if data is None else _hold_file(data, reading)


def _hold_decoded(image: Any, reading: ReadOptions) -> Source:
    """Return an image that Pillow has opened, or that is nothing of what is allowed."""
    if is_animated_pillow_image(image):
        raise too_many_frames(type(image).__name__, getattr(image, "n_frames", 2))
    check_first_frame(image, type(image).__name__, reading)
    decoded = read_image(image, reading)
    name = f"{type(image).__name__} {decoded.array.shape}"
    return hold(decoded.array, name, attached=decoded.attached)


def _hold_file(data: bytes, reading: ReadOptions) -> Source:
    refuse_animation(io.BytesIO(data), "<bytes>")
    decoded = read_image(data, reading)
    return hold(decoded.array, "<bytes>", len(data), decoded.attached, is_file=True)


def read_once(image: Any) -> Any:
    """Return what a file object holds, which can be read once only; anything else as it is."""
    if isinstance(image, RowArray) or not hasattr(image, "read"):
        return image
    data = read_bytes(image)
    return image if data is None else data


def _open_frame(image: Any, number: int, reading: ReadOptions) -> Source:
    """Return a frame of an animation, or of a still, the only one."""
    animation = None if isinstance(image, RowArray) else open_animation(image, reading)
    if animation is None:
        if number > 0:
            raise ValueError(f"frame is {number}, and the image is no animation; 0 is allowed")
        return _open_picture(image, reading)
    origin = animation.origin
    array = check_array(choose_frame(animation, number))
    attached, path = origin.attached, origin.path
    return hold(array, origin.name, origin.n_bytes, attached, path, is_file=origin.is_file)


def flatten_source(source: Source, background: UInt8Array) -> Source:
    """Return an image with its alpha laid over a background (3,) uint8."""
    if source.n_channels not in (2, 4):
        return source
    if source.array is not None:
        array = flatten(source.array, background)
        return _hold_instead(source, array)

    def read() -> Iterator[Array]:
        return (flatten(block, background) for block in source)

    n_channels = flatten(np.zeros((1, 1, source.n_channels), np.uint8), background).shape[2:]
    return replace(source, shape=source.shape[:2] + n_channels, read=read)


def smooth_paper(source: Source) -> Source:
    """Return a scan whose paper, found in a pass of its own, has one color; any other as it is."""
    paper = find_paper(histogram_of_blocks(source, source.shape))
    if paper is None:
        return source
    if source.array is not None:
        return _hold_instead(source, paper.smooth(source.array))

    def read() -> Iterator[Array]:
        return (paper.smooth(block) for block in source)

    return replace(source, read=read)


def bleed_source(source: Source) -> Source:
    """Return an image with colors under its alpha of 0; it is read whole for that."""
    if source.n_channels not in (2, 4):
        return source
    array = read_whole(source) if source.array is None else source.array
    return _hold_instead(source, bleed(array))


def _hold_instead(source: Source, array: UInt8Array) -> Source:
    name, n_bytes, attached = source.name, source.n_bytes, source.attached
    return hold(array, name, n_bytes, attached, source.path, is_file=source.is_file)


def convert_palette(palette: UInt8Array, source: Source | Animation) -> UInt8Array:
    """Return colors of sRGB, (K, 3) or (K, 4), as values of an image: of its profile, if any.

    Raises
    ------
    ValueError
        What it says of its colors cannot be used.
    """
    try:
        return from_srgb(palette, source.attached.make_profile())
    except PixelsNotAllowedError as error:
        raise ImageReadError(f"{source.name}: {error}") from error


def read_whole(source: Source) -> UInt8Array:
    """Return an image that is small enough for it, with its alpha."""
    return cast("UInt8Array", np.concatenate(list(source)))
