"""Whether the frames of a written animation, decoded again, are those that were drawn."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Sequence

from fastkq.colors.pixels import with_alpha
from fastkq.files.animations import open_animation_file
from fastkq.files.deltas import Packed, pack_colors
from fastkq.files.errors import os_error
from fastkq.files.reading import ReadOptions

# What this package has made has as many pixels as it has.
ANY_SIZE = ReadOptions(max_pixels=1 << 62)


def digest(seen: Packed) -> bytes:
    """Return 16 bytes that stand for the packed colors (H, W) of a frame."""
    return hashlib.blake2b(seen.tobytes(), digest_size=16).digest()


def check_frames(data: bytes, digests: Sequence[bytes]) -> None:
    """Raise OSError unless the frames of a file are those of the digests."""
    found = open_animation_file(data, "the output", reading=ANY_SIZE)
    if len(found) != len(digests):
        raise _other(f"{len(found)} frames instead of {len(digests)}")
    for number, (frame, expected) in enumerate(zip(found, digests, strict=True)):
        if digest(pack_colors(with_alpha(frame))) != expected:
            raise _other(f"other pixels in frame {number}")


def _other(what: str) -> OSError:
    return os_error(errno.EIO, f"the output, decoded again, has {what}")
