"""Pictures of every format, mode and depth, with what reading each must give.

`tests/test_every_format.py` checks each row, and `scripts/render_formats.py` writes the table of
`docs/formats.md` from them.
"""

import importlib.util
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import profile_files
import slow_png
import tifffile
from PIL import Image, features

from fastkq.files import mark
from fastkq.files.icc import PRIMARIES, SRGB_CURVE, ColorNumbers

HEIGHT, WIDTH = 16, 23  # odd, so that rows of few bits end within a byte
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
# Few colors, so that 256 of them lose nothing: what comes out is exactly what was read.
RGB = np.dstack([ROWS // 4 * 80, COLUMNS // 4 * 48, (ROWS + COLUMNS) // 10 * 70]).astype(np.uint8)
GRAY = (COLUMNS // 2 * 21 + ROWS // 8 * 9).astype(np.uint8)
ALPHA = np.where(ROWS < 4, 0, np.where(COLUMNS < 9, 100, 255)).astype(np.uint8)
P3 = ColorNumbers(PRIMARIES[12], SRGB_CURVE).to_profile()
ADOBE_RGB = ColorNumbers(
    ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290)), (563 / 256,)
).to_profile()
PLAIN_EXIF = mark.EXIF  # that each WebP has
SAMPLES = Path(__file__).parent / "images" / "formats"
PNG_SIGNATURE_AND_HEADER = 33


@dataclass(frozen=True, eq=False)
class Row:
    """A picture that comes in.

    `expected` (H, W) or (H, W, C) is what an image of its values, or of sRGB where `converted`,
    must be; `near` is by how many levels it may differ, and `places` which rows and columns count.
    `error` is a part of the message of what is
    refused. `needs` names a library that reads the format, if Pillow alone need not.
    """

    section: str
    name: str
    happens: str
    make: Callable[[], bytes]
    expected: Any = None
    near: int = 0
    places: slice = field(default_factory=lambda: slice(None))
    error: str = ""
    needs: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_readable(self) -> bool:
        """Whether what it needs is installed."""
        if self.needs == "avif":
            return features.check("avif")
        return not self.needs or importlib.util.find_spec(self.needs) is not None


ALL: list[Row] = []


def add(section, name, happens, make, expected=None, **options):
    """Add a row."""
    ALL.append(Row(section, name, happens, make, expected, **options))


def encoded(array, kind, mode=None, **options):
    """Return what makes Pillow write an array."""

    def make():
        image = array if isinstance(array, Image.Image) else Image.fromarray(array)
        image = image if mode is None else image.convert(mode)
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return make


def decoded(make, mode):
    """Return what Pillow reads, as a mode."""
    with Image.open(io.BytesIO(make())) as image:
        return np.asarray(image.convert(mode))


def tiff(array, **options):
    """Return what makes tifffile write an array."""

    def make():
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array, **options)
        return buffer.getvalue()

    return make


def png(levels, depth, color_type, **options):
    """Return what writes a PNG of levels."""
    return lambda: slow_png.write_png(np.atleast_3d(levels), depth, color_type, **options)


def with_chunks(make, *chunks):
    """Return what puts chunks behind the header of a PNG."""

    def make_with():
        data = make()
        inside = b"".join(slow_png.chunk(kind, body) for kind, body in chunks)
        return data[:PNG_SIGNATURE_AND_HEADER] + inside + data[PNG_SIGNATURE_AND_HEADER:]

    return make_with


