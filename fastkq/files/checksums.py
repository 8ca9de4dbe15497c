"""Whether a PNG is whole: its checksums, and the length of its pixels.

Pillow looks at neither the checksums of IDAT chunks nor at the number of rows that they have: what
is damaged in transfer has wrong pixels, and what ends early has black ones.
Specification: https://www.w3.org/TR/png-3/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import deflate
from zlib_ng import zlib_ng

from fastkq.files.attached import COLOR_CHUNKS
from fastkq.files.mark import PNG_SIGNATURE
from fastkq.types import Array

GRAY, RGB, INDEXED, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
DEPTHS = {
    GRAY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    INDEXED: (1, 2, 4, 8),
    GRAY_ALPHA: (8, 16),
    RGBA: (8, 16),
}
N_CHANNELS = {GRAY: 1, RGB: 3, INDEXED: 1, GRAY_ALPHA: 2, RGBA: 4}
HEADER = struct.Struct(">IIBBBBB")
IS_ANCILLARY = 0x20  # a bit of a chunk's first letter: decoders may do without it
# Adam7: where each pass begins and how far its pixels are apart, in x and in y.
PASSES = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2))
LAST_PASS = (0, 1, 1, 2)
PIECE_BYTES = 1 << 20
MAX_RATIO = 1032  # deflate makes no more of a byte


@dataclass(frozen=True, eq=False)
class PngFacts:
    """What the chunks of a PNG say.

    Attributes
    ----------
    width, height : int
    depth : int, bits of a channel
    color_type : int
    is_interlaced : bool
    key : tuple of int, or None
        The color of gray or RGB that is transparent, in levels of `depth` bits.
    fill : tuple of int
        The color that its decoder leaves where rows are missing: black, or the palette's first.
    idat : list of memoryview
        The pieces of the deflated rows.
    colors : tuple of (kind, data)
        The chunks, other than a profile, that say how its values are meant.
    """

    width: int
    height: int
    depth: int
    color_type: int
    is_interlaced: bool
    key: tuple[int, ...] | None
    fill: tuple[int, ...]
    idat: list[memoryview]
    colors: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def n_row_bytes(self) -> int:
        """The bytes of all rows, each behind the number of its filter."""
        passes = (*PASSES, LAST_PASS) if self.is_interlaced else ((0, 1, 0, 1),)
        bits = self.depth * N_CHANNELS[self.color_type]
        total = 0
        for left, x_step, top, y_step in passes:
            columns = max(0, -(-(self.width - left) // x_step))
            rows = max(0, -(-(self.height - top) // y_step))
            total += rows * (1 + -(-columns * bits // 8)) if columns else 0
        return total


def check_png(data: bytes, *, allow_truncated: bool = False) -> PngFacts:
    """Return the facts of a PNG file; one that ends early may be allowed, wrong checksums never.

    Raises
    ------
    ValueError
        The file ends inside a chunk that is needed, or such a chunk is missing or damaged.
    """
    header, key, fill, idat = None, b"", b"", []
    for kind, body in _read_chunks(data, allow_truncated=allow_truncated):
        if kind == b"IHDR" and len(body) == HEADER.size:
            header = HEADER.unpack(body)
        elif kind == b"tRNS":
            key = bytes(body)
        elif kind == b"PLTE":
            fill = bytes(body[:3])
        elif kind == b"IDAT":
            idat.append(body)
    if header is None or not idat:
        raise ValueError(f"the file has no {'IDAT' if header else 'IHDR'} chunk")
    width, height, depth, color_type, _, _, interlace = header
    if depth not in DEPTHS.get(color_type, ()):
        raise ValueError(f"the header says color type {color_type} of {depth} bits, which is none")
    levels = _read_key(key, depth) if color_type in (GRAY, RGB) else ()
    facts = PngFacts(
        width,
        height,
        depth,
        color_type,
        is_interlaced=interlace == 1,
        key=levels if len(levels) == N_CHANNELS[color_type] else None,
        fill=tuple(fill) if color_type == INDEXED else (0,),
        idat=idat,
        colors=read_colors(data),
    )
    n_bytes = sum(map(len, idat))
    if facts.n_row_bytes > MAX_RATIO * n_bytes and not allow_truncated:
        raise ValueError(
            f"the file has {n_bytes} bytes of deflated pixels; {width} x {height} of them need at "
            f"least {facts.n_row_bytes // MAX_RATIO}"
        )
    return facts


def read_colors(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the chunks, other than a profile, that say how the values of a PNG are meant.

    Those that are damaged, or come too late, are left out.
    """
    colors: dict[bytes, bytes] = {}
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if kind in (b"PLTE", b"IDAT"):
            break
        if length == COLOR_CHUNKS.get(kind) and end + 4 <= len(data):
            body = data[end - length : end]
            (expected,) = struct.unpack_from(">I", data, end)
            if deflate.crc32(body, deflate.crc32(kind)) == expected:
                colors.setdefault(kind, body)
        position = end + 4
    return tuple(colors.items())


