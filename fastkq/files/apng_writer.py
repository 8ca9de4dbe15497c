"""Animated PNG: frames of one palette, which replace what was there or lie over it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastkq.files.apng import CONTROL, FRAME, NUMBER_BYTES, make_chunk
from fastkq.files.attached import NOTHING, Attached
from fastkq.files.compose import OVER, SOURCE
from fastkq.files.deltas import DRAWN, Drawing, Rectangle
from fastkq.files.png import (
    COLOR_TYPE_INDEXED,
    attached_chunks,
    bits_per_index,
    deflate_fast,
    deflate_rows,
    palette_chunks,
    pays_filtering,
    png_head,
)
from fastkq.files.timing import as_fraction
from fastkq.types import UInt8Array


class ApngWriter:
    """Puts the frames of an animated PNG together.

    Parameters
    ----------
    shape : (H, W)
    loop : int, how often it is played, 0 for ever
    palette : (K, 3) or (K, 4) uint8, of all frames
    attached : Attached, what comes with it
    optimize : bool
        Whether to take several times as long for a smaller file.
    bit_depth : int, optional
        Of an index; as few as number the palette by default.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        loop: int,
        palette: UInt8Array,
        *,
        attached: Attached = NOTHING,
        optimize: bool = False,
        bit_depth: int | None = None,
    ) -> None:
        self._shape, self._loop, self._palette = shape, loop, palette
        self._attached, self._optimize = attached, optimize
        self._bits = bit_depth or bits_per_index(len(palette))
        self._parts: list[bytes] = []
        self._n_frames = self._number = 0

    def encode(self, drawing: Drawing) -> tuple[Rectangle, int, bytes]:
        """Return where a frame is, how it is drawn, and its deflated pixels."""
        ways = [(SOURCE, drawing.labels)]
        held = drawing.kinds != DRAWN
        if drawing.is_over and drawing.transparent is not None and held.any():
            ways.append((OVER, np.where(held, np.uint8(drawing.transparent), drawing.labels)))
        found = [(drawing.place, blend, self._deflate(labels)) for blend, labels in ways]
        return min(found, key=lambda way: len(way[2]))

    def _deflate(self, labels: UInt8Array) -> bytes:
        fast = deflate_fast(labels, self._bits, is_frame=True)
        if not self._optimize:
            return fast
        is_filtered = pays_filtering(labels, self._bits)
        best = deflate_rows(labels, self._bits, filtered=is_filtered)
        return min(fast, best, key=len)

    def write(self, data: tuple[Rectangle, int, bytes], duration: float, *_: Any) -> None:
        """Append a frame that was encoded."""
        place, blend, deflated = data
        fields = (place.width, place.height, place.x, place.y, *as_fraction(duration), 0, blend)
        self._parts.append(make_chunk(b"fcTL", FRAME.pack(self._number, *fields)))
        self._number += 1
        if self._n_frames == 0:
            self._parts.append(make_chunk(b"IDAT", deflated))
        else:
            number = self._number.to_bytes(NUMBER_BYTES, "big")
            self._parts.append(make_chunk(b"fdAT", number + deflated))
            self._number += 1
        self._n_frames += 1

    def finish(self) -> bytes:
        """Return the file."""
        control = CONTROL.pack(self._n_frames, self._loop)
        before = [*attached_chunks(self._attached), (b"acTL", control)]
        chunks = before + palette_chunks(self._palette)
        head = png_head(self._shape, self._bits, COLOR_TYPE_INDEXED, chunks)
        return b"".join([head, *self._parts, make_chunk(b"IEND", b"")])