def rounded(levels, depth):
    """Levels of some bits as the nearest of 8 bits."""
    top = (1 << depth) - 1
    return ((levels.astype(int) * 510 + top) // (2 * top)).astype(np.uint8)


def indexed(indices, palette, alphas=None, depth=8):
    """Return what writes an indexed PNG with its palette as it is."""
    chunks = [(b"PLTE", np.asarray(palette, np.uint8).tobytes())]
    if alphas is not None:
        chunks.append((b"tRNS", bytes(alphas)))
    return with_chunks(png(indices, depth, 3), *chunks)


def looked_up(indices, palette, alphas=None):
    """The image of indices."""
    colors = np.asarray(palette, np.uint8)
    if alphas is None:
        return colors[indices]
    full = np.full(len(colors), 255, np.uint8)
    full[: len(alphas)] = alphas
    return np.dstack([colors[indices], full[indices]])


def bits(depth):
    """A gray picture of so many bits."""
    return (COLUMNS + ROWS // 4) % (1 << depth)


def _add_png():
    for depth in (1, 2, 4, 8):
        name = f"gray, {depth} bit{'s' * (depth > 1)}"
        add("PNG", name, "read as it is", png(bits(depth), depth, 0), rounded(bits(depth), depth))
    deep = (ROWS * 3001 + COLUMNS * 127).astype(int)
    add("PNG", "gray, 16 bits", "rounded to 8", png(deep, 16, 0), rounded(deep, 16))
    for depth in (1, 2, 4, 8, 16):
        levels = deep if depth == 16 else bits(depth)
        key = int(levels[0, 1])
        expected = np.dstack([rounded(levels, depth), np.where(levels == key, 0, 255)])
        name = f"gray, {depth} bit{'s' * (depth > 1)}, one level transparent (tRNS)"
        add(
            "PNG", name, "that level gets an alpha of 0", png(levels, depth, 0, key=[key]), expected
        )
    add(
        "PNG",
        "gray + alpha",
        "read as it is",
        png(np.dstack([GRAY, ALPHA]), 8, 4),
        np.dstack([GRAY, ALPHA]),
    )
    both = np.dstack([deep, ALPHA.astype(int) * 257])
    add("PNG", "gray + alpha, 16 bits", "rounded to 8", png(both, 16, 4), rounded(both, 16))
    colors = [[9, 9, 9], [250, 0, 0], [0, 90, 250], [250, 0, 0], [1, 2, 3], *[[77, 8, 9]] * 11]
    for depth in (1, 2, 4, 8):
        indices = bits(min(depth, 4))
        palette = colors[: 1 << depth]
        add(
            "PNG",
            f"indexed, {depth} bit{'s' * (depth > 1)}",
            "looked up; the palette is fitted anew",
            indexed(indices, palette, depth=depth),
            looked_up(indices, palette),
        )
    indices = bits(4)
    add(
        "PNG",
        "indexed, alphas (tRNS)",
        "colors with their alpha",
        indexed(indices, colors, [0, 128, 255, 7]),
        looked_up(indices, colors, [0, 128, 255, 7]),
    )
    add(
        "PNG",
        "indexed, colors twice, several transparent",
        "equal colors become one, what is transparent one entry",
        indexed(indices, colors, [255, 0, 0, 255, 0]),
        looked_up(indices, colors, [255, 0, 0, 255, 0]),
    )
    add("PNG", "RGB", "read as it is", png(RGB, 8, 2), RGB)
    add("PNG", "RGBA", "read as it is", png(np.dstack([RGB, ALPHA]), 8, 6), np.dstack([RGB, ALPHA]))
    add(
        "PNG",
        "RGBA, opaque everywhere",
        "the alpha is dropped",
        png(np.dstack([RGB, ALPHA * 0 + 255]), 8, 6),
        RGB,
    )
    wide = RGB.astype(int) * 257 + 100
    add(
        "PNG",
        "RGB, 16 bits",
        "rounded to 8",
        png(wide.clip(0, 65535), 16, 2),
        rounded(wide.clip(0, 65535), 16),
    )
    rgba = np.dstack([wide.clip(0, 65535), ALPHA.astype(int) * 257])
    add("PNG", "RGBA, 16 bits", "rounded to 8", png(rgba, 16, 6), rounded(rgba, 16))
    for depth in (8, 16):
        levels = RGB.astype(int) if depth == 8 else wide.clip(0, 65535)
        key = [int(level) for level in levels[0, 0]]
        is_key = (levels == key).all(axis=2)
        expected = np.dstack([rounded(levels, depth), np.where(is_key, 0, 255)])
        add(
            "PNG",
            f"RGB, {depth} bits, one color transparent (tRNS)",
            "that color gets an alpha of 0",
            png(levels, depth, 2, key=key),
            expected,
        )
    add(
        "PNG",
        "interlaced (Adam7), gray of 4 bits",
        "read as it is",
        png(bits(4), 4, 0, interlaced=True),
        rounded(bits(4), 4),
    )
    add(
        "PNG",
        "interlaced (Adam7), RGBA",
        "read as it is",
        png(np.dstack([RGB, ALPHA]), 8, 6, interlaced=True),
        np.dstack([RGB, ALPHA]),
    )


def _add_jpeg():
    for name, options in (
        ("RGB", {}),
        ("RGB, progressive", {"progressive": True}),
        ("RGB, 4:4:4", {"subsampling": 0}),
    ):
        make = encoded(RGB, "JPEG", quality=90, **options)
        add("JPEG", name, "read as it is", make, decoded(make, "RGB"), near=8)
    make = encoded(GRAY, "JPEG", quality=90)
    add("JPEG", "gray", "read as it is", make, decoded(make, "L"))
    sample = (SAMPLES / "arithmetic.jpg").read_bytes
    add("JPEG", "RGB, arithmetic coding", "read as it is", sample, decoded(sample, "RGB"), near=8)
    ink = Image.fromarray(profile_files.INKS, "CMYK")
    add(
        "JPEG",
        "CMYK, without a profile",
        "by a formula: R is (255 - C) (255 - K) / 255, and so on",
        encoded(ink, "JPEG", quality=100),
        profile_files.inks_by_formula(),
        near=4,
    )
    add(
        "JPEG",
        "CMYK, with its profile",
        "converted to sRGB through the profile",
        encoded(ink, "JPEG", quality=100, icc_profile=profile_files.cmyk_profile()),
        profile_files.inks_by_profile(),
        near=6,
    )
    # Its chroma is halved: only the middles of blocks are exact.
    ycck, middles = profile_files.ycck_jpeg, slice(4, None, 8)
    add(
        "JPEG",
        "YCCK, without a profile",
        "by the same formula",
        ycck,
        profile_files.inks_by_formula(),
        near=6,
        places=middles,
    )
    add(
        "JPEG",
        "YCCK, with its profile",
        "converted to sRGB through the profile",
        lambda: profile_files.with_jpeg_profile(ycck(), profile_files.cmyk_profile()),
        profile_files.inks_by_profile(),
        near=8,
        places=middles,
    )


def _add_tiff():
    section = "TIFF"
    add(
        section,
        "1 bit",
        "read as it is",
        tiff(bits(1).astype(bool), photometric="minisblack"),
        bits(1).astype(np.uint8) * 255,
    )
    fax = encoded(Image.fromarray(bits(1).astype(bool)), "TIFF", compression="group4")
    add(
        section, "1 bit, fax compression (G4)", "read as it is", fax, bits(1).astype(np.uint8) * 255
    )
    add(section, "gray", "read as it is", tiff(GRAY, photometric="minisblack"), GRAY)
    add(
        section,
        "gray, 0 is white",
        "turned around",
        tiff(GRAY, photometric="miniswhite"),
        255 - GRAY,
    )
    deep = (ROWS * 3001 + COLUMNS * 127).astype(np.uint16)
    add(
        section,
        "gray, 16 bits",
        "rounded to 8",
        tiff(deep, photometric="minisblack"),
        rounded(deep, 16),
    )
    for name, options in (
        ("RGB, LZW", {"compression": "lzw"}),
        ("RGB, tiles", {"tile": (16, 16)}),
        ("RGB, deflate", {"compression": "zlib"}),
    ):
        add(section, name, "read as it is", tiff(RGB, photometric="rgb", **options), RGB)
    add(
        section,
        "RGB, channels in planes",
        "read as it is",
        tiff(np.moveaxis(RGB, 2, 0), photometric="rgb", planarconfig="separate"),
        RGB,
    )
    wide = np.minimum(RGB.astype(int) * 257 + 100, 65535).astype(np.uint16)
    add(section, "RGB, 16 bits", "rounded to 8", tiff(wide, photometric="rgb"), rounded(wide, 16))
    add(
        section,
        "RGB, 16 bits in planes",
        "refused",
        tiff(np.moveaxis(wide, 2, 0), photometric="rgb", planarconfig="separate"),
        error="has 16 bits a channel in separate planes; channels in one plane are allowed",
    )
    rgba = np.dstack([RGB, ALPHA])
    add(
        section,
        "RGBA",
        "read as it is",
        tiff(rgba, photometric="rgb", extrasamples=["unassalpha"]),
        rgba,
    )
    image = Image.fromarray(RGB).quantize(40)
    add(section, "indexed", "looked up", encoded(image, "TIFF"), np.asarray(image.convert("RGB")))
    ink = profile_files.INKS
    add(
        section,
        "CMYK, without a profile",
        "by the formula of JPEG",
        tiff(ink, photometric="separated"),
        profile_files.inks_by_formula(),
        near=1,
    )
    add(
        section,
        "CMYK, with its profile",
        "converted to sRGB through the profile",
        tiff(ink, photometric="separated", iccprofile=profile_files.cmyk_profile()),
        profile_files.inks_by_profile(),
        near=4,
    )
    lab = profile_files.LAB
    add(
        section,
        "Lab",
        "converted to sRGB",
        encoded(Image.fromarray(lab, "LAB"), "TIFF"),
        profile_files.lab_by_formula(lab),
        near=4,
    )
    inside = tiff(RGB, photometric="rgb", compression="jpeg")
    add(section, "RGB, JPEG inside", "read as it is", inside, decoded(inside, "RGB"), near=8)
    add(
        section,
        "floating-point, 32 bits",
        "refused",
        tiff(deep.astype(np.float32), photometric="minisblack"),
        error="has floating-point pixels of 32 bits a channel; unsigned integers of up to 16 bits",
    )
    add(
        section,
        "signed integers, 32 bits",
        "refused",
        tiff(deep.astype(np.int32), photometric="minisblack"),
        error="has signed integer pixels of 32 bits a channel; unsigned integers of up to 16 bits",
    )
    pages = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    two = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    add(
        section,
        "two pages",
        "refused, since each is an image",
        two,
        error="has 2 pages, each an image; page 1 to 2 is allowed, or in a batch 'all' (--page)",
    )
    add(section, "two pages, `--page 2`", "the second", two, 255 - RGB, options={"page": 2})


def _add_others():
    rgba = np.dstack([RGB, ALPHA])
    add("WebP", "lossless", "read as it is", encoded(RGB, "WEBP", lossless=True), RGB)
    add(
        "WebP",
        "lossless, alpha",
        "read as it is",
        encoded(rgba, "WEBP", lossless=True, exact=True),
        rgba,
    )
    make = encoded(RGB, "WEBP", quality=90)
    add("WebP", "lossy", "read as it is", make, decoded(make, "RGB"), near=8)
    image = Image.fromarray(RGB).quantize(40)
    add("GIF", "still", "looked up", encoded(image, "GIF"), np.asarray(image.convert("RGB")))
    shown = np.dstack([np.asarray(image.convert("RGB")), 255 - 255 * (np.asarray(image) == 5)])
    add(
        "GIF",
        "still, one color transparent",
        "that color gets an alpha of 0",
        encoded(image, "GIF", transparency=5),
        shown.astype(np.uint8),
    )
    add("BMP", "RGB", "read as it is", encoded(RGB, "BMP"), RGB)
    add("BMP", "indexed", "looked up", encoded(image, "BMP"), np.asarray(image.convert("RGB")))
    make = encoded(RGB, "AVIF", quality=90)
    if features.check("avif"):
        add("AVIF", "RGB", "read as it is", make, decoded(make, "RGB"), near=8, needs="avif")
    heic = SAMPLES / "picture.heic"
    add("HEIC", "RGB", "read as it is", heic.read_bytes, RGB, near=80, needs="pillow_heif")
    jxl = SAMPLES / "picture.jxl"
    add("JPEG XL", "RGB, lossless", "read as it is", jxl.read_bytes, RGB, needs="pillow_jxl")
    add(
        "JPEG 2000",
        "RGB, lossless",
        "read as it is",
        encoded(RGB, "JPEG2000", irreversible=False),
        RGB,
    )
    add(
        "JPEG 2000",
        "gray, lossless",
        "read as it is",
        encoded(GRAY, "JPEG2000", irreversible=False),
        GRAY,
    )
    head = f"{WIDTH} {HEIGHT}\n"
    add("PPM", "RGB (P6)", "read as it is", lambda: f"P6 {head}255\n".encode() + RGB.tobytes(), RGB)
    add(
        "PPM",
        "gray (P5)",
        "read as it is",
        lambda: f"P5 {head}255\n".encode() + GRAY.tobytes(),
        GRAY,
    )
    deep = (ROWS * 3001 + COLUMNS * 127).astype(">u2")
    add(
        "PPM",
        "gray (P5), 16 bits",
        "rounded to 8",
        lambda: f"P5 {head}65535\n".encode() + deep.tobytes(),
        rounded(deep, 16),
    )
    add("TGA", "RGB", "read as it is", encoded(RGB, "TGA"), RGB)
    add(
        "TGA",
        "RGBA, run lengths",
        "read as it is",
        encoded(rgba, "TGA", compression="tga_rle"),
        rgba,
    )


def _add_colors():
    plain = png(RGB, 8, 2)
    gamma, primaries = (
        struct.pack(">I", 100000),
        struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000),
    )
    section = "Colors"
    profile = (b"iCCP", b"ICC profile\0\0" + zlib.compress(P3))
    add(section, "Display P3 profile", "comes along", with_chunks(plain, profile), RGB)
    add(
        section,
        "Display P3 profile, `--icc srgb`",
        "converted to sRGB",
        with_chunks(plain, profile),
        profile_files.p3_to_srgb(RGB),
        near=2,
        options={"icc": "srgb"},
    )
    add(
        section,
        "Display P3 profile, `--icc strip`",
        "dropped: the picture looks paler",
        with_chunks(plain, profile),
        RGB,
        options={"icc": "strip"},
    )
    add(
        section,
        "Adobe RGB profile",
        "comes along",
        encoded(RGB, "TIFF", icc_profile=ADOBE_RGB),
        RGB,
    )
    add(
        section,
        "gray with a profile of gray",
        "converted to the gray of sRGB",
        encoded(GRAY, "PNG", icc_profile=profile_files.gray_profile(1.0)),
        profile_files.linear_to_srgb(GRAY),
        near=1,
    )
    add(section, "gAMA of 1.0", "comes along", with_chunks(plain, (b"gAMA", gamma)), RGB)
    add(
        section,
        "gAMA of 1.0, `--icc srgb`",
        "converted to sRGB",
        with_chunks(plain, (b"gAMA", gamma)),
        profile_files.linear_to_srgb(RGB),
        near=1,
        options={"icc": "srgb"},
    )
    add(
        section,
        "cHRM of Display P3 and gAMA",
        "come along",
        with_chunks(plain, (b"gAMA", struct.pack(">I", 45455)), (b"cHRM", primaries)),
        RGB,
    )
    add(section, "sRGB chunk", "comes along", with_chunks(plain, (b"sRGB", b"\0")), RGB)
    add(
        section,
        "cICP of Display P3",
        "comes along",
        with_chunks(plain, (b"cICP", bytes([12, 13, 0, 1]))),
        RGB,
    )
    hdr = with_chunks(plain, (b"cICP", bytes([9, 16, 0, 1])))
    add(section, "cICP of HDR (PQ)", "comes along", hdr, RGB)
    add(
        section,
        "cICP of HDR (PQ), `--icc srgb`",
        "refused",
        hdr,
        error="is an HDR picture (PQ by its cICP chunk), whose colors only a png can keep",
        options={"icc": "srgb"},
    )
    add(section, "density of 300 dpi", "comes along", encoded(RGB, "PNG", dpi=(300, 300)), RGB)
    exif = Image.Exif()
    exif[0x0110] = "A camera"
    exif.get_ifd(0x8825)[1] = "N"
    xmp = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
    source = with_chunks(encoded(RGB, "PNG", exif=exif), xmp)
    add(section, "EXIF with a place, XMP", "left out", source, RGB)
    add(
        section,
        "EXIF with a place, XMP, `--metadata keep`",
        "come along",
        source,
        RGB,
        options={"metadata": "keep"},
    )


def _add_sizes():
    section = "Sizes"
    for height, width in ((1, 1), (1, 300), (300, 1), (2, 65535)):
        array = np.resize(GRAY[0, ::3], (height, width))
        add(section, f"{width} x {height}", "read as it is", png(array, 8, 0), array)
    three = bits(1)[:, :21]
    add(
        section,
        "odd width, few colors, `--bit-depth 8`",
        "8 bits a pixel",
        png(three, 1, 0),
        three.astype(np.uint8) * 255,
        options={"bit_depth": 8},
    )


for _add in (_add_png, _add_jpeg, _add_tiff, _add_others, _add_colors, _add_sizes):
    _add()
