"""Image files to arrays: the only module that knows imageio."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fastkq.colors.pixels import check_array
from fastkq.files import whole_jpeg
from fastkq.files.attached import NOTHING, Attached, gather, read_nclx
from fastkq.files.errors import (
    ImageReadError,
    PixelsNotAllowedError,
    os_error,
    reason,
    silence,
    tell,
)
from fastkq.files.pages import check_page, turn_to_page
from fastkq.files.reading import DEFAULT, ReadOptions, pillow_reads
from fastkq.files.signatures import AVIF, JPEG, PNG, TIFF, check_format, pillow_names
from fastkq.types import Array, UInt8Array

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

    from fastkq.files.checksums import PngFacts

MAX_16_BIT = 65535
HASTENED_PIXELS, STRIP_PIXELS = 1 << 20, 1 << 17  # of `_hasten`
FIRST_FRAME_ALONE = ("AVIF", "JXL")  # what Pillow calls formats with frames that are not read
TRANSPARENCY = "transparency"
TURNING = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}  # may tell an orientation
HANDED_OVER = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")
# What Pillow says of files whose header, or data, its decoders do not get along with.
PLAIN_REASONS = {
    "not identified by this driver": "the header is damaged, or of a kind that is not supported",
    "cannot identify image file": "the header is damaged, or of a kind that is not supported",
    "unknown pixel mode": "its pixels are of a kind that is not supported",
    "decoder error": "the data is damaged",
}


@dataclass(frozen=True, eq=False)
class InputImage:
    """An image as the stages take it.

    Attributes
    ----------
    array : (H, W) or (H, W, 3) uint8, C order; with transparent pixels, (H, W, 2) or (H, W, 4)
    attached : what comes with it, with a profile of RGB if any
    """

    array: UInt8Array
    attached: Attached = NOTHING

    @property
    def icc_profile(self) -> bytes | None:
        """The RGB profile that its values refer to, if it came with one."""
        return self.attached.icc_profile


def open_file(path: str, wanted: str = "an image file") -> BinaryIO:
    """Open a file to read, if it is a regular one: opening a pipe might wait for ever.

    Decoders get it open: imageio would ask the network for what is named "http:" or "imageio:".
    """
    if not os.path.exists(path):
        raise os_error(errno.ENOENT, f"{path}: no such file")
    if is_handed_over(path):
        with open(path, "rb") as pipe:
            return io.BytesIO(pipe.read())
    if not os.path.isfile(path):
        kind = "a directory" if os.path.isdir(path) else "not a regular file"
        raise os_error(errno.EISDIR, f"{path}: is {kind}; {wanted} is allowed")
    try:
        return open(path, "rb")
    except OSError as error:
        raise tell(error, f"{path}: cannot be opened: {reason(error)}") from error


def is_handed_over(path: str) -> bool:
    """Return whether a path is a pipe that a shell opened for this process, as <(command) is."""
    return path.startswith(HANDED_OVER) and stat.S_ISFIFO(os.stat(path).st_mode)


def open_image(file: BinaryIO, kind: str) -> PillowImage:
    """Open an image of a known format, or raise what its decoder says; only its header is read.

    The decoder is asked directly: `Image.open` drops the cause of what fails, and has a limit of
    its own for the number of pixels.
    """
    from PIL import Image

    silence("PIL")
    if kind == TIFF:
        _silence_libtiff()
    name = pillow_names(kind)[0]
    for load in (Image.preinit, Image.init):  # a few decoders, in a tenth of the time; all of them
        if name not in Image.OPEN:
            load()
    file.seek(0)
    return Image.OPEN[name][0](file, "")


@cache
def _silence_libtiff() -> None:
    """Keep what Pillow's libtiff says of damaged files from the standard error.

    It writes there itself, past Python, up to hundreds of lines a file. Where the library cannot be
    reached, as in Pillow for Windows, they stay.
    """
    import ctypes

    from PIL import _imaging

    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            setter = getattr(library, name)
            setter.restype, setter.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
            setter(None)


def decode_file(file: BinaryIO, name: str, reading: ReadOptions = DEFAULT) -> InputImage:
    """Return the image of a file that is open at its beginning, turned upright.

    Raises
    ------
    ImageReadError
        It is no image of an allowed format, is damaged, or has pixels, or more of them, than are
        allowed.
    """
    kind = check_format(file, name)
    try:
        if kind == PNG:
            return settle(_decode_png(file, name, reading), reading.icc)
        # A WebP's decoder makes room for its pixels as it is opened, and looks at the limit.
        with pillow_reads(reading.max_pixels or 0, reading):
            opened = open_image(file, kind)
        with opened as image:
            if kind == TIFF:
                index = turn_to_page(image, reading.page)
            else:
                index = check_page(1, reading.page) - 1
            reading.check_size(name, *image.size)
            check_first_frame(image, name, reading)
            with pillow_reads(image.width * image.height, reading):
                decode = _decode_tiff if kind == TIFF else _decode_plain
                decoded = decode(file, image, index, reading)
                if kind == JPEG and not reading.allow_truncated:
                    is_progressive = "progression" in image.info
                    whole_jpeg.check_jpeg(file, decoded.array, is_progressive=is_progressive)
        return settle(decoded, reading.icc)
    except (MemoryError, ImageReadError):
        raise
    except PixelsNotAllowedError as error:
        raise ImageReadError(f"{name}: {error}") from error
    except Exception as error:
        raise damage(name, error) from error


def check_first_frame(image: object, name: str, reading: ReadOptions) -> None:
    """Raise ImageReadError for an opened image of frames of which one is read, unless that is said.

    The frames of a GIF, PNG and WebP are counted before, by `files.animations`.
    """
    n_frames = int(getattr(image, "n_frames", 1))
    is_film = getattr(image, "format", "") in FIRST_FRAME_ALONE and n_frames > 1
    if is_film and reading.frame is None:
        raise ImageReadError(
            f"{name}: has {n_frames} frames, and only the first one can be read; frame=0 takes it"
        )


def damage(name: str, error: Exception) -> ImageReadError:
    """Return the error of a damaged file.

    Its decoder raises anything: OSError, SyntaxError, struct.error, ...
    """
    text = reason(error)
    for start, plain in PLAIN_REASONS.items():
        if text.startswith(start):
            text = plain
    return ImageReadError(f"{name}: cannot be decoded: {text}")


def _decode_plain(
    file: BinaryIO, image: PillowImage, index: int, reading: ReadOptions
) -> InputImage:
    info, mode = get_info(image), image.mode
    if image.format == AVIF:
        info["nclx_profile"] = read_nclx(file)
    attached = gather(image, info, metadata=reading.keeps_metadata)
    wanted = mode_to_read(mode, info)
    if mode == "LAB" or is_profiled_cmyk(mode, attached):
        wanted = None
    return finish(_read_pixels(file, wanted, index), mode, info, attached)


def _decode_png(file: BinaryIO, name: str, reading: ReadOptions) -> InputImage:
    from fastkq.files import checksums

    data = file.read()
    facts = checksums.check_png(data, allow_truncated=reading.allow_truncated)
    check_page(1, reading.page)
    reading.check_size(name, facts.width, facts.height)
    with open_image(io.BytesIO(data), PNG) as image:
        info = get_info(image)
        attached = gather(image, info, facts.colors, metadata=reading.keeps_metadata)
    with pillow_reads(facts.width * facts.height, reading):
        array, mode, info = _decode_png_pixels(io.BytesIO(data), facts)
    if not reading.allow_truncated:
        checksums.check_rows(facts, array, may_be_turned=not TURNING.isdisjoint(info))
    return finish(array, mode, info, attached)


def _decode_png_pixels(file: BinaryIO, facts: PngFacts) -> tuple[Array, str, dict[str, Any]]:
    """Return the pixels of a PNG, the mode that Pillow has for them, and what it tells of them."""
    from fastkq.files import checksums, depths

    with open_image(file, PNG) as image:
        mode, info = image.mode, get_info(image)
    key = facts.key
    if key is not None:  # Pillow compares the levels of the file with those of 8 bits
        info.pop(TRANSPARENCY, None)
    if facts.depth > 8 and facts.color_type != checksums.GRAY:
        array = np.asarray(depths.read_deep_png(file, facts))
    else:
        array = _read_pixels(file, mode_to_read(mode, info))
        if key is not None:
            max_level = (1 << facts.depth) - 1
            levels = np.array(
                key if facts.depth > 8 else [255 * level // max_level for level in key]
            )
            is_key = (array.reshape(*array.shape[:2], -1) == levels).all(axis=2)
            array = round_16_bit(array) if facts.depth > 8 else array
            array = depths.add_key(array, is_key)
    return array, mode, info


def _decode_tiff(
    file: BinaryIO, image: PillowImage, index: int, reading: ReadOptions
) -> InputImage:
    from fastkq.files import depths

    bits, mode, info = depths.check_samples(image), image.mode, get_info(image)
    if bits <= 8:
        return _decode_plain(file, image, index, reading)
    attached = gather(image, info, metadata=reading.keeps_metadata)
    if not mode.startswith("I;16"):
        deep = depths.read_deep_tiff(file, image, index)
        wanted = None if is_profiled_cmyk(mode, attached) else mode_to_read(mode, info)
        pixels = np.asarray(deep if wanted is None else deep.convert(wanted))
        return finish(pixels, mode, info, attached)
    is_inverted = depths.is_inverted(image)
    array = depths.round_levels(_read_pixels(file, None, index), (1 << bits) - 1)
    return finish(255 - array if is_inverted else array, mode, info, attached)


def _read_pixels(file: BinaryIO, mode: str | None, index: int = 0) -> Array:
    """Return the pixels of a file, turned upright and converted to a mode of Pillow's."""
    import imageio.v3 as iio  # here, so that importing fastkq does not load it

    file.seek(0)
    options: dict[str, Any] = {"index": index, "mode": mode, "writeable_output": False}
    with iio.imopen(file, "r", plugin="pillow") as opened:
        _hasten(getattr(opened, "_image", None))
        try:
            return np.asarray(opened.read(rotate=True, **options))
        except KeyError:  # imageio before 2.38, of an orientation that is none of the eight
            return np.asarray(opened.read(rotate=False, **options))


