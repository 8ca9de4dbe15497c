"""Images in, files out: the only module that knows imageio and Pillow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from fastkq.colors.pixels import check_array, has_alpha
from fastkq.types import Array, ImageSource, UInt8Array

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

# How each format starts. Others that Pillow knows are left out: some run programs (EPS), many are
# never photos, and a list makes the error for a text file say what is allowed.
SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"RIFF....WEBP", "WebP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
)
ALLOWED_FORMATS = "JPEG, PNG, WebP, TIFF, BMP and GIF"
PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "MPO")
SIGNATURE_BYTES = 12
MAX_16_BIT = 65535


@dataclass(frozen=True, eq=False)
class InputImage:
    """An image as the stages take it.

    Attributes
    ----------
    array : (H, W) or (H, W, 3) uint8, C order; with transparent pixels, (H, W, 2) or (H, W, 4)
    icc_profile : the RGB profile that its values refer to, if it came with one
    """

    array: UInt8Array
    icc_profile: bytes | None = None


def read_image(source: ImageSource) -> InputImage:
    """Read an image, turned as its EXIF orientation says.

    Parameters
    ----------
    source : path, bytes, file object, PIL image or array
        Of an animation or a multi-page file, the first image is read. Files of 16 bits a channel
        are rounded to 8; CMYK and other color models are converted to RGB.

    Raises
    ------
    OSError
        A file cannot be opened.
    ValueError
        It is not an image of an allowed format, is damaged or has no pixels.
    TypeError
        The source or its dtype is not allowed.
    """
    if isinstance(source, np.ndarray):
        return InputImage(check_array(source))
    if _is_pillow_image(source):
        return _convert_pillow_image(source)
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        return _decode(path, _first_bytes(path), path)
    data = read_bytes(source)
    if data is not None:
        return _decode(data, data[:SIGNATURE_BYTES], "<bytes>")
    raise TypeError(
        f"image is a {type(source).__name__}; a path, bytes, a binary file object, a PIL image or "
        "a NumPy array is allowed"
    )


def read_opaque_image(source: ImageSource, purpose: str) -> InputImage:
    """Read an image; one with transparent pixels is an error. For the rest, see `read_image`."""
    image = read_image(source)
    refuse_alpha(image, source, purpose)
    return image


def refuse_alpha(image: InputImage, source: ImageSource, purpose: str) -> None:
    """Raise ValueError if an image has transparent pixels, saying for what it must not."""
    if has_alpha(image.array):
        name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else "image"
        raise _not_opaque(name, purpose)


def _not_opaque(name: str, purpose: str) -> ValueError:
    return ValueError(f"{name}: has transparent pixels; only opaque images are allowed {purpose}")


def count_pixels(path: str) -> int | None:
    """Return how many pixels an image file has, by its header; None where Pillow refuses so many.

    0 for what is no image: reading it will fail soon enough.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=PILLOW_FORMATS) as image:
            return image.width * image.height
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    except Exception:
        # As in `_decode`: a damaged file raises anything.
        return 0