def _read_chunks(data: bytes, *, allow_truncated: bool) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the kinds and bodies of the chunks up to IEND; check those that are needed."""
    view, position = memoryview(data), len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = view[position + 8 : position + 8 + length]
        end = position + 8 + length
        is_needed = not kind[0] & IS_ANCILLARY and kind != b"IEND"
        if end + 4 > len(data):
            if is_needed and not allow_truncated:
                raise ValueError(f"the file ends inside its {kind.decode('latin-1')} chunk")
            if kind == b"IDAT":
                yield kind, body
            return
        if is_needed:
            _check_checksum(kind, body, data, end)
        if kind == b"IEND":
            return
        yield kind, body
        position = end + 4


def _check_checksum(kind: bytes, body: memoryview, data: bytes, end: int) -> None:
    (expected,) = struct.unpack_from(">I", data, end)
    found = deflate.crc32(body, deflate.crc32(kind))
    if found != expected:
        raise ValueError(
            f"the checksum of its {kind.decode('latin-1')} chunk at byte {end - len(body) - 8} "
            f"is {expected:08x}; that of the chunk's bytes is {found:08x}"
        )


def _read_key(body: bytes, depth: int) -> tuple[int, ...]:
    """Return the levels of a tRNS chunk, of which only the bits of the depth count."""
    values = struct.unpack(f">{len(body) // 2}H", body[: len(body) // 2 * 2])
    return tuple(value & ((1 << depth) - 1) for value in values)


def check_rows(facts: PngFacts, array: Array, *, may_be_turned: bool) -> None:
    """Raise ValueError if a decoded PNG has fewer rows than its header says.

    The rows are inflated once more, which takes a tenth of the time of decoding, only where the
    last one looks as if it were missing. It is at any edge of an image that may have been turned
    upright. Interlaced rows come in another order.
    """
    colors = array.reshape(*array.shape[:2], -1)
    colors = colors[..., : 1 if colors.shape[2] < 3 else 3]
    edges = [colors[-1], colors[0], colors[:, 0], colors[:, -1]][: 4 if may_be_turned else 1]
    if not facts.is_interlaced and all((edge != facts.fill).any() for edge in edges):
        return
    inflater, n_bytes = zlib_ng.decompressobj(), 0
    for piece in facts.idat:
        rest: bytes | memoryview = piece
        while rest and not inflater.eof:
            n_bytes += len(inflater.decompress(rest, PIECE_BYTES))
            rest = inflater.unconsumed_tail
    n_bytes += len(inflater.flush())
    if n_bytes < facts.n_row_bytes:
        raise ValueError(
            f"the file has {n_bytes} bytes of pixels; {facts.width} x {facts.height} of them need "
            f"{facts.n_row_bytes}"
        )
