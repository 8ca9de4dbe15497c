"""The blocks of a GIF: each frame as a still of its own, which Pillow decodes.

Frames are put together by `files.compose`, as browsers do it: what a frame leaves free is
transparent, where Pillow fills it with a color of the palette.
Specification: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from fastkq.files.compose import BACKGROUND, KEEP, OVER, PREVIOUS, Film, Patch

SIGNATURES = (b"GIF87a", b"GIF89a")
HEADER = struct.Struct("<HHBBB")  # width, height, flags, background, aspect ratio
DESCRIPTOR = struct.Struct("<HHHHB")  # left, top, width, height, flags
CONTROL = struct.Struct("<BHB")  # flags, delay in 1/100 s, transparent index
HAS_TABLE, TABLE_BITS = 0x80, 7
EXTENSION, IMAGE, TRAILER = b"!", b",", b";"
CONTROL_LABEL, APPLICATION_LABEL = 0xF9, 0xFF
LOOPING = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
HAS_TRANSPARENT = 1
TICK = 10.0  # ms
DISPOSALS = {2: BACKGROUND, 3: PREVIOUS}  # others leave the frame as it is


def count_gif_frames(data: bytes) -> int:
    """Return how many frames a GIF has, with one that it ends inside of."""
    n_frames = 0
    try:
        for kind, _ in _walk(data):
            n_frames += kind == IMAGE
    except ValueError:
        n_frames += 1
    return n_frames


def split_gif(data: bytes) -> Film:
    """Return the frames of a GIF and what it says of their time.

    Raises
    ------
    ValueError
        The file ends inside a block.
    """
    width, height, flags, *_ = HEADER.unpack_from(data, len(SIGNATURES[0]))
    table = data[_table(data, len(SIGNATURES[0]) + HEADER.size, flags)]
    patches: list[Patch] = []
    loop, control = 1, (0, 0, 0)
    for kind, place in _walk(data):
        if kind == IMAGE:
            patches.append(_cut_frame(data, place, table, control))
            control = (0, 0, 0)
        elif data[place.start + 1] == CONTROL_LABEL and data[place.start + 2] >= CONTROL.size:
            control = CONTROL.unpack_from(data, place.start + 3)
        elif data[place.start + 1] == APPLICATION_LABEL:
            loop = _read_loop(data[place], loop)
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
    return Patch(left, top, width, height, still, delay * TICK, disposal, OVER)


def table_bits(n_colors: int) -> int:
    """Return the field of a GIF for the size of a color table: it has 2 << bits entries."""
    return max(0, (n_colors - 1).bit_length() - 1)


def _walk(data: bytes) -> Iterator[tuple[bytes, slice]]:
    """Yield the extensions and images of a GIF, and where each of them is.

    Some programs leave out the trailer, so a file may end behind any block.
    """
    if not data.startswith(SIGNATURES) or len(data) < len(SIGNATURES[0]) + HEADER.size:
        raise ValueError("the file ends inside its header")
    flags = data[len(SIGNATURES[0]) + 4]
    position = _table(data, len(SIGNATURES[0]) + HEADER.size, flags).stop
    while position < len(data):
        start, kind = position, data[position : position + 1]
        if kind == TRAILER:
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