def is_image(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins as an image of an allowed format does."""
    start = _first_bytes(os.fspath(path))
    return any(_matches(start, signature) for signature, _ in SIGNATURES)


def read_indexed_palette(path: str | os.PathLike[str]) -> UInt8Array | None:
    """Return the palette (K, 3) of an image file, in its order; None if it is not indexed.

    Raises
    ------
    OSError, ValueError
        It is no such file, damaged, or has a transparent entry.
    """
    _first_bytes(os.fspath(path))
    from PIL import Image

    try:
        with Image.open(path, formats=PILLOW_FORMATS) as image:
            image.load()
            if image.mode != "P":
                return None
            levels = image.getpalette("RGB")
            is_opaque = "transparency" not in image.info
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{path}: cannot be decoded: {_reason(error)}") from error
    if not is_opaque:
        raise _not_opaque(os.fspath(path), "for a palette")
    return np.array(levels, np.uint8).reshape(-1, 3)


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


def _first_bytes(path: str) -> bytes:
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such file")
    if not os.path.isfile(path):
        kind = "a directory" if os.path.isdir(path) else "not a regular file"
        raise IsADirectoryError(f"{path}: is {kind}; an image file is allowed")
    with open(path, "rb") as file:
        return file.read(SIGNATURE_BYTES)


def _decode(source: str | bytes, start: bytes, name: str) -> InputImage:
    if not start:
        raise ValueError(f"{name}: is empty; {ALLOWED_FORMATS} are allowed")
    if not any(_matches(start, signature) for signature, _ in SIGNATURES):
        raise ValueError(f"{name}: is no image of a known format; {ALLOWED_FORMATS} are allowed")

    import imageio.v3 as iio  # here, so that importing fastkq does not load it

    try:
        with iio.imopen(source, "r", plugin="pillow") as file:
            info = file.metadata(index=0, exclude_applied=False)
            mode = info["mode"]
            options = {"mode": _mode_to_read(mode, info), "rotate": True, "writeable_output": False}
            array = file.read(index=0, **options)
    except MemoryError:
        raise
    except Exception as error:
        # A damaged file makes its decoder raise anything: OSError, SyntaxError, struct.error, ...
        raise ValueError(f"{name}: cannot be decoded: {_reason(error)}") from error
    return _finish(array, mode, info, name)


def _matches(start: bytes, signature: bytes) -> bool:
    return len(start) >= len(signature) and all(
        mine == wanted or wanted == ord(".") for mine, wanted in zip(start, signature, strict=False)
    )


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _is_pillow_image(source: object) -> TypeGuard[PillowImage]:
    # By name: importing Pillow to compare classes would slow down those who pass arrays.
    return any(
        kind.__module__ == "PIL.Image" and kind.__name__ == "Image" for kind in type(source).__mro__
    )


def _convert_pillow_image(image: PillowImage) -> InputImage:
    from PIL import ImageOps

    mode, info = image.mode, {str(key): value for key, value in image.info.items()}
    wanted = _mode_to_read(mode, info)
    turned = ImageOps.exif_transpose(image)
    return _finish(
        np.asarray(turned if wanted is None else turned.convert(wanted)), mode, info, "image"
    )


def _mode_to_read(mode: str, info: Mapping[str, Any]) -> str | None:
    """Return the Pillow mode to convert a mode to; None for one that is read as it is."""
    if mode.startswith("I"):
        return None
    if mode in ("LA", "La") or (mode == "L" and "transparency" in info):
        return "LA"
    if mode in ("RGBA", "RGBa", "PA") or "transparency" in info:
        return "RGBA"
    return {"1": "L", "L": None, "RGB": None}.get(mode, "RGB")


def _finish(array: Array, mode: str, info: Mapping[str, Any], name: str) -> InputImage:
    """Reduce what was decoded to 8-bit gray or RGB, with alpha where it is not opaque."""
    if mode == "F":
        raise ValueError(f"{name}: has floating-point pixels; 8 or 16 bits a channel are allowed")
    if mode.startswith("I"):
        is_key = array == info.get("transparency", -1)
        # Rounded: 65535 -> 255, 257 v -> v. (Mode "I" is int32 that holds 16-bit values.)
        array = ((np.clip(array, 0, MAX_16_BIT).astype(np.uint32) + 128) // 257).astype(np.uint8)
        if is_key.any():
            array = np.stack([array, np.where(is_key, np.uint8(0), np.uint8(255))], axis=2)
    profile = info.get("icc_profile")
    return InputImage(
        check_array(array), rgb_profile(profile) if mode in ("RGB", "RGBA", "P") else None
    )


def rgb_profile(profile: bytes | None) -> bytes | None:
    """Return an ICC profile if it is one of RGB."""
    return profile if profile is not None and profile[16:20] == b"RGB " else None


def read_weights(path: str | os.PathLike[str]) -> UInt8Array:
    """Return a gray image file as weights (H, W): black does not count, white counts most.

    Raises
    ------
    OSError, ValueError
        It is no readable image, or has colors.
    """
    array = read_image(path).array
    if array.ndim == 3:
        if not (array == array[..., :1]).all():
            raise ValueError(f"{path}: has colors; a gray image is allowed as weights")
        array = array[..., 0]
    return array
