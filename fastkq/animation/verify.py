"""Whether a written animation, decoded again, has the frames, times and loop that it was given."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from fastkq.colors.pixels import with_alpha
from fastkq.files.animations import open_animation_file
from fastkq.files.deltas import Packed, pack_colors
from fastkq.files.errors import os_error
from fastkq.files.reading import ReadOptions
from fastkq.files.timing import durations_held

# What this package has made has as many pixels as it has.
ANY_SIZE = ReadOptions(max_pixels=1 << 62)


@dataclass(frozen=True)
class WrittenFrame:
    """What a frame of a file must be: the digest of what is seen, and its duration in ms."""

    digest: bytes
    duration: float


def digest(seen: Packed) -> bytes:
    """Return 16 bytes that stand for the packed colors (H, W) of a frame."""
    return hashlib.blake2b(seen.tobytes(), digest_size=16).digest()


def check_film(data: bytes, format: str, frames: Sequence[WrittenFrame], loop: int) -> None:
    """Raise OSError unless a file of a format has these frames, their times, and the loop.

    A duration is expected as the format can hold it: in a GIF, it is rounded to 1/100 s.
    """
    found = open_animation_file(data, "the output", reading=ANY_SIZE)
    if len(found) != len(frames):
        raise _other(f"{len(found)} frames instead of {len(frames)}")
    if found.loop != loop:
        raise _other(f"the loop count {found.loop} instead of {loop}")
    held = durations_held(format, [frame.duration for frame in frames])
    for number, (duration, expected) in enumerate(zip(found.durations, held, strict=True)):
        if duration != expected:
            raise _other(f"frame {number} shown for {duration:g} ms instead of {expected:g} ms")
    for number, (pixels, frame) in enumerate(zip(found, frames, strict=True)):
        if digest(pack_colors(with_alpha(pixels))) != frame.digest:
            raise _other(f"other pixels in frame {number}")


def _other(what: str) -> OSError:
    return os_error(errno.EIO, f"the output, decoded again, has {what}")
