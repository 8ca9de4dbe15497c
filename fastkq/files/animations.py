"""Animated files: whether a file is one, and its frames, decoded one at a time."""

from __future__ import annotations

import io
import math
import os
import struct
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, TypeGuard

import numpy as np

from fastkq.files.apng import count_apng_frames, split_apng
from fastkq.files.attached import Attached, gather
from fastkq.files.checksums import check_png
from fastkq.files.compose import compose
from fastkq.files.decode import damage, fitting, get_info, open_file, open_image
from fastkq.files.errors import ImageReadError, PixelsNotAllowedError
from fastkq.files.formats import PNG, SUFFIXES
from fastkq.files.frames import MAX_LOOP, Animation, AnimationError, FrameReader, Origin
from fastkq.files.gif_blocks import count_gif_frames, split_gif
from fastkq.files.orientation import UPRIGHT, lies_on_side, read_orientation, turn
from fastkq.files.pages import check_page
from fastkq.files.profiles import plan_conversion
from fastkq.files.reading import DEFAULT, ReadOptions, pillow_reads
from fastkq.files.signatures import find_format
from fastkq.types import ImageSource, UInt8Array

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

PILLOW_ANIMATED = ("GIF", "PNG", "WEBP")
WEBP_HEAD, WEBP_FLAGS, IS_ANIMATED = 12, 20, 2
FRAME_HEAD = 16  # of an ANMF chunk: place, size, duration and flags


def count_frames(file: BinaryIO) -> int:
    """Return how many frames a file has that is open at its beginning, where it stays.

    It is 1 for a still, and for what is no image of a known format.
    """
    kind, n_frames = find_format(file), 1
    if kind == "GIF":
        file.seek(0)
        n_frames = count_gif_frames(file.read())
    elif kind == "PNG":
        n_frames = count_apng_frames(file)
    elif kind == "WebP":
        start = file.read(WEBP_FLAGS + 1)
        if start[WEBP_HEAD:].startswith(b"VP8X") and start[-1] & IS_ANIMATED:
            file.seek(0)
            n_frames = _count_webp_frames(file.read())
    file.seek(0)
    return max(1, n_frames)


def default_format(path: str) -> str:
    """Return the format that a file becomes where none is asked for: an animation keeps its own.

    What is a still, or no animation by its suffix, becomes a PNG, as an animated PNG does.
    """
    name = SUFFIXES.get(os.path.splitext(path)[1].lower(), PNG)
    if name == PNG or not os.path.isfile(path):
        return PNG
    try:
        with open_file(path) as file:
            return name if count_frames(file) > 1 else PNG
    except OSError:
        return PNG


def refuse_animation(file: BinaryIO, name: str) -> None:
    """Raise AnimationError for a file of several frames that is open at its beginning."""
    n_frames = count_frames(file)
    if n_frames > 1:
        raise too_many_frames(name, n_frames)


def too_many_frames(name: str, n_frames: int) -> AnimationError:
    """Return the error of an animation where one picture is wanted."""
    return AnimationError(
        f"{name}: is an animation of {n_frames} frames, and one picture is wanted; frame=0 takes "
        "the first one, and compress writes them all"
    )


def open_animation_file(
    data: bytes, name: str, path: str | None = None, reading: ReadOptions = DEFAULT
) -> Animation:
    """Return the animation of a file of several frames; one that ends early is refused.

    Raises
    ------
    ImageReadError
        It is damaged, or has more pixels than are allowed.
    """
    kind = str(find_format(io.BytesIO(data)))
    try:
        check_page(1, reading.page)
        with pillow_reads(reading.max_pixels or 0, reading):
            opened = open_image(io.BytesIO(data), kind)
        with opened as image:
            height, width = image.height, image.width
            attached = _gather(image, reading, check_png(data).colors if kind == "PNG" else ())
            orientation = read_orientation(image)
        read: Callable[[], Iterator[UInt8Array]]
        if kind == "WebP":
            durations, loop = _webp_times(data)
            read = partial(_read_webp, data, name, len(durations), width * height)
        else:
            is_partial = reading.allow_truncated
            is_gif = kind == "GIF"
            film = split_gif(data, allow_truncated=is_partial) if is_gif else split_apng(data)
            durations, loop = [patch.duration for patch in film.patches], film.loop
            height, width = film.height, film.width
            read = partial(compose, film, name)
        reading.check_size(name, width, height)
        reading.check_film(name, len(durations), width, height)
        shape: tuple[int, ...] = (len(durations), height, width, 4)
        shape, read = _turn(shape, read, orientation)
        read, attached = _convert(read, shape, attached, reading)
    except (MemoryError, ImageReadError):
        raise
    except PixelsNotAllowedError as error:
        raise ImageReadError(f"{name}: {error}") from error
    except Exception as error:
        raise damage(name, error) from error
    origin = Origin(name, len(data), path, is_file=True, attached=attached)
    return Animation(FrameReader(shape, read), durations, loop, origin=origin)


def _gather(
    image: PillowImage, reading: ReadOptions, colors: tuple[tuple[bytes, bytes], ...] = ()
) -> Attached:
    """Return what comes with an animation, whose frames are read as RGBA."""
    attached = gather(image, get_info(image), colors, metadata=reading.keeps_metadata)
    return fitting("RGBA", attached)


def _turn(
    shape: tuple[int, ...], read: Callable[[], Iterator[UInt8Array]], orientation: int
) -> tuple[tuple[int, ...], Callable[[], Iterator[UInt8Array]]]:
    """Return the shape (T, H, W, 4) of frames that are turned upright, and how they are read."""
    if orientation == UPRIGHT:
        return shape, read
    if lies_on_side(orientation):
        shape = (shape[0], shape[2], shape[1], *shape[3:])

    def read_turned() -> Iterator[UInt8Array]:
        return (turn(frame, orientation) for frame in read())

    return shape, read_turned


