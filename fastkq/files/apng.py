"""The chunks of an animated PNG: each frame as a PNG of its own, which is decoded as any other.

Specification: https://www.w3.org/TR/png-3/#apng-frame-based-animation
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

import deflate

from fastkq.files.compose import BACKGROUND, KEEP, OVER, PREVIOUS, SOURCE, Film, Patch
from fastkq.files.mark import PNG_SIGNATURE

CONTROL = struct.Struct(">II")  # acTL: frames, plays
FRAME = struct.Struct(">IIIIIHHBB")  # fcTL: number, size, place, duration, disposal, blend
NUMBER_BYTES = 4
DISPOSALS = (KEEP, BACKGROUND, PREVIOUS)
DEFAULT_DENOMINATOR = 100
# What every frame needs of what stands before the pixels.
SHARED = (b"PLTE", b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"sBIT")
CHECKED = (b"acTL", b"fcTL", b"fdAT")


def count_apng_frames(file: BinaryIO) -> int:
    """Return how many frames a PNG that is open at its beginning says that it has."""
    file.seek(len(PNG_SIGNATURE))
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"acTL" and length == CONTROL.size:
            body = file.read(length)
            return max(1, int(CONTROL.unpack(body)[0])) if len(body) == length else 1
        if kind in (b"IDAT", b"IEND"):
            break
        file.seek(length + 4, os.SEEK_CUR)
    return 1


def split_apng(data: bytes) -> Film:
    """Return the frames of an animated PNG; a picture for readers of stills is none of them.

    Raises
    ------
    ValueError
        The file ends early, is damaged, or a frame lies outside of its picture.
    """
    header, shared = b"", []
    n_frames = loop = 0
    frames: list[tuple[tuple[int, ...], list[memoryview]]] = []
    is_still = True  # IDAT before any fcTL
    for kind, body in read_chunks(data):
        if kind == b"IHDR":
            header = bytes(body)
        elif kind in SHARED:
            shared.append((kind, bytes(body)))
        elif kind == b"acTL" and len(body) == CONTROL.size:
            n_frames, loop = CONTROL.unpack(body)
        elif kind == b"fcTL":
            if len(body) != FRAME.size:
                raise ValueError(f"an fcTL chunk has {len(body)} bytes; {FRAME.size} are allowed")
            frames.append((FRAME.unpack(body), []))
            is_still = False
        elif kind == b"IDAT" and not is_still:
            frames[-1][1].append(body)
        elif kind == b"fdAT" and frames:
            frames[-1][1].append(body[NUMBER_BYTES:])
    if len(header) < 13:
        raise ValueError("the file has no IHDR chunk")
    if len(frames) < n_frames:
        raise ValueError(f"the file has {len(frames)} frames; its header says {n_frames}")
    width, height = struct.unpack_from(">II", header)
    patches = [_cut_frame(fields, parts, header, shared) for fields, parts in frames[:n_frames]]
    return Film(width, height, patches, min(loop, 65535))


def _cut_frame(
    fields: tuple[int, ...],
    parts: list[memoryview],
    header: bytes,
    shared: list[tuple[bytes, bytes]],
) -> Patch:
    """Return a frame with a file of its own: the size of its rectangle, with its colors."""
    _, width, height, x, y, numerator, denominator, disposal, blend = fields
    canvas_width, canvas_height = struct.unpack_from(">II", header)
    if not (0 < width <= canvas_width - x and 0 < height <= canvas_height - y):
        raise ValueError(
            f"a frame of {width} x {height} pixels at {x}, {y} is not inside the picture of "
            f"{canvas_width} x {canvas_height}"
        )
    if not parts:
        raise ValueError("a frame has no pixels")
    own = [(b"IHDR", struct.pack(">II", width, height) + header[8:]), *shared]
    own += [(b"IDAT", bytes(part)) for part in parts]
    still = PNG_SIGNATURE + b"".join(make_chunk(kind, body) for kind, body in own)
    return Patch(
        x,
        y,
        width,
        height,
        still + make_chunk(b"IEND", b""),
        1000 * numerator / (denominator or DEFAULT_DENOMINATOR),
        DISPOSALS[min(disposal, 2)],
        OVER if blend == 1 else SOURCE,
    )


def make_chunk(kind: bytes, body: bytes | memoryview) -> bytes:
    """Return a chunk with its length and checksum."""
    checksum = deflate.crc32(body, deflate.crc32(kind))
    return b"".join([struct.pack(">I", len(body)), kind, body, struct.pack(">I", checksum)])


def read_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the chunks of a PNG up to its end, and check those of animations.

    Those of stills are checked when a frame is decoded, which is given new checksums; so the
    pixels' are checked here as well.
    """
    view, position = memoryview(data), len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        start, end = position + 8, position + 8 + length
        if end + 4 > len(data):
            raise ValueError(f"the file ends inside its {kind.decode('latin-1')} chunk")
        body = view[start:end]
        (expected,) = struct.unpack_from(">I", data, end)
        if (kind in CHECKED or kind == b"IDAT" or kind in SHARED) and expected != deflate.crc32(
            body, deflate.crc32(kind)
        ):
            raise ValueError(f"the checksum of its {kind.decode('latin-1')} chunk is wrong")
        if kind == b"IEND":
            return
        yield kind, body
        position = end + 4
    raise ValueError("the file ends before its IEND chunk")
