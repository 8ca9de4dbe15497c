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

from fastkq.files.attached import NOTHING, Attached, exif_of_webp
from fastkq.files.errors import PixelsNotAllowedError
from fastkq.files.mark import EXIF, SOFTWARE
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
MAX_BIT_DEPTH = 8
NO_PLACE = "metadata is 'keep', and a gif has no place for it; png and webp are allowed"
OXIPNG = "oxipng"  # a value of `optimize`, and a module


@dataclass(frozen=True)
class Output:
    """How a file is written.

    Attributes
    ----------
    format : one of `FORMATS`
    optimize : bool or "oxipng"
    bit_depth : 8 or None
        Of an index in a PNG. None: as few as number the palette.
    """

    format: str = PNG
    optimize: bool | str = False
    bit_depth: int | None = None

    def __post_init__(self) -> None:
        check_format(self.format)
        check_optimize(self.optimize)
        if self.bit_depth is not None and self.bit_depth != MAX_BIT_DEPTH:
            raise ValueError(
                f"bit_depth is {self.bit_depth!r}; {MAX_BIT_DEPTH}, or None for as few as number "
                "the palette, is allowed"
            )
        if self.bit_depth is not None and self.format != PNG:
            raise ValueError(
                f"bit_depth is {self.bit_depth}, and format is {self.format!r}; only a png has one"
            )

    def describe(self) -> list[str]:
        """Return what differs from the defaults, for the settings of a run."""
        parts = []
        if self.optimize:
            parts.append(OXIPNG if self.optimize == OXIPNG else "optimize")
        if self.format != PNG:
            parts.append(self.format)
        if self.bit_depth is not None:
            parts.append(f"{self.bit_depth} bits")
        return parts


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


def check_attached(attached: Attached, name: str) -> None:
    """Raise ValueError if a format cannot hold what comes with an image."""
    if name == GIF and (attached.exif is not None or attached.xmp is not None):
        raise ValueError(NO_PLACE)
    if name != PNG:
        _profile_of(attached)


def _profile_of(attached: Attached) -> bytes | None:
    """Return what says how the colors are meant, for a format that has profiles alone."""
    try:
        return attached.make_profile()
    except PixelsNotAllowedError as error:
        raise ValueError(f"the image {error}") from error


def encode(
    labels: UInt8Array,
    palette: UInt8Array,
    name: str = PNG,
    *,
    attached: Attached = NOTHING,
    optimize: bool | str = False,
    n_kept: int | None = None,
    bit_depth: int | None = None,
) -> bytes:
    """Return the file of an image.

    Only PNG can be written row by row (`png.write_indexed_png`). A WebP takes 5 bytes a pixel over
    the labels while it is encoded, and what libwebp takes; a GIF 2.

    Parameters
    ----------
    labels : (H, W) uint8
    palette : (K, 3) or (K, 4) uint8
    name : one of `FORMATS`
    attached : Attached
        What comes with the image. A GIF has no place for any of it: its colors are converted to
        sRGB. A WebP has no chunks for colors, which become a profile, and a density in EXIF.
    optimize : bool or "oxipng"
        Whether to take several times as long for a smaller file, or with oxipng, a PNG's dozens of
        times; a GIF stays as it is.
    n_kept : int, optional
        See `png.encode_indexed_png`. With 0, and without a profile, a PNG of grays is written
        without a palette where that is no larger.
    bit_depth : 8 or None
        Of an index in a PNG.

    Raises
    ------
    ValueError
        A GIF is asked for, and the palette has translucent entries; or the format cannot hold what
        comes with the image.
    """
    check_attached(attached, name)
    if name == WEBP:
        return _encode_webp(labels, palette, attached, optimize)
    if name == GIF:
        from fastkq.files.gif import encode_gif
        from fastkq.files.profiles import palette_to_srgb

        return encode_gif(labels, palette_to_srgb(palette, _profile_of(attached)))
    from fastkq.files.gray import encode_gray_png
    from fastkq.files.png import LARGE_PIXELS, encode_indexed_png, squeeze

    data = encode_indexed_png(
        labels,
        palette,
        attached=attached,
        optimize=bool(optimize),
        n_kept=n_kept,
        bit_depth=bit_depth,
    )
    # Of large images, at most 0.8 kB are not worth the time, and a profile is one of RGB.
    is_worth_it = bool(optimize) or labels.size < LARGE_PIXELS
    if n_kept == 0 and attached.icc_profile is None and is_worth_it:
        gray = encode_gray_png(
            labels, palette, attached=attached, optimize=bool(optimize), bit_depth=bit_depth
        )
        data = gray if gray is not None and len(gray) <= len(data) else data
    return squeeze(data, may_reorder=n_kept == 0) if optimize == OXIPNG else data


def webp_parts(attached: Attached) -> tuple[bytes | None, bytes, bytes | None]:
    """Return the profile, EXIF and XMP of a WebP; its EXIF names what wrote it in any case."""
    exif = EXIF
    if attached.exif is not None or attached.density is not None:
        exif = exif_of_webp(attached, SOFTWARE)
    return _profile_of(attached), exif, attached.xmp


def _encode_webp(
    labels: UInt8Array, palette: UInt8Array, attached: Attached, optimize: bool | str
) -> bytes:
    from PIL import Image

    options: dict[str, Any] = WEBP_BEST_EFFORT if optimize else WEBP_EFFORT
    profile, exif, xmp = webp_parts(attached)
    if profile is not None:
        options = options | {"icc_profile": profile}
    if xmp is not None:
        options = options | {"xmp": xmp}
    buffer = io.BytesIO()
    height, width = labels.shape
    image = Image.frombytes("P", (width, height), labels.tobytes())
    mode = "RGB" if palette.shape[1] == 3 else "RGBA"
    image.putpalette(palette.tobytes(), mode)
    image = image.convert(mode)
    # exact: the color under an alpha of 0 stays (0, 0, 0), as in the palette.
    image.save(buffer, "WEBP", lossless=True, exact=True, exif=exif, **options)
    return buffer.getvalue()
