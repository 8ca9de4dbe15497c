"""Which format a file has, by how it begins, and which of Pillow's plugins reads it."""

from __future__ import annotations

import importlib
import os
import struct
from functools import cache
from typing import BinaryIO

from fastkq.files.errors import ImageReadError

PNG, TIFF, JPEG, WEBP, GIF, BMP = "PNG", "TIFF", "JPEG", "WebP", "GIF", "BMP"
AVIF, HEIC, JPEG_XL, JPEG_2000 = "AVIF", "HEIC", "JPEG XL", "JPEG 2000"
PPM, TGA = "PPM", "TGA"
# How each format starts; a dot is any byte. Others that Pillow knows are left out: some run
# programs (EPS), many are never photos, and a list makes the error for a text file say what is
# allowed.
SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"RIFF....WEBP", WEBP),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
    (b"BM", BMP),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"\xff\x0a", JPEG_XL),
    (b"\0\0\0\x0cJXL \r\n\x87\n", JPEG_XL),
    (b"\xff\x4f\xff\x51", JPEG_2000),
    (b"\0\0\0\x0cjP  \r\n\x87\n", JPEG_2000),
    *((f"P{digit}{space}".encode(), PPM) for digit in range(1, 7) for space in " \t\r\n#"),
)
# What a file of boxes says it is compatible with.
BRANDS = {
    AVIF: {b"avif", b"avis"},
    HEIC: {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"},
}
PREINSTALLED = (PNG, TIFF, JPEG, WEBP, GIF, BMP)
MAX_BRANDS_BYTES = 256
# Targa has no signature: an image type, sides and depths that make sense, and a suffix or footer.
TGA_HEADER = struct.Struct("<BBBHHBHHHHBB")
TGA_TYPES = ((1, 1), (1, 9), (0, 2), (0, 10), (0, 3), (0, 11))  # with a palette or without
TGA_DEPTHS = (8, 15, 16, 24, 32)
TGA_FOOTER = b"TRUEVISION-XFILE.\0"
TGA_SUFFIXES = (".tga", ".targa", ".icb", ".vda", ".vst")
ALLOWED_FORMATS = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC, JPEG XL, JPEG 2000, PPM and TGA"
# What Pillow calls a format, where that is another name.
PILLOW_NAMES = {
    WEBP: ("WEBP",),
    JPEG: ("JPEG", "MPO"),
    HEIC: ("HEIF",),
    JPEG_XL: ("JXL",),
    JPEG_2000: ("JPEG2000",),
}
# Modules that register a reader with Pillow, with the packages that they come from.
PLUGINS = {
    AVIF: (("pillow_avif", "pillow-avif-plugin"),),
    HEIC: (("pillow_heif", "pillow-heif"), ("pi_heif", "pi-heif")),
    JPEG_XL: (("pillow_jxl", "pillow-jxl-plugin"),),
}
# What is looked for in folders; a file that is named is tried whatever its suffix.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".heif"}
    | {".jxl", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"}
)


def find_format(file: BinaryIO, name: str = "") -> str | None:
    """Return the format of a file that is open at its beginning, and stays there, if it is allowed.

    `name` is its path, whose suffix counts for what has no signature.
    """
    start = file.read(MAX_BRANDS_BYTES)
    found = next((kind for begin, kind in SIGNATURES if _matches(start, begin)), None)
    if found is None and start[4:8] == b"ftyp":
        found = _find_brand(start)
    if found is None and _may_be_tga(start) and (_has_tga_suffix(name) or _has_tga_footer(file)):
        found = TGA
    file.seek(0)
    return found


def check_format(file: BinaryIO, name: str) -> str:
    """Return the format of a file that is open at its beginning, if it is one that can be read.

    Raises
    ------
    ImageReadError
        It is no image, or of a format that needs a plugin which is not installed.
    """
    found = find_format(file, name)
    if found is not None:
        load_plugin(found, name)
        return found
    if not file.read(1):
        raise ImageReadError(f"{name}: is empty; {ALLOWED_FORMATS} are allowed")
    raise ImageReadError(f"{name}: is no image of a known format; {ALLOWED_FORMATS} are allowed")


def pillow_names(kind: str) -> tuple[str, ...]:
    """Return what Pillow calls a format, first the name of its reader."""
    return PILLOW_NAMES.get(kind, (kind,))


def load_plugin(kind: str, name: str) -> None:
    """Have Pillow know a format, or raise ImageReadError that says what to install."""
    if _is_known(kind):
        return
    package = PLUGINS[kind][0][1] if kind in PLUGINS else "a Pillow that reads it"
    newer = ", or Pillow 11.3 or newer" if kind == AVIF else ""
    raise ImageReadError(
        f"{name}: is an image in {kind}, which the installed Pillow does not read; pip install "
        f"{package}{newer}"
    )


@cache
def _is_known(kind: str) -> bool:
    from PIL import Image, features

    if kind in PREINSTALLED or (kind == AVIF and features.check("avif")):
        return True
    for module, _ in PLUGINS.get(kind, ()):
        try:
            plugin = importlib.import_module(module)
        except ImportError:
            continue
        if hasattr(plugin, "register_heif_opener"):
            plugin.register_heif_opener()
        return True
    if kind == JPEG_2000:
        return bool(features.check("jpg_2000"))
    if kind in PLUGINS:
        return False
    Image.init()
    return pillow_names(kind)[0] in Image.OPEN


def _matches(start: bytes, signature: bytes) -> bool:
    return len(start) >= len(signature) and all(
        mine == wanted or wanted == ord(".") for mine, wanted in zip(start, signature, strict=False)
    )


def _find_brand(start: bytes) -> str | None:
    """Return the format of a file of boxes, whose first one lists brands of four letters."""
    size = min(int.from_bytes(start[:4], "big"), len(start))
    brands = {start[place : place + 4] for place in (8, *range(16, size - 3, 4))}
    return next((kind for kind, names in BRANDS.items() if brands & names), None)


def _may_be_tga(start: bytes) -> bool:
    if len(start) < TGA_HEADER.size:
        return False
    _, has_map, kind, _, _, map_bits, _, _, width, height, depth, _ = TGA_HEADER.unpack_from(start)
    is_known = (has_map, kind) in TGA_TYPES and depth in TGA_DEPTHS
    return is_known and width > 0 and height > 0 and (map_bits in (15, 16, 24, 32) or not has_map)


def _has_tga_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in TGA_SUFFIXES


def _has_tga_footer(file: BinaryIO) -> bool:
    n_bytes = file.seek(0, os.SEEK_END)
    file.seek(max(0, n_bytes - len(TGA_FOOTER)))
    return file.read() == TGA_FOOTER
