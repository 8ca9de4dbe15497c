"""The blocks of a GIF, written and walked.

Each frame of a file is read as a still of its own, which Pillow decodes. Frames are put together by
`files.compose`, as browsers do it: what a frame leaves free is transparent, where Pillow fills it
with a color of the palette.
Specification: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from fastkq.colors.pixels import OPAQUE
from fastkq.files.compose import BACKGROUND, KEEP, OVER, PREVIOUS, Film, Patch
from fastkq.files.mark import GIF_COMMENT
from fastkq.files.timing import GIF_TICK
from fastkq.types import UInt8Array

SIGNATURES = (b"GIF87a", b"GIF89a")
HEADER = struct.Struct("<HHBBB")  # width, height, flags, background, aspect ratio
DESCRIPTOR = struct.Struct("<HHHHB")  # left, top, width, height, flags
CONTROL = struct.Struct("<BHB")  # flags, delay in 1/100 s, transparent index
HAS_TABLE, TABLE_BITS = 0x80, 7
COLORS_OF_8_BITS = 0x70
EXTENSION, IMAGE, TRAILER = b"!", b",", b";"
CONTROL_LABEL, APPLICATION_LABEL = 0xF9, 0xFF
LOOPING = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
HAS_TRANSPARENT = 1
DISPOSALS = {2: BACKGROUND, 3: PREVIOUS}  # others leave the frame as it is
DISPOSAL_FIELDS = {KEEP: 1, BACKGROUND: 2, PREVIOUS: 3}
MAX_BLOCK = 255


def begin(shape: tuple[int, int], palette: UInt8Array) -> bytes:
    """Return the beginning of a file (H, W): its header, a palette (K, 3 or 4), and our mark."""
    flags = HAS_TABLE | COLORS_OF_8_BITS | table_bits(len(palette))
    header = HEADER.pack(shape[1], shape[0], flags, 0, 0)
    return b"".join([SIGNATURES[1], header, color_table(palette), GIF_COMMENT])


def looping(loop: int) -> bytes:
    """Return the block that says how often an animation is played; there is none for once."""
    if loop == 1:
        return b""
    name = bytes([APPLICATION_LABEL, len(LOOPING[0])]) + LOOPING[0]
    repeats = max(0, loop - 1).to_bytes(2, "little")
    return EXTENSION + name + b"\x03\x01" + repeats + b"\0"


def control(transparent: int | None, ticks: int = 0, disposal: int | None = None) -> bytes:
    """Return the block before a frame: its transparent entry, its time, and what becomes of it."""
    field = 0 if disposal is None else DISPOSAL_FIELDS[disposal]
    flags = field << 2 | (HAS_TRANSPARENT if transparent is not None else 0)
    head = EXTENSION + bytes([CONTROL_LABEL, CONTROL.size])
    return head + CONTROL.pack(flags, ticks, transparent or 0) + b"\0"


def picture(
    place: tuple[int, int, int, int], codes: bytes, palette: UInt8Array | None = None
) -> bytes:
    """Return a frame (x, y, width, height) of codes in blocks, with colors of its own if given."""
    flags = 0 if palette is None else HAS_TABLE | table_bits(len(palette))
    table = b"" if palette is None else color_table(palette)
    return b"".join([IMAGE, DESCRIPTOR.pack(*place, flags), table, codes])


def cut_blocks(data: bytes) -> bytes:
    """Return data in blocks of up to 255 bytes, each behind its length, and an empty one."""
    parts = []
    for start in range(0, len(data), MAX_BLOCK):
        block = data[start : start + MAX_BLOCK]
        parts += [bytes([len(block)]), block]
    return b"".join([*parts, b"\0"])


def color_table(palette: UInt8Array) -> bytes:
    """Return the colors of a palette (K, 3 or 4), filled up with black."""
    return palette[:, :3].tobytes().ljust(3 * (2 << table_bits(len(palette))), b"\0")


def check_opaque_or_clear(palette: UInt8Array) -> None:
    """Raise ValueError for a palette with colors that a GIF cannot have."""
    if palette.shape[1] == 4 and np.any((palette[:, 3] > 0) & (palette[:, 3] < OPAQUE)):
        raise ValueError(
            "the palette has translucent colors; png and webp are allowed, not gif, or a "
            "background, which makes the image opaque"
        )


def count_gif_frames(data: bytes) -> int:
    """Return how many frames a GIF has, with one that it ends inside of.

    One that is to be repeated and has no trailer lacks at least a frame.
    """
    n_frames = 0
    kind, is_looped = b"", False
    try:
        for kind, place in _walk(data):
            n_frames += kind == IMAGE
            is_looped |= kind == EXTENSION and data[place].startswith(LOOPING, 3)
    except ValueError:
        return n_frames + 1
    return n_frames + (is_looped and kind != TRAILER)


def split_gif(data: bytes, *, allow_truncated: bool = False) -> Film:
    """Return the frames of a GIF and what it says of their time.

    Some programs leave out the trailer, and so does what was cut off between two frames: who
    allows for the latter gets the frames that are there.

    Raises
    ------
    ValueError
        The file ends inside a block, or before its trailer.
    """
    width, height, flags, *_ = HEADER.unpack_from(data, len(SIGNATURES[0]))
    table = data[_table(data, len(SIGNATURES[0]) + HEADER.size, flags)]
    patches: list[Patch] = []
    loop, control = 1, (0, 0, 0)
    kind = b""
    for kind, place in _walk(data):
        if kind == IMAGE:
            patches.append(_cut_frame(data, place, table, control))
            control = (0, 0, 0)
        elif kind == TRAILER:
            break
        elif data[place.start + 1] == CONTROL_LABEL and data[place.start + 2] >= CONTROL.size:
            control = CONTROL.unpack_from(data, place.start + 3)
        elif data[place.start + 1] == APPLICATION_LABEL:
            loop = _read_loop(data[place], loop)
    if kind != TRAILER and not allow_truncated:
        raise ValueError("the file ends before its trailer, so that frames may be missing")
    if patches:  # as browsers have it, the first frame may be larger than the screen
        first = patches[0]
        width, height = (max(width, first.x + first.width), max(height, first.y + first.height))
    return Film(width, height, patches, loop)


def _read_loop(block: bytes, loop: int) -> int:
    """Return how often an animation is played, 0 for ever; a GIF says how often it is repeated."""
    if not block[3:].startswith(LOOPING) or len(block) < 18 or block[15] != 1:
        return loop
    (repeats,) = struct.unpack_from("<H", block, 16)
    return min(repeats + 1, 65535) if repeats else 0


def _cut_frame(data: bytes, place: slice, table: bytes, control: tuple[int, int, int]) -> Patch:
    """Return a frame with a file of its own: the size of its rectangle, with its colors."""
    start = place.start + 1
    left, top, width, height, flags = DESCRIPTOR.unpack_from(data, start)
    control_flags, delay, transparent = control
    rest = data[start + DESCRIPTOR.size : place.stop]
    bits = table_bits(len(table) // 3)
    still = b"".join(
        [
            SIGNATURES[1],
            HEADER.pack(width, height, HAS_TABLE | bits if table else 0, 0, 0),
            table,
            EXTENSION + bytes([CONTROL_LABEL, CONTROL.size]),
            CONTROL.pack(control_flags & HAS_TRANSPARENT, 0, transparent) + b"\0",
            IMAGE + DESCRIPTOR.pack(0, 0, width, height, flags),
            rest,
            TRAILER,
        ]
    )
    disposal = DISPOSALS.get(control_flags >> 2 & 7, KEEP)
    return Patch(left, top, width, height, still, delay * GIF_TICK, disposal, OVER)


def table_bits(n_colors: int) -> int:
    """Return the field of a GIF for the size of a color table: it has 2 << bits entries."""
    return max(0, (n_colors - 1).bit_length() - 1)


def _walk(data: bytes) -> Iterator[tuple[bytes, slice]]:
    """Yield the extensions, images and trailer, if any, of a GIF, and where each of them is."""
    if not data.startswith(SIGNATURES) or len(data) < len(SIGNATURES[0]) + HEADER.size:
        raise ValueError("the file ends inside its header")
    flags = data[len(SIGNATURES[0]) + 4]
    position = _table(data, len(SIGNATURES[0]) + HEADER.size, flags).stop
    while position < len(data):
        start, kind = position, data[position : position + 1]
        if kind == TRAILER:
            yield kind, slice(start, start + 1)
            return
        if kind == EXTENSION:
            position = _skip_blocks(data, start + 2)
        elif kind == IMAGE:
            end = start + 1 + DESCRIPTOR.size
            if end >= len(data):
                raise ValueError("the file ends inside a frame's header")
            position = _skip_blocks(data, _table(data, end, data[end - 1]).stop + 1)
        else:
            raise ValueError(f"there is a block of the unknown kind {kind[0]} at byte {start}")
        yield kind, slice(start, position)


def _table(data: bytes, position: int, flags: int) -> slice:
    """Return where a color table is that may begin at a position."""
    n_bytes = 3 << 1 + (flags & TABLE_BITS) if flags & HAS_TABLE else 0
    return slice(position, position + n_bytes)


def _skip_blocks(data: bytes, position: int) -> int:
    """Return where a chain of data blocks, which an empty one ends, is over."""
    while position < len(data):
        length = data[position]
        position += 1 + length
        if length == 0:
            return position
    raise ValueError("the file ends inside a block")