def _convert(
    read: Callable[[], Iterator[UInt8Array]],
    shape: tuple[int, ...],
    attached: Attached,
    reading: ReadOptions,
) -> tuple[Callable[[], Iterator[UInt8Array]], Attached]:
    """Return how frames are read with colors as `ReadOptions.icc` wants them, and what is left."""
    convert, attached = plan_conversion(attached, shape[1:], reading.icc)
    if convert is None:
        return read, attached

    def read_converted() -> Iterator[UInt8Array]:
        return map(convert, read())

    return read_converted, attached


def open_animation(
    image: ImageSource | Animation, reading: ReadOptions = DEFAULT
) -> Animation | None:
    """Return an animation if an image is one; a file object is then read, or stays as it is.

    Raises
    ------
    OSError, ValueError
        It is one, and cannot be read.
    """
    if isinstance(image, Animation):
        return image
    if is_animated_pillow_image(image):
        return _open_pillow_animation(image, reading)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _open_file(io.BytesIO(image), "<bytes>", None, reading)
    if isinstance(image, (str, os.PathLike)):
        path = os.fspath(image)
        if not os.path.isfile(path):  # whoever opens it says what it is
            return None
        with open_file(path) as file:
            return _open_file(file, path, path, reading)
    return None


def _open_file(
    file: BinaryIO, name: str, path: str | None, reading: ReadOptions
) -> Animation | None:
    if count_frames(file) == 1:
        return None
    return open_animation_file(file.read(), name, path, reading)


def choose_frame(animation: Animation, number: int) -> UInt8Array:
    """Return a frame of an animation.

    Raises
    ------
    ValueError
        There is none of that number.
    """
    if number >= len(animation):
        raise ValueError(
            f"{animation.origin.name}: frame is {number}, and there are {len(animation)} frames; "
            f"0 to {len(animation) - 1} is allowed"
        )
    return next(islice(animation, number, None))


def _count_webp_frames(data: bytes) -> int:
    """Return how many frames a WebP has, with one that it ends inside of."""
    n_frames = 0
    try:
        for kind, _ in _webp_chunks(data):
            n_frames += kind == b"ANMF"
    except ValueError:
        n_frames += 1
    return n_frames


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the chunks of a WebP."""
    position, view = WEBP_HEAD, memoryview(data)
    end = 8 + int.from_bytes(data[4:8], "little")
    while position + 8 <= end:
        if position + 8 > len(data):
            raise ValueError("the file ends before its last chunk")
        kind, length = struct.unpack_from("<4sI", data, position)
        if position + 8 + length > len(data):
            raise ValueError(f"the file ends inside its {kind.decode('latin-1')} chunk")
        yield kind, view[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _webp_times(data: bytes) -> tuple[list[float], int]:
    """Return the durations of a WebP's frames, and how often they are played."""
    durations, loop = [], 0
    for kind, body in _webp_chunks(data):
        if kind == b"ANIM" and len(body) >= 6:
            loop = int.from_bytes(body[4:6], "little")
        elif kind == b"ANMF" and len(body) >= FRAME_HEAD:
            durations.append(float(int.from_bytes(body[12:15], "little")))
    return durations, loop


def _read_webp(data: bytes, name: str, n_frames: int, n_pixels: int) -> Iterator[UInt8Array]:
    """Yield the frames of a WebP, which libwebp puts together."""
    try:
        with pillow_reads(n_pixels, DEFAULT):
            opened = open_image(io.BytesIO(data), "WebP")
        with opened as image:
            n_found = getattr(image, "n_frames", 1)
            if n_found != n_frames:
                raise ValueError(f"the file has {n_frames} frames; {n_found} can be decoded")
            yield from _seek_frames(image)
    except MemoryError:
        raise
    except Exception as error:
        raise damage(name, error) from error


def _seek_frames(image: PillowImage) -> Iterator[UInt8Array]:
    for number in range(image.n_frames):  # type: ignore[attr-defined]  # of some formats only
        image.seek(number)
        yield np.asarray(image.convert("RGBA"))


def is_animated_pillow_image(image: object) -> TypeGuard[PillowImage]:
    """Return whether an image is one of Pillow's, of a file of several frames."""
    return getattr(image, "is_animated", False) and getattr(image, "format", "") in PILLOW_ANIMATED


def _open_pillow_animation(image: PillowImage, reading: ReadOptions) -> Animation:
    """Return the frames of an image that Pillow has opened, which is left at the frame it is at."""
    here = image.tell()
    durations = []
    for number in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(number)
        image.load()  # some formats tell the duration then
        durations.append(float(image.info.get("duration", 0)))
    loop = int(image.info.get("loop", 1))
    if image.format == "GIF" and loop:
        loop = min(loop + int("loop" in image.info), MAX_LOOP)
    image.seek(here)

    def read() -> Iterator[UInt8Array]:
        yield from _seek_frames(image)
        image.seek(here)

    frames: tuple[int, ...] = (len(durations), image.height, image.width, 4)
    name = f"{type(image).__name__} {frames}"
    try:
        check_page(1, reading.page)
        shape, read_upright = _turn(frames, read, read_orientation(image))
        read_settled, attached = _convert(read_upright, shape, _gather(image, reading), reading)
    except PixelsNotAllowedError as error:
        raise ValueError(f"{name}: {error}") from error
    origin = Origin(name, math.prod(shape), attached=attached)
    return Animation(FrameReader(shape, read_settled), durations, loop, origin=origin)
