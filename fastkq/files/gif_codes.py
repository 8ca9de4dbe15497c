"""The LZW codes of a GIF, from labels: in blocks, behind the bits that a label takes."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from fastkq import kernels
from fastkq.files.deltas import DRAWN, Drawing
from fastkq.files.gif_blocks import cut_blocks
from fastkq.types import Array, UInt8Array

# A dictionary of 4096 strings is forgotten at once when it is full, or as soon as a number of codes
# stand for fewer pixels than so many before, by so much. Neither is always smaller; of frames that
# fill none, both are the same.
AT_ONCE, WHEN_WORSE = (1, np.inf), (256, 0.9)
FULL_BYTES = 5000  # fewer fill no dictionary


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
    def near(self) -> Array: ...  # noqa: D102
    @property
    def passed_on(self) -> float: ...  # noqa: D102


def encode_still(labels: UInt8Array, n_colors: int) -> bytes:
    """Return the codes of labels (H, W): with a table for all rows, or one a strip.

    The fewer bytes are kept. `lossy` chooses labels for tables of strips.
    """
    height, width = labels.shape
    root_bits, strip_rows = kernels.lzw.root_bits(n_colors), kernels.lzw.rows_of_strip(width)
    labels = np.ascontiguousarray(labels)
    streams = [_pack_strips(labels, root_bits, height)]
    if strip_rows < height:
        streams.append(_pack_strips(labels, root_bits, strip_rows))
    return _in_blocks(min(streams, key=len), root_bits)


def encode_labels(labels: UInt8Array, kinds: UInt8Array, transparent: int | None) -> bytes:
    """Return the codes of the labels (h, w) of a frame, by the kinds of `deltas`."""
    flat, kinds = labels.reshape(-1), kinds.reshape(-1)
    mark = 0 if transparent is None else transparent
    largest = max(int(flat.max()), mark if (kinds != DRAWN).any() else 0)
    root_bits = kernels.lzw.root_bits(largest + 1)
    lzw = kernels.lzw_frames
    scratch = (
        np.empty((kernels.lzw.N_CODES, 256), np.int16),
        np.empty(kernels.lzw.N_CODES, np.uint8),
        np.empty((2, lzw.BEAM), np.int64),
        np.empty(kernels.lzw.most_codes(len(flat)), np.int16),
    )
    streams: list[bytes] = []
    for window, decline in (AT_ONCE, WHEN_WORSE):
        n_codes = lzw.find_codes(flat, kinds, mark, root_bits, window, decline, *scratch)
        streams.append(_pack(scratch[-1][:n_codes], root_bits))
        if len(streams[0]) < FULL_BYTES:
            break
    return _in_blocks(min(streams, key=len), root_bits)


def choose_labels(costs: Costs, drawing: Drawing) -> tuple[bytes, UInt8Array]:
    """Return the codes of a frame with errors that make them fewer, and its labels (h, w)."""
    n_codes = kernels.lzw.N_CODES
    root_bits = kernels.lzw.root_bits(len(costs.points))
    labels = np.empty(drawing.labels.shape, np.uint8)
    width, n_pixels = drawing.place.width, labels.size
    codes = np.empty(kernels.lzw.most_codes(n_pixels), np.int16)
    window, decline = WHEN_WORSE
    # Without an entry for it, nothing is held.
    is_drawn = drawing.transparent is None
    n_found = kernels.lzw_lossy.find_codes(
        labels.reshape(-1),
        np.full(n_pixels, DRAWN, np.uint8) if is_drawn else costs.kinds,
        width,
        -1 if drawing.transparent is None else drawing.transparent,
        costs.targets,
        costs.held,
        costs.points,
        costs.allowed,
        costs.near,
        np.float32(costs.passed_on),
        root_bits,
        window,
        decline,
        np.empty((3, n_codes), np.int16),
        np.empty(n_codes, np.uint8),
        np.empty((2, kernels.lzw_lossy.BEAM), np.int64),
        np.empty((2, kernels.lzw_lossy.BEAM, 4), np.float32),
        np.zeros(3, np.float32),
        np.zeros((2, width + 2, 3), np.float32),
        codes,
    )
    return _in_blocks(_pack(codes[:n_found], root_bits), root_bits), labels


def _pack_strips(labels: UInt8Array, root_bits: int, strip_rows: int) -> bytes:
    n_slots, n_strips = int(kernels.lzw.N_SLOTS), -(-len(labels) // strip_rows)
    codes = np.empty(kernels.lzw.most_codes(labels.size, n_strips), np.int16)
    labels = labels.view()
    labels.flags.writeable = False  # as the kernel is compiled for
    keys, phrases = np.empty(n_slots, np.int32), np.empty(n_slots, np.int16)
    n_codes = kernels.lzw.find_codes(labels, root_bits, strip_rows, keys, phrases, codes)
    return _pack(codes[:n_codes], root_bits)


def _pack(codes: Array, root_bits: int) -> bytes:
    """Return the stream of codes (n,) int16."""
    stream = np.empty(kernels.lzw.packed_size(len(codes)), np.uint8)
    return stream[: kernels.lzw.pack(codes, root_bits, stream)].tobytes()


def _in_blocks(stream: bytes, root_bits: int) -> bytes:
    return bytes([root_bits]) + cut_blocks(stream)
