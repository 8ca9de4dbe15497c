"""What comes with an image beside its pixels: how its colors are meant, its density, metadata."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from fastkq.files.errors import PixelsNotAllowedError, reason
from fastkq.files.icc import CURVES, HDR_CURVES, PRIMARIES, SRGB_CURVE, ColorNumbers
from fastkq.types import MAX_LEVEL

if TYPE_CHECKING:
    from PIL.Image import Exif
    from PIL.Image import Image as PillowImage

# Chunks of PNG that say how values are meant, by the order in which decoders heed them.
CICP, SRGB, GAMMA, PRIMARIES_CHUNK = b"cICP", b"sRGB", b"gAMA", b"cHRM"
DENSITY = b"pHYs"
# With the lengths that they must have; the last two say how bright an HDR picture gets.
COLOR_CHUNKS = {CICP: 4, SRGB: 1, GAMMA: 4, PRIMARIES_CHUNK: 32, b"mDCV": 24, b"cLLI": 8}
# A box of HEIF, in which the numbers of cICP follow.
NCLX, MAX_HEAD_BYTES = b"colrnclx", 1 << 16
IS_SRGB = ((SRGB, b"\0"),)
FULL_RANGE, RGB_MATRIX, UNSPECIFIED = 1, 0, 2
# The exponent that stands for sRGB beside its primaries, as encoders are told to write it.
SRGB_GAMMA, GAMMA_UNIT, GAMMA_TOLERANCE, XY_UNIT, XY_TOLERANCE = 45455, 100000, 500, 100000, 0.002
METER, NO_UNIT = 1, 0
INCHES_A_METER, CENTIMETERS_A_METER = 0.0254, 0.01
MAX_DENSITY = (1 << 31) - 1
# Tags of EXIF and TIFF.
SOFTWARE_TAG, ORIENTATION_TAG = 0x0131, 0x0112
EXIF_START = b"Exif\0\0"
EXIF_IFD, WIDTH_TAG, HEIGHT_TAG = 0x8769, 0xA002, 0xA003
X_TAG, Y_TAG, UNIT_TAG, INCH, CENTIMETER = 0x011A, 0x011B, 0x0128, 2, 3
UNITS = {INCH: (METER, INCHES_A_METER), CENTIMETER: (METER, CENTIMETERS_A_METER)}
# How the pixels of a TIFF lie, which is not so in another file; and what is kept elsewhere.
LAYOUT_TAGS = (
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 282),
    *(283, 284, 288, 289, 290, 291, 292, 293, 296, 297, 301, 317, 318, 319, 320, 321, 322, 323),
    *(324, 325, 330, 332, 333, 334, 336, 337, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515),
    *(517, 518, 519, 520, 521, 529, 530, 531, 532, 700, 33723, 34377, 34675, ORIENTATION_TAG),
)
XMP_KEYS = ("xmp", "XML:com.adobe.xmp")
XMP_ORIENTATION = re.compile(
    rb"\s+tiff:Orientation\s*=\s*(\"[^\"]*\"|'[^']*')"
    rb"|<tiff:Orientation>[^<]*</tiff:Orientation>"
)


@dataclass(frozen=True)
class Attached:
    """What comes with an image, and goes into a file where the format has a place for it.

    Attributes
    ----------
    icc_profile : bytes or None
        What the values refer to: an RGB profile.
    color_chunks : tuple of (kind, data)
        The chunks of a PNG that say so: cICP, sRGB, gAMA, cHRM, mDCV and cLLI.
    density : (x, y, unit) or None
        Pixels a meter; or with a unit of 0, only how they are to each other. As in pHYs.
    exif, xmp : bytes or None
        Without an orientation, which was applied.
    """

    icc_profile: bytes | None = None
    color_chunks: tuple[tuple[bytes, bytes], ...] = ()
    density: tuple[int, int, int] | None = None
    exif: bytes | None = None
    xmp: bytes | None = None

    def without_profile(self) -> Attached:
        """Return what comes with an image whose profile is of no use."""
        return replace(self, icc_profile=None)

    def without_colors(self) -> Attached:
        """Return what is left where nothing is said of the values."""
        return replace(self, icc_profile=None, color_chunks=())

    def in_srgb(self) -> Attached:
        """Return what comes with the image once its colors were converted to sRGB."""
        return replace(self, icc_profile=None, color_chunks=IS_SRGB)

    def make_profile(self) -> bytes | None:
        """Return the profile that the values refer to, made from numbers if need be; None for sRGB.

        Raises
        ------
        PixelsNotAllowedError
            The numbers are such that no profile can say the same.
        """
        if self.icc_profile is not None and CICP not in dict(self.color_chunks):
            return self.icc_profile
        numbers = _read_numbers(dict(self.color_chunks))
        try:
            return None if numbers is None else numbers.to_profile()
        except ValueError as error:
            raise PixelsNotAllowedError(
                f"says how its colors are meant by numbers that are damaged ({error}); icc='strip' "
                "leaves them out"
            ) from error


NOTHING = Attached()


def gather(
    image: PillowImage,
    info: Mapping[str, Any],
    color_chunks: tuple[tuple[bytes, bytes], ...] = (),
    *,
    metadata: bool = False,
) -> Attached:
    """Return what comes with an image that is open, but not yet turned upright.

    Parameters
    ----------
    image : PillowImage
    info : mapping
        What Pillow says of it.
    color_chunks : tuple of (kind, data)
    metadata : bool
        Whether EXIF and XMP are wanted.
    """
    exif = _read_exif(image, needed=metadata)
    orientation = exif.get(ORIENTATION_TAG, 1) if exif is not None else 1
    density = _read_density(info, exif, is_jpeg=image.format in ("JPEG", "MPO"))
    turned = orientation in (5, 6, 7, 8)
    if density is not None and turned:
        density = (density[1], density[0], density[2])
    return Attached(
        info.get("icc_profile"),
        color_chunks or _read_nclx(info),
        density,
        _keep_exif(exif, turned=turned) if metadata and exif is not None else None,
        _keep_xmp(info) if metadata else None,
    )


def _read_numbers(chunks: Mapping[bytes, bytes]) -> ColorNumbers | None:
    """Return what the chunks of a PNG say, the first that decoders heed; None for sRGB."""
    if CICP in chunks:
        return _read_cicp(chunks[CICP])
    if SRGB in chunks or not (GAMMA in chunks or PRIMARIES_CHUNK in chunks):
        return None
    gamma = SRGB_GAMMA
    if GAMMA in chunks:
        (gamma,) = struct.unpack(">I", chunks[GAMMA])
    primaries = PRIMARIES[1]
    if PRIMARIES_CHUNK in chunks:
        numbers = [value / XY_UNIT for value in struct.unpack(">8I", chunks[PRIMARIES_CHUNK])]
        white, *colors = zip(numbers[::2], numbers[1::2], strict=True)
        primaries = (*colors, white)
    is_usual = abs(gamma - SRGB_GAMMA) <= GAMMA_TOLERANCE
    if is_usual and _are_close(primaries, PRIMARIES[1]):
        return None
    if not 0 < gamma < GAMMA_UNIT * 100:
        raise PixelsNotAllowedError(f"has a gAMA chunk of {gamma}; icc='strip' leaves it out")
    curve = SRGB_CURVE if GAMMA not in chunks else (GAMMA_UNIT / gamma,)
    return ColorNumbers(primaries, curve)


def _are_close(some: Any, others: Any) -> bool:
    pairs = zip(sum(some, ()), sum(others, ()), strict=True)
    return all(abs(one - other) < XY_TOLERANCE for one, other in pairs)


def _read_cicp(data: bytes) -> ColorNumbers | None:
    primaries, transfer, matrix, is_full = data
    if (primaries, transfer) in ((1, 13), (UNSPECIFIED, UNSPECIFIED)):
        return None
    if transfer in HDR_CURVES:
        raise PixelsNotAllowedError(
            f"is an HDR picture ({HDR_CURVES[transfer]} by its cICP chunk), whose colors only a "
            "png can keep: icc='keep'"
        )
    is_known = primaries in PRIMARIES and transfer in CURVES
    if not is_known or matrix != RGB_MATRIX or is_full != FULL_RANGE:
        raise PixelsNotAllowedError(
            f"says by its cICP chunk {list(data)} how its colors are meant, which only a png can "
            "keep: icc='keep'"
        )
    return ColorNumbers(PRIMARIES[primaries], CURVES[transfer])


def read_nclx(file: BinaryIO) -> dict[str, int]:
    """Return what an AVIF says of its colors in numbers, which Pillow does not tell of."""
    file.seek(0)
    head = file.read(MAX_HEAD_BYTES)
    place = head.find(NCLX) + len(NCLX)
    if place < len(NCLX) or place + 4 > len(head):
        return {}
    primaries, transfer = struct.unpack_from(">HH", head, place)
    return {"color_primaries": primaries, "transfer_characteristics": transfer}


def _read_nclx(info: Mapping[str, Any]) -> tuple[tuple[bytes, bytes], ...]:
    """Return as a cICP chunk what a HEIC or AVIF says in numbers, unless it is as good as sRGB."""
    found = info.get("nclx_profile")
    if not isinstance(found, dict) or info.get("icc_profile") is not None:
        return ()
    numbers = int(found.get("color_primaries", 1)), int(found.get("transfer_characteristics", 13))
    if max(numbers) > MAX_LEVEL:
        return ()
    if numbers[0] in (1, 5, 6, UNSPECIFIED) and numbers[1] not in (8, *HDR_CURVES):
        return ()
    return ((CICP, bytes([*numbers, RGB_MATRIX, FULL_RANGE])),)


def _read_density(
    info: Mapping[str, Any], exif: Exif | None, *, is_jpeg: bool
) -> tuple[int, int, int] | None:
    """Return the density that a file says, if it is one."""
    # Pillow says 72 of a JPEG that says nothing.
    is_made_up = "dpi" in info and is_jpeg and info.get("jfif_unit") not in (1, 2)
    values: Any = None if is_made_up else info.get("dpi")
    unit = METER
    scale = INCHES_A_METER
    if values is None and "aspect" in info:
        values, unit, scale = info["aspect"], NO_UNIT, 1.0
    elif values is None and info.get("jfif_unit") == NO_UNIT:
        values, unit, scale = info.get("jfif_density"), NO_UNIT, 1.0
    elif values is None and exif is not None and X_TAG in exif:
        values = exif[X_TAG], exif.get(Y_TAG, exif[X_TAG])
        unit, scale = UNITS.get(exif.get(UNIT_TAG, INCH), (NO_UNIT, 1.0))
    try:
        x, y = (round(float(value) / scale) for value in values)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None
    if not (0 < x <= MAX_DENSITY and 0 < y <= MAX_DENSITY) or (unit == NO_UNIT and x == y):
        return None
    return x, y, unit


def _read_exif(image: PillowImage, *, needed: bool) -> Exif | None:
    try:
        return image.getexif()
    except Exception as error:  # a damaged one raises anything
        if needed:
            raise _not_kept("EXIF", error) from error
        return None


def _not_kept(name: str, error: Exception) -> PixelsNotAllowedError:
    return PixelsNotAllowedError(
        f"has {name} data that cannot be kept ({reason(error)}); metadata='none' leaves it out"
    )


def _keep_exif(exif: Exif, *, turned: bool) -> bytes | None:
    """Return EXIF data without the layout of the file that it comes from."""
    from PIL import Image

    try:
        kept = Image.Exif()
        kept.load(exif.tobytes())
        for tag in LAYOUT_TAGS:
            if tag in kept:
                del kept[tag]
        details = kept.get_ifd(EXIF_IFD) if EXIF_IFD in kept else {}
        if turned and WIDTH_TAG in details and HEIGHT_TAG in details:
            sides = details[HEIGHT_TAG], details[WIDTH_TAG]
            details[WIDTH_TAG], details[HEIGHT_TAG] = sides
        return kept.tobytes().removeprefix(EXIF_START) if len(kept) else None
    except Exception as error:
        raise _not_kept("EXIF", error) from error


def _keep_xmp(info: Mapping[str, Any]) -> bytes | None:
    """Return XMP data without an orientation."""
    found = next((info[key] for key in XMP_KEYS if info.get(key)), None)
    if found is None:
        return None
    data = found.encode() if isinstance(found, str) else bytes(found)
    return XMP_ORIENTATION.sub(b"", data.strip(b"\0"))


def exif_of_webp(attached: Attached, software: bytes) -> bytes:
    """Return EXIF data for a WebP, which has no other place for its density and its writer."""
    from PIL import Image, TiffImagePlugin

    exif = Image.Exif()
    if attached.exif is not None:
        exif.load(attached.exif)
    exif[SOFTWARE_TAG] = software.decode()
    if attached.density is not None and attached.density[2] == METER:
        for tag, value in zip((X_TAG, Y_TAG), attached.density, strict=False):
            exif[tag] = TiffImagePlugin.IFDRational(round(value * INCHES_A_METER * 10), 10)
        exif[UNIT_TAG] = INCH
    return exif.tobytes().removeprefix(EXIF_START)
