"""Colors from one profile to another, by LittleCMS (Pillow's ImageCms).

Always colorimetric, with black mapped to black, as browsers do.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

from fastkq import kernels
from fastkq.files.attached import Attached
from fastkq.files.errors import PixelsNotAllowedError, reason
from fastkq.files.reading import KEEP, STRIP
from fastkq.types import MAX_LEVEL, UInt8Array

RGB, GRAY, CMYK, LAB = "RGB ", "GRAY", "CMYK", "Lab "  # as a profile's header names them
MODES = {RGB: "RGB", GRAY: "L", CMYK: "CMYK", LAB: "LAB"}
# LittleCMS interpolates between some colors of what is no RGB: of inks, between more of them; Lab
# is converted in full, at ten times the time.
PRECISION = {CMYK: "HIGHRESPRECALC", LAB: "NOOPTIMIZE"}
SPACE_PLACE = slice(16, 20)
BLOCK_PIXELS = 1 << 20
# What differs from sRGB by no more, at 9 levels a channel, is sRGB: so do its many profiles.
SAME_LEVELS, GRID = 1, 9

# Gray (H, W) or with alpha, RGB or with alpha, to the same of sRGB.
Convert = Callable[[UInt8Array], UInt8Array]


def space_of(profile: bytes | None) -> str | None:
    """Return the color model of a profile's values, as its header has it."""
    return None if profile is None else profile[SPACE_PLACE].decode("latin-1")


@cache
def is_srgb(profile: bytes) -> bool:
    """Return whether a profile of RGB means sRGB, or as good as that."""
    levels = np.linspace(0, MAX_LEVEL, GRID).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    shown = _apply(_transform(profile, RGB), grid, "RGB")
    return int(np.abs(shown.astype(int) - grid).max()) <= SAME_LEVELS


def to_srgb(profile: bytes) -> Convert:
    """Return what converts (..., C) colors of a profile to sRGB, in blocks on all threads.

    Gray (H, W) stays gray, and alpha (H, W, 2) or (H, W, 4) as it is. CMYK (H, W, 4), 0 without
    ink, and Lab (H, W, 3) become RGB.

    Raises
    ------
    PixelsNotAllowedError
        The profile is damaged.
    """
    space = space_of(profile) or ""
    transform = _transform(profile, space)
    if space == GRAY:
        ramp = np.arange(MAX_LEVEL + 1, dtype=np.uint8)[None]
        return _by_table(_apply(transform, ramp, "L")[0, :, 1])
    if space == CMYK:
        return lambda array: _apply(transform, array, "CMYK")
    return _with_alpha(lambda array: _apply(transform, array, "RGB"))


def gray_to_srgb(profile: bytes) -> Convert:
    """Return what converts gray, alike in R, G and B of a profile, to gray of sRGB."""
    ramp = np.repeat(np.arange(MAX_LEVEL + 1, dtype=np.uint8)[None, :, None], 3, axis=2)
    return _by_table(to_srgb(profile)(ramp)[0, :, 1])


def from_srgb(palette: UInt8Array, profile: bytes | None) -> UInt8Array:
    """Return colors (K, 3) or (K, 4) of sRGB as values of an RGB profile; without one, as they are.

    Raises
    ------
    PixelsNotAllowedError
        The profile is damaged.
    """
    if profile is None or is_srgb(profile):
        return palette
    transform = _transform(profile, RGB, inverse=True)
    convert = _with_alpha(lambda array: _apply(transform, array, "RGB"))
    converted: UInt8Array = convert(palette[None])[0]
    return converted


def palette_to_srgb(palette: UInt8Array, profile: bytes | None) -> UInt8Array:
    """Return colors (K, 3) or (K, 4) of an RGB profile as sRGB; without one, as they are."""
    if profile is None or is_srgb(profile):
        return palette
    converted: UInt8Array = to_srgb(profile)(palette[None])[0]
    return converted


def lab_to_srgb(array: UInt8Array) -> UInt8Array:
    """Return Lab (H, W, 3), with an a and b that are bytes with a sign, as RGB."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return _apply(_transform(profile.tobytes(), LAB), array, "LAB")


def plan_conversion(
    attached: Attached, shape: tuple[int, ...], icc: str
) -> tuple[Convert | None, Attached]:
    """Return how an image's values become what `ReadOptions.icc` wants, and what then comes along.

    Parameters
    ----------
    attached : Attached
        With a profile of gray or RGB, as the image is.
    shape : tuple of int
        (H, W) or (H, W, 2) for gray, (H, W, 3) or (H, W, 4) for RGB.
    icc : {"keep", "srgb", "strip"}

    Returns
    -------
    convert : callable, or None where the values stay
    attached : Attached
    """
    if icc == STRIP:
        return None, attached.without_colors()
    profile = attached.icc_profile
    if space_of(profile) == GRAY and profile is not None:
        # An indexed file has RGB, which a profile of gray says nothing of.
        return to_srgb(profile), attached.in_srgb()
    if icc == KEEP:
        return None, attached
    profile = attached.make_profile()
    if profile is None and not attached.color_chunks:
        return None, attached
    if profile is None or is_srgb(profile):
        return None, attached.in_srgb()
    is_gray = len(shape) == 2 or shape[2] == 2
    return gray_to_srgb(profile) if is_gray else to_srgb(profile), attached.in_srgb()


def _by_table(table: UInt8Array) -> Convert:
    def convert(array: UInt8Array) -> UInt8Array:
        if array.ndim == 2:
            return np.take(table, array)
        return np.dstack([np.take(table, array[..., :-1]), array[..., -1:]])

    return convert


def _with_alpha(convert: Convert) -> Convert:
    """Return a conversion of colors that leaves alpha (H, W, 4) as it is."""

    def convert_colors(array: UInt8Array) -> UInt8Array:
        colors = convert(array[..., :3])
        return colors if array.shape[2] == 3 else np.dstack([colors, array[..., 3:]])

    return convert_colors


def _transform(profile: bytes, space: str, *, inverse: bool = False) -> Any:
    """Return LittleCMS's transform from a profile to sRGB, or back."""
    from PIL import ImageCms

    try:
        if space not in MODES or space_of(profile) != space:
            raise ValueError(f"it is of {space_of(profile)!r}")
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        ends = [(ImageCms.ImageCmsProfile(io.BytesIO(profile)), MODES[space]), (srgb, "RGB")]
        (source, mode), (target, target_mode) = ends[::-1] if inverse else ends
        return ImageCms.buildTransform(
            source,
            target,
            mode,
            target_mode,
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags[PRECISION.get(space, "NONE")],
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise PixelsNotAllowedError(
            f"has a color profile that cannot be used ({reason(error)}); icc='strip' leaves it out"
        ) from error


def _apply(transform: Any, array: UInt8Array, mode: str) -> UInt8Array:
    """Return what becomes of pixels (H, W) or (H, W, C); the transform lets threads run."""
    from PIL import Image

    height, width = array.shape[:2]
    result = np.empty((height, width, 3), np.uint8)

    def convert(rows: slice) -> None:
        block = np.ascontiguousarray(array[rows])
        image = Image.frombuffer(mode, (width, len(block)), block, "raw", mode, 0, 1)
        result[rows] = np.asarray(transform.apply(image))

    with ThreadPoolExecutor(kernels.threads.n_threads()) as pool:
        list(pool.map(convert, _blocks(height, width)))
    return result


def _blocks(height: int, width: int) -> Iterator[slice]:
    n_rows = max(1, BLOCK_PIXELS // width)
    return (slice(start, start + n_rows) for start in range(0, height, n_rows))