def _hasten(image: PillowImage | None) -> None:
    """Have the pixels of a Pillow image, if it is a large one, copied to an array by strips.

    Pillow copies all of them twice, to pieces and to all of these joined: 95 ms for 24 MP. Strips
    that stay in the cache take 25.
    """
    if image is None or image.mode not in ("RGB", "RGBA"):
        return
    if image.width * image.height >= HASTENED_PIXELS:
        image.tobytes = partial(_copy_pixels, image)  # type: ignore[method-assign, assignment]


def _copy_pixels(image: PillowImage) -> UInt8Array:
    """Return what `image.tobytes()` does, in memory of NumPy's."""
    width, height = image.size
    n_rows = max(1, STRIP_PIXELS // width)
    pixels = np.empty((height, width, len(image.getbands())), np.uint8)
    for first in range(0, height, n_rows):
        end = min(first + n_rows, height)
        pixels[first:end] = np.asarray(image.crop((0, first, width, end)))
    return pixels


def get_info(image: PillowImage) -> dict[str, Any]:
    """Return what Pillow tells of an image: its color key, profile and others."""
    return {str(key): value for key, value in image.info.items()}


def mode_to_read(mode: str, info: Mapping[str, Any]) -> str | None:
    """Return the Pillow mode to convert a mode to; None for one that is read as it is."""
    if mode.startswith("I"):
        return None
    if mode in ("LA", "La") or (mode in ("1", "L") and TRANSPARENCY in info):
        return "LA"
    if mode == "RGBA":
        return None
    if mode in ("RGBa", "PA") or TRANSPARENCY in info:
        return "RGBA"
    return {"1": "L", "L": None, "RGB": None}.get(mode, "RGB")


def finish(
    array: Array, mode: str, info: Mapping[str, Any], attached: Attached = NOTHING
) -> InputImage:
    """Reduce what was decoded to 8-bit gray or RGB, with alpha where it is not opaque."""
    from fastkq.files import depths, profiles

    if mode == "F":
        raise PixelsNotAllowedError("has floating-point pixels; 8 or 16 bits a channel are allowed")
    if array.dtype != np.uint8 and mode.startswith("I"):
        rounded = round_16_bit(array)
        key = info.get(TRANSPARENCY)
        array = rounded if key is None else depths.add_key(rounded, array == key)
    if is_profiled_cmyk(mode, attached) and attached.icc_profile is not None:
        array = profiles.to_srgb(attached.icc_profile)(array)
        attached = attached.in_srgb()
    elif mode == "LAB":
        array, attached = profiles.lab_to_srgb(array), attached.in_srgb()
    return InputImage(check_array(array), fitting(mode, attached))


def is_profiled_cmyk(mode: str, attached: Attached) -> bool:
    """Return whether the profile of CMYK says which colors the inks make.

    Without one, a channel of RGB is (1 - C) (1 - K), and so on.
    """
    from fastkq.files.profiles import CMYK, space_of

    return mode == "CMYK" and space_of(attached.icc_profile) == CMYK


def fitting(mode: str, attached: Attached) -> Attached:
    """Return what comes with an image, without a profile of another color model."""
    from fastkq.files.profiles import GRAY, RGB, space_of

    is_gray = mode in ("1", "L", "LA", "La") or mode.startswith("I")
    is_rgb = mode in ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA")
    wanted = GRAY if is_gray else RGB if is_rgb else None
    return attached if space_of(attached.icc_profile) == wanted else attached.without_profile()


def settle(image: InputImage, icc: str) -> InputImage:
    """Return an image with colors as `ReadOptions.icc` wants them."""
    from fastkq.files.profiles import plan_conversion

    convert, attached = plan_conversion(image.attached, image.array.shape, icc)
    array = image.array if convert is None else check_array(convert(image.array))
    return InputImage(array, attached)


def round_16_bit(array: Array) -> UInt8Array:
    """Return 16-bit levels, which Pillow may hold as 32-bit integers, rounded to 8 bits."""
    from fastkq.files.depths import round_levels

    if (
        array.dtype.itemsize > 2
        and array.size
        and not 0 <= array.min() <= array.max() <= MAX_16_BIT
    ):
        raise PixelsNotAllowedError(
            f"has integer pixels from {array.min()} to {array.max()}; 0 to {MAX_16_BIT}, 16 bits, "
            "are allowed"
        )
    return round_levels(array)
