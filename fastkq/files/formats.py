"""The formats that an image of few colors is written in: PNG, lossless WebP and GIF.

PNG and GIF are this package's own, WebP is Pillow's, which stores colors instead of indices and
finds palettes of its own: mostly the smallest of the three, and the slowest to write. GIF is the
largest, and what some programs want.
"""

from __future__ import annotations

import importlib.util
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastkq.files.mark import EXIF
from fastkq.types import UInt8Array

PNG, WEBP, GIF = FORMATS = ("png", "webp", "gif")
SUFFIXES = {f".{name}": name for name in FORMATS}
ALLOWED_SUFFIXES = ".png, .webp and .gif"
# Sides in pixels, as the fields of the formats have it.
MAX_SIDES = {PNG: (1 << 31) - 1, WEBP: (1 << 14) - 1, GIF: (1 << 16) - 1}
# Pillow's quality, which is effort where nothing is lost, and method. 100 and 6 would take off
# another 0.3 to 6 %, in 20 to 50 times the time.
WEBP_EFFORT = {"quality": 75, "method": 3}
WEBP_BEST_EFFORT = {"quality": 100, "method": 4}
OXIPNG = "oxipng"  # a value of `optimize`, and a module


@dataclass(frozen=True)
class Output:
    """How a file is written.

    Attributes
    ----------
    format : one of `FORMATS`
    optimize : bool or "oxipng"
    """

    format: str = PNG
    optimize: bool | str = False

    def __post_init__(self) -> None:
        check_format(self.format)
        check_optimize(self.optimize)


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the format that a path's suffix asks for.

    Examples
    --------
    >>> format_of("photo.WebP")
    'webp'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: the target's suffix is {suffix!r}; allowed: {ALLOWED_SUFFIXES}")
    return SUFFIXES[suffix]


def check_format(name: str) -> str:
    """Return the name of a format, if there is such."""
    if name not in FORMATS:
        raise ValueError(f"format is {name!r}; one of {FORMATS} is allowed")
    return name


def check_optimize(optimize: object) -> None:
    """Raise TypeError or ValueError for what `optimize` may not be, here."""
    if isinstance(optimize, bool):
        return
    if optimize != OXIPNG:
        raise TypeError(f"optimize is {optimize!r}; True, False or {OXIPNG!r} is allowed")
    if importlib.util.find_spec(OXIPNG) is None:
        raise ValueError(
            f'optimize is {OXIPNG!r}, which is not installed: pip install "fastkq[{OXIPNG}]"'
        )


def check_shape(shape: tuple[int, ...], name: str) -> None:
    """Raise ValueError if a format cannot hold an image (H, W, ...)."""
    height, width = shape[:2]
    if max(height, width) > MAX_SIDES[name]:
        raise ValueError(
            f"image has {width} x {height} pixels; a {name} has sides of up to {MAX_SIDES[name]}"
        )


def encode(
    labels: UInt8Array,
    palette: UInt8Array,
    name: str = PNG,
    *,
    icc_profile: bytes | None = None,
    optimize: bool | str = False,
    n_kept: int | None = None,
) -> bytes:
    """Return the file of an image.

    Only PNG can be written row by row (`png.write_indexed_png`). A WebP takes 5 bytes a pixel over
    the labels while it is encoded, and what libwebp takes; a GIF 2.

    Parameters
    ----------
    labels : (H, W) uint8
    palette : (K, 3) or (K, 4) uint8
    name : one of `FORMATS`
    icc_profile : bytes, optional
        GIF has no place for it.
    optimize : bool or "oxipng"
        Whether to take several times as long for a smaller file, or with oxipng, a PNG's dozens of
        times; a GIF stays as it is.
    n_kept : int, optional
        See `png.encode_indexed_png`. With 0, and without a profile, a PNG of grays is written
        without a palette where that is no larger.

    Raises
    ------
    ValueError
        A GIF is asked for, and the palette has translucent entries.
    """
    if name == WEBP:
        return _encode_webp(labels, palette, icc_profile, optimize)
    if name == GIF:
        from fastkq.files.gif import encode_gif

        return encode_gif(labels, palette)
    from fastkq.files.gray import encode_gray_png
    from fastkq.files.png import LARGE_PIXELS, encode_indexed_png, squeeze

    data = encode_indexed_png(
        labels, palette, icc_profile=icc_profile, optimize=bool(optimize), n_kept=n_kept
    )
    # Of large images, at most 0.8 kB are not worth the time, and a profile is one of RGB.
    is_worth_it = bool(optimize) or labels.size < LARGE_PIXELS
    if n_kept == 0 and icc_profile is None and is_worth_it:
        gray = encode_gray_png(labels, palette, optimize=bool(optimize))
        data = gray if gray is not None and len(gray) <= len(data) else data
    return squeeze(data, may_reorder=n_kept == 0) if optimize == OXIPNG else data


def _encode_webp(
    labels: UInt8Array, palette: UInt8Array, icc_profile: bytes | None, optimize: bool | str
) -> bytes:
    from PIL import Image

    options: dict[str, Any] = WEBP_BEST_EFFORT if optimize else WEBP_EFFORT
    if icc_profile is not None:
        options = options | {"icc_profile": icc_profile}
    buffer = io.BytesIO()
    height, width = labels.shape
    image = Image.frombytes("P", (width, height), labels.tobytes())
    mode = "RGB" if palette.shape[1] == 3 else "RGBA"
    image.putpalette(palette.tobytes(), mode)
    image = image.convert(mode)
    # exact: the color under an alpha of 0 stays (0, 0, 0), as in the palette.
    image.save(buffer, "WEBP", lossless=True, exact=True, exif=EXIF, **options)
    return buffer.getvalue()
