"""Animated WebP: lossless frames, which replace what was there or lie over it.

libwebp encodes the frames as stills; here they are put together. Its own encoder of animations
takes whole frames, and looks for what changes anew.
Specification: https://developers.google.com/speed/webp/docs/riff_container
"""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np

from fastkq.colors.pixels import OPAQUE
from fastkq.files.attached import NOTHING, Attached
from fastkq.files.compose import OVER, SOURCE
from fastkq.files.deltas import DRAWN, Drawing, Rectangle, unpack_colors
from fastkq.files.formats import WEBP_BEST_EFFORT, WEBP_EFFORT, webp_parts
from fastkq.files.timing import webp_clock
from fastkq.types import UInt8Array

HAS_PROFILE, HAS_ALPHA, HAS_EXIF, HAS_XMP, IS_ANIMATED = 0x20, 0x10, 0x08, 0x04, 0x02
DOES_NOT_BLEND = 2
RIFF_HEAD, CHUNK_HEAD = 12, 8


class WebpWriter:
    """Puts the frames of an animated WebP together.

    Parameters
    ----------
    shape : (H, W)
    loop : int, how often it is played, 0 for ever
    attached : Attached, what comes with it
    optimize : bool
        Whether to take several times as long for a smaller file.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        loop: int,
        *,
        attached: Attached = NOTHING,
        optimize: bool = False,
    ) -> None:
        self._shape, self._loop, self._attached = shape, loop, attached
        self._effort: dict[str, Any] = WEBP_BEST_EFFORT if optimize else WEBP_EFFORT
        self._clock = webp_clock()
        self._frames: list[bytes] = []

    def encode(self, drawing: Drawing) -> tuple[Rectangle, int, bytes]:
        """Return where a frame is, how it is drawn, and its pixels as a chunk."""
        colors = unpack_colors(drawing.shown)
        ways = [(SOURCE, colors)]
        held = drawing.kinds != DRAWN
        if drawing.is_over and held.any():
            ways.append((OVER, np.where(held[..., None], np.uint8(0), colors)))
        found = [(drawing.place, blend, self._compress(image)) for blend, image in ways]
        return min(found, key=lambda way: len(way[2]))

    def _compress(self, colors: UInt8Array) -> bytes:
        from PIL import Image

        if (colors[..., 3] == OPAQUE).all():
            colors = np.ascontiguousarray(colors[..., :3])
        buffer = io.BytesIO()
        Image.fromarray(colors).save(buffer, "WEBP", lossless=True, exact=True, **self._effort)
        return _cut_pixels(buffer.getvalue())

    def write(self, data: tuple[Rectangle, int, bytes], duration: float, *_: Any) -> None:
        """Append a frame that was encoded."""
        place, blend, pixels = data
        numbers = (place.x // 2, place.y // 2, place.width - 1, place.height - 1)
        fields = [*numbers, self._clock.ticks(duration)]
        head = b"".join(field.to_bytes(3, "little") for field in fields)
        flags = 0 if blend == OVER else DOES_NOT_BLEND
        self._frames.append(_chunk(b"ANMF", head + bytes([flags]) + pixels))

    def finish(self) -> bytes:
        """Return the file."""
        height, width = self._shape
        profile, exif, xmp = webp_parts(self._attached)
        flags = IS_ANIMATED | HAS_EXIF | HAS_ALPHA
        flags |= (HAS_PROFILE if profile else 0) | (HAS_XMP if xmp else 0)
        sides = b"".join((side - 1).to_bytes(3, "little") for side in (width, height))
        parts = [_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides)]
        if profile:
            parts.append(_chunk(b"ICCP", profile))
        parts.append(_chunk(b"ANIM", bytes(4) + struct.pack("<H", self._loop)))
        ends = [_chunk(b"EXIF", exif)] + ([_chunk(b"XMP ", xmp)] if xmp else [])
        body = b"WEBP" + b"".join(parts + self._frames + ends)
        return _chunk(b"RIFF", body)


def _cut_pixels(still: bytes) -> bytes:
    """Return the chunk of a lossless still that has its pixels."""
    position = RIFF_HEAD
    while True:
        kind, length = struct.unpack_from("<4sI", still, position)
        end = position + CHUNK_HEAD + length + length % 2
        if kind == b"VP8L":
            return still[position:end]
        position = end


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
