"""Images of any kind to arrays: paths, bytes, file objects, PIL images and arrays."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO, TypeGuard

import numpy as np

from fastkq.colors.pixels import OPAQUE, check_array, has_alpha
from fastkq.files.attached import gather
from fastkq.files.decode import InputImage as InputImage  # noqa: PLC0414 - callers read it here
from fastkq.files.decode import (
    damage,
    decode_file,
    finish,
    fitting,
    get_info,
    is_profiled_cmyk,
    mode_to_read,
    open_file,
    open_image,
    settle,
)
from fastkq.files.errors import ImageReadError, PixelsNotAllowedError
from fastkq.files.pages import check_page
from fastkq.files.reading import DEFAULT, SRGB, ReadOptions, pillow_reads
from fastkq.files.signatures import PNG, check_format, find_format
from fastkq.types import ImageSource, UInt8Array

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage


MANY_PIXELS = 1 << 40


def read_image(source: ImageSource, reading: ReadOptions = DEFAULT) -> InputImage:
    """Read an image, turned as its EXIF orientation says.

    Parameters
    ----------
    source : path, bytes, file object, PIL image or array
        Of an animation, the first image is read. Files of 16 bits a channel are rounded to 8; CMYK
        and other color models are converted to RGB.
    reading : ReadOptions
        How files are read.

    Raises
    ------
    OSError
        A file cannot be opened.
    ImageReadError
        It is not an image of an allowed format, is damaged, has no pixels or more than are allowed.
    ValueError
        An array or PIL image is not allowed.
    TypeError
        The source or its dtype is not allowed.
    """
    if isinstance(source, np.ndarray):
        return InputImage(check_array(source))
    if _is_pillow_image(source):
        return _convert_pillow_image(source, reading)
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        with open_file(path) as file:
            return decode_file(file, path, reading)
    data = read_bytes(source)
    if data is not None:
        return decode_file(io.BytesIO(data), "<bytes>", reading)
    raise TypeError(
        f"image is a {type(source).__name__}; a path, bytes, a binary file object, a PIL image or "
        "a NumPy array is allowed"
    )


def count_pixels(path: str) -> int:
    """Return how many pixels an image file has, by its header; see `count_pixels_of`."""
    try:
        with open_file(path) as file:
            return count_pixels_of(file, path)
    except (OSError, ValueError):
        return 0


def count_pixels_of(file: BinaryIO, name: str) -> int:
    """Return how many pixels the image has that a file begins with, by its header.

    It is 0 for a file that is no image: reading that fails soon enough. Of a file that has more
    than Pillow makes room for, it is any large number.
    """
    from PIL import Image

    try:
        with open_image(file, check_format(file, name)) as image:
            return image.width * image.height
    except Image.DecompressionBombError:
        return MANY_PIXELS
    except Exception:
        # A damaged file makes its decoder raise anything.
        return 0


def is_image(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins as an image of an allowed format does."""
    with open_file(os.fspath(path)) as file:
        return find_format(file, os.fspath(path)) is not None


def read_indexed_palette(path: str | os.PathLike[str]) -> UInt8Array | None:
    """Return the palette (K, 3) of an image file, in its order; None if it is not indexed.

    One with entries that are not opaque is (K, 4). Its colors are converted to sRGB.

    Raises
    ------
    OSError, ValueError
        It is no such file, or damaged.
    """
    name = os.fspath(path)
    with open_file(name) as file:
        kind = check_format(file, name)
        chunks: tuple[tuple[bytes, bytes], ...] = ()
        try:
            if kind == PNG:
                from fastkq.files.checksums import check_png

                chunks = check_png(file.read()).colors
                file.seek(0)
            with open_image(file, kind) as image:
                DEFAULT.check_size(name, *image.size)
                with pillow_reads(image.width * image.height, DEFAULT):
                    image.load()
                if image.mode != "P":
                    return None
                levels, transparency = image.getpalette("RGB"), image.info.get("transparency")
                attached = fitting(image.mode, gather(image, get_info(image), chunks))
        except (MemoryError, ImageReadError):
            raise
        except Exception as error:
            raise damage(name, error) from error
    colors = np.array(levels, np.uint8).reshape(-1, 3)
    try:
        colors = settle(InputImage(colors[None], attached), SRGB).array[0]
    except PixelsNotAllowedError as error:
        raise ImageReadError(f"{name}: {error}") from error
    alphas = np.full(len(colors), OPAQUE, np.uint8)
    if isinstance(transparency, bytes):  # of the first entries
        given = np.frombuffer(transparency, np.uint8)[: len(colors)]
        alphas[: len(given)] = given
    elif transparency is not None and transparency < len(colors):
        alphas[transparency] = 0
    return colors if (alphas == OPAQUE).all() else np.column_stack([colors, alphas])


def read_bytes(source: object) -> bytes | None:
    """Return the bytes of a file object or buffer; None for anything else."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if _is_pillow_image(source) or not hasattr(source, "read"):
        return None
    data = source.read()
    if not isinstance(data, bytes):
        raise TypeError(f"image is a file object that gives {type(data).__name__}; open it binary")
    return data


def _is_pillow_image(source: object) -> TypeGuard[PillowImage]:
    # By name: importing Pillow to compare classes would slow down those who pass arrays.
    return any(
        kind.__module__ == "PIL.Image" and kind.__name__ == "Image" for kind in type(source).__mro__
    )


def _convert_pillow_image(image: PillowImage, reading: ReadOptions) -> InputImage:
    from PIL import ImageOps

    mode, info = image.mode, get_info(image)
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # it was opened from a file, which is damaged
        raise damage("image", error) from error
    try:
        check_page(1, reading.page)
        attached = gather(image, info, metadata=reading.keeps_metadata)
        wanted = mode_to_read(mode, info)
        turned = ImageOps.exif_transpose(image)
        if mode != "LAB" and not is_profiled_cmyk(mode, attached) and wanted is not None:
            turned = turned.convert(wanted)
        return settle(finish(np.asarray(turned), mode, info, attached), reading.icc)
    except PixelsNotAllowedError as error:
        raise ValueError(f"image: {error}") from error


def read_weights(path: str | os.PathLike[str]) -> UInt8Array:
    """Return a gray image file as weights (H, W): black does not count, white counts most.

    Raises
    ------
    OSError, ValueError
        It is no readable image, or has colors or transparent pixels.
    """
    array = read_image(path).array
    if has_alpha(array):
        raise ValueError(f"{path}: has transparent pixels; an opaque gray image is allowed")
    if array.ndim == 3:
        if not (array == array[..., :1]).all():
            raise ValueError(f"{path}: has colors; a gray image is allowed as weights")
        array = array[..., 0]
    return array
