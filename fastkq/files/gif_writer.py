"""Animated GIF: frames of one table of colors or of one each, and who shows through where.

The codes are this package's own: where a pixel may have either of two labels, no other writer that
takes indices can choose.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from fastkq import kernels
from fastkq.colors.pixels import OPAQUE
from fastkq.files.compose import BACKGROUND, KEEP, PREVIOUS
from fastkq.files.deltas import DRAWN, Drawing
from fastkq.files.gif_blocks import (
    APPLICATION_LABEL,
    CONTROL,
    CONTROL_LABEL,
    DESCRIPTOR,
    EXTENSION,
    HAS_TABLE,
    HEADER,
    IMAGE,
    LOOPING,
    SIGNATURES,
    TICK,
    TRAILER,
    table_bits,
)
from fastkq.files.mark import GIF_COMMENT
from fastkq.files.timing import Clock
from fastkq.types import Array, UInt8Array

MOST_TICKS = 65535
LEAST_CODE_BITS = 2
MAX_BLOCK = 255
DISPOSAL_FIELDS = {KEEP: 1, BACKGROUND: 2, PREVIOUS: 3}
# A dictionary of 4096 strings is forgotten at once when it is full, or as soon as a number of codes
# stand for fewer pixels than so many before, by so much. Neither is always smaller; of frames that
# fill none, both are the same.
AT_ONCE, WHEN_WORSE = (1, np.inf), (256, 0.9)
FULL_BYTES = 5000  # fewer fill no dictionary


class GifWriter:
    """Puts the frames of a GIF together.

    Parameters
    ----------
    shape : (H, W)
    loop : int, how often it is played, 0 for ever
    palette : (K, 3) or (K, 4) uint8
        Of the first frame, and of all that come with the same one.
    """

    can_dispose = True

    def __init__(self, shape: tuple[int, int], loop: int, palette: UInt8Array) -> None:
        self._table = palette
        self._clock = Clock(TICK, MOST_TICKS, "gif", is_coarse=True)
        height, width = shape
        bits = table_bits(len(palette))
        self._parts = [
            SIGNATURES[1],
            HEADER.pack(width, height, HAS_TABLE | bits << 4 | bits, 0, 0),
            _color_table(palette),
            GIF_COMMENT,
        ]
        if loop != 1:  # what is repeated, beyond the first time
            name = bytes([APPLICATION_LABEL, len(LOOPING[0])]) + LOOPING[0]
            repeats = max(0, loop - 1).to_bytes(2, "little")
            self._parts.append(EXTENSION + name + b"\x03\x01" + repeats + b"\0")

    def encode(self, drawing: Drawing) -> bytes:
        """Return the pixels of a frame behind its header and colors."""
        palette = None if drawing.palette is self._table else drawing.palette
        codes = encode_labels(drawing.labels, drawing.kinds, drawing.transparent)
        return put_together(drawing, palette, codes)

    def encode_lossy(self, drawing: Drawing, costs: Costs) -> tuple[bytes, UInt8Array]:
        """Return a frame with errors that save codes, and the labels (h, w) that it shows then."""
        palette = None if drawing.palette is self._table else drawing.palette
        labels = np.empty(drawing.labels.size, np.uint8)
        codes = choose_codes(costs, labels, drawing)
        return put_together(drawing, palette, codes), labels.reshape(drawing.labels.shape)

    def write(
        self, data: bytes, duration: float, disposal: int = KEEP, transparent: int | None = None
    ) -> None:
        """Append a frame that was encoded."""
        flags = DISPOSAL_FIELDS[disposal] << 2 | (transparent is not None)
        control = CONTROL.pack(flags, self._clock.ticks(duration), transparent or 0)
        head = bytes([CONTROL_LABEL, CONTROL.size])
        self._parts += [EXTENSION + head + control + b"\0", data]

    def finish(self) -> bytes:
        """Return the file."""
        return b"".join([*self._parts, TRAILER])


class Costs(Protocol):
    """What decides over the labels of N pixels; see `animation.steady`."""

    @property
    def kinds(self) -> UInt8Array: ...  # noqa: D102 - described there
    @property
    def targets(self) -> Array: ...  # noqa: D102
    @property
    def held(self) -> Array: ...  # noqa: D102
    @property
    def points(self) -> Array: ...  # noqa: D102
    @property
    def allowed(self) -> Array: ...  # noqa: D102
    @property
    def passed_on(self) -> float: ...  # noqa: D102


def put_together(drawing: Drawing, palette: UInt8Array | None, codes: bytes) -> bytes:
    """Return the descriptor, the colors if they are its own, and the codes of a frame."""
    place, bits = drawing.place, 0 if palette is None else table_bits(len(palette))
    flags = 0 if palette is None else HAS_TABLE | bits
    return b"".join(
        [
            IMAGE + DESCRIPTOR.pack(place.x, place.y, place.width, place.height, flags),
            b"" if palette is None else _color_table(palette),
            codes,
        ]
    )


def encode_labels(labels: UInt8Array, kinds: UInt8Array, transparent: int | None) -> bytes:
    """Return the LZW codes of labels (h, w), in blocks, behind their bits."""
    flat, kinds = labels.reshape(-1), kinds.reshape(-1)
    mark = 0 if transparent is None else transparent
    largest = max(int(flat.max()), mark if (kinds != DRAWN).any() else 0)
    code_bits = max(LEAST_CODE_BITS, largest.bit_length())
    data = _shortest_codes(flat, kinds, mark, code_bits)
    return bytes([code_bits]) + cut_blocks(data)


def choose_codes(costs: Costs, labels: UInt8Array, drawing: Drawing) -> bytes:
    """Return the LZW codes of labels that are chosen for them, in blocks; fill in the labels."""
    lzw = kernels.lzw_frames
    code_bits = max(LEAST_CODE_BITS, (len(costs.points) - 1).bit_length())
    width, n_pixels = drawing.place.width, len(labels)
    out = np.empty(64 + 2 * n_pixels, np.uint8)
    window, decline = WHEN_WORSE
    # Without an entry for it, nothing is held.
    is_drawn = drawing.transparent is None
    n_bytes = kernels.lzw_lossy.encode(
        labels,
        np.full(n_pixels, DRAWN, np.uint8) if is_drawn else costs.kinds,
        width,
        -1 if drawing.transparent is None else drawing.transparent,
        costs.targets,
        costs.held,
        costs.points,
        costs.allowed,
        np.float32(costs.passed_on),
        code_bits,
        window,
        decline,
        np.empty((3, lzw.N_CODES), np.int16),
        np.empty(lzw.N_CODES, np.uint8),
        np.empty((2, kernels.lzw_lossy.BEAM), np.int64),
        np.empty((2, kernels.lzw_lossy.BEAM, 4), np.float32),
        np.zeros(3, np.float32),
        np.zeros((2, width + 2, 3), np.float32),
        np.zeros(3, np.int64),
        out,
    )
    return bytes([code_bits]) + cut_blocks(out[:n_bytes].tobytes())


def _shortest_codes(flat: UInt8Array, kinds: UInt8Array, mark: int, code_bits: int) -> bytes:
    lzw = kernels.lzw_frames
    scratch = (
        np.empty((lzw.N_CODES, 256), np.int16),
        np.empty(lzw.N_CODES, np.uint8),
        np.empty((2, lzw.BEAM), np.int64),
        np.empty(3, np.int64),
    )
    out = np.empty(64 + 3 * len(flat) // 2 + len(flat) // 1000, np.uint8)
    found: list[bytes] = []
    for window, decline in (AT_ONCE, WHEN_WORSE):
        n_bytes = lzw.encode(flat, kinds, mark, code_bits, window, decline, *scratch, out)
        found.append(out[:n_bytes].tobytes())
        if n_bytes < FULL_BYTES:
            break
    return min(found, key=len)


def cut_blocks(data: bytes) -> bytes:
    """Return data in blocks of up to 255 bytes, each behind its length, and an empty one."""
    parts = []
    for start in range(0, len(data), MAX_BLOCK):
        block = data[start : start + MAX_BLOCK]
        parts += [bytes([len(block)]), block]
    return b"".join([*parts, b"\0"])


def _color_table(palette: UInt8Array) -> bytes:
    table = np.zeros((2 << table_bits(len(palette)), 3), np.uint8)
    table[: len(palette)] = palette[:, :3]
    return table.tobytes()


def check_opaque_or_clear(palette: UInt8Array) -> None:
    """Raise ValueError for a palette with colors that a GIF cannot have."""
    if palette.shape[1] == 4 and np.any((palette[:, 3] > 0) & (palette[:, 3] < OPAQUE)):
        raise ValueError(
            "the palette has translucent colors; png and webp are allowed, not gif, or a "
            "background, which makes the image opaque"
        )
